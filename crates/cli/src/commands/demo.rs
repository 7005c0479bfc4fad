//! `mergan demo`: shows in about a minute what forgetting is, and what prevents it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use mergan_datasets::{Dataset, ImageOptions};
use mergan_models::Architecture;
use mergan_report::{Run as Report, load_run, write_report};
use mergan_runs::export::panels::{self, Panel};
use mergan_runs::{Run, RunDir, Scorer};
use mergan_strategies::{Choice, Config, Strategies};
use mergan_tensor::Device;
use toml::Table;

use super::train;
use crate::args::DemoArguments;
use crate::call::command_line;
use crate::config;
use crate::console::Console;
use crate::exit::ExitCode;
use crate::signals::Signals;

/// The drawn shapes, which need no network.
const DATASET: &str = "shapes";
const PRESET: &str = "demo";
/// The strategies, and what they do.
const STRATEGIES: [(&str, &str); 3] = [
    ("sft", "fine-tuning, which remembers nothing"),
    ("ra", "replay alignment: the images stay what they were"),
    ("jtr", "joint training with replayed images of the past"),
];
/// The number of shapes, which are learned one at a time.
const TASKS: usize = 3;
/// The number of latents in the picture.
const COLUMNS: u32 = 5;

const WELCOME: &str = "\
Three generators learn to draw a ring, then a triangle, then a plus, and see
images of one shape at a time. Fine-tuning (SFT) forgets what it drew before;
replay alignment (RA) and joint training with replay (JTR) do not. This takes
about a minute on two cores. Ctrl-C stops it, and the same command goes on.
";

/// What the runs of the demo have in common.
struct Demo<'d> {
    out: &'d Path,
    data: Dataset,
    strategies: Strategies,
    changes: Table,
    scorer: Scorer,
    device: Device,
}

/// Trains the strategies in turn, as far as that is not done, and shows the result.
pub fn run(arguments: &DemoArguments, console: &Console) -> Result<ExitCode> {
    console.note(WELCOME);
    let out = arguments.out.as_path();
    let device = arguments.device.open(console)?;
    let data = arguments.data.load(DATASET, &ImageOptions::default(), console)?;
    let mut changes = Table::new();
    config::apply(&arguments.set, &mut changes)?;
    let scorer = Scorer::obtain(None, &data, &arguments.data.cache(), console)?;
    let demo = Demo { out, data, strategies: Strategies::built_in(), changes, scorer, device };
    let runs = demo.runs()?;
    let go_on = format!("go on with `{}`", command_line());
    let code = Signals::during(console, go_on, |signals| demo.train(&runs, signals))?;
    if code == ExitCode::SUCCESS {
        let [_, runs @ ..] = &runs;
        show(out, &runs.each_ref().map(|(directory, _)| directory.as_path()), console)?;
    }
    Ok(code)
}

impl Demo<'_> {
    /// Returns the directories and the configurations of all runs: that of the first task, which all strategies share,
    /// and one for each strategy. A directory that holds another run is an error.
    fn runs(&self) -> Result<[(PathBuf, Config); 4]> {
        let [(sft, _), (ra, _), (jtr, _)] = STRATEGIES;
        let runs = [("first-task", sft, 1), (sft, sft, TASKS), (ra, ra, TASKS), (jtr, jtr, TASKS)];
        let runs = runs.map(|(folder, strategy, tasks)| {
            let choice = Choice {
                dataset: DATASET.into(),
                architecture: Architecture::Digit,
                strategy: strategy.into(),
                preset: PRESET.into(),
                tasks: Some(tasks),
                changes: self.changes.clone(),
                ..Choice::default()
            };
            let directory = self.out.join(folder);
            let config = Config::resolve(&choice, &self.strategies, self.data.class_names.len())?;
            if RunDir::new(&directory).config().exists() {
                let found = RunDir::new(&directory).read_config()?;
                ensure!(
                    Config { data: None, ..found } == config,
                    "{} holds another run than this demo; choose another folder with --out DIR, or remove this one",
                    directory.display()
                );
            }
            Ok((directory, config))
        });
        let [first, sft, ra, jtr] = runs;
        Ok([first?, sft?, ra?, jtr?])
    }

    /// Trains the runs that are not finished. The exit code says whether a signal asked for an earlier end.
    fn train(&self, runs: &[(PathBuf, Config)], signals: &Signals) -> Result<ExitCode> {
        for (directory, config) in runs {
            if RunDir::new(directory).scores(config.tasks).exists() {
                continue;
            }
            let code = train::to_the_end(self.open(directory, config)?.on(self.device), signals)?;
            if code != ExitCode::SUCCESS {
                return Ok(code);
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Opens a run that has begun, and begins the others.
    fn open(&self, directory: &Path, config: &Config) -> Result<Run> {
        let Demo { data, strategies, .. } = self;
        let first = self.out.join("first-task");
        let run = if RunDir::new(directory).config().exists() {
            Run::open(directory, data, strategies)
        } else if directory == first {
            Run::start(directory, config.clone(), data, strategies)
        } else {
            Run::fork(directory, config.clone(), data, strategies, &first)
        };
        Ok(run?.scored_by(self.scorer.clone()))
    }
}

/// Writes the report and the picture, and prints what came out.
fn show(out: &Path, runs: &[&Path; 3], console: &Console) -> Result<()> {
    let reports = runs.iter().map(|run| load_run(run)).collect::<Result<Vec<_>, _>>()?;
    let (page, picture) = (out.join("report.html"), out.join("forgetting.png"));
    write_report(&reports, &page)?;
    let rows = reports.iter().map(|run| (1..=TASKS).map(|task| panel(run, task)).collect::<Result<Vec<_>>>());
    panels::write(&picture, &rows.collect::<Result<Vec<_>>>()?, COLUMNS)?;

    let scores = &reports[0].last().scores;
    console.print(format!("\nrecognised by a classifier after all {TASKS} tasks, in %\n"))?;
    console.print(row("", scores.class_names.iter().map(String::from), ""))?;
    for (run, (name, what)) in reports.iter().zip(STRATEGIES) {
        let cells = scores.classes.iter().map(|&class| Ok(format!("{:.0}", percent(run, TASKS, Some(class))?)));
        console.print(row(&name.to_uppercase(), cells.collect::<Result<Vec<_>>>()?.into_iter(), what))?;
    }
    console.print(format!("\nseen side by side: {}\nall there is to know: {}", picture.display(), page.display()))
}

/// Formats a line of the printed table.
fn row(name: &str, cells: impl Iterator<Item = String>, what: &str) -> String {
    let cells: String = cells.map(|cell| format!("{cell:>10}")).collect();
    format!("  {name:<4}{cells}  {what}").trim_end().to_string()
}

/// Returns the samples of a strategy after a task.
fn panel(run: &Report, task: usize) -> Result<Panel> {
    let scores = &run.tasks.get(task - 1).context("a finished run has all tasks")?.scores;
    let learned = scores.class_names.last().context("a task has a class")?;
    Ok(Panel {
        caption: vec![
            format!("{} after {learned}", run.config.strategy.to_uppercase()),
            format!("{:.0} % recognised", percent(run, task, None)?),
        ],
        grid: RunDir::new(&run.dir).samples(task),
    })
}

fn percent(run: &Report, task: usize, class: Option<usize>) -> Result<f64> {
    let accuracy = run.accuracy(task, class);
    Ok(100.0 * accuracy.with_context(|| format!("{}: task {task} has no accuracy", run.dir.display()))?)
}
