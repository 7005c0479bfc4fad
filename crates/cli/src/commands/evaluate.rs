//! `mergan evaluate`: scores a generator, class by class.

use anyhow::{Result, ensure};
use mergan_record::metric::ACCURACY;
use mergan_report::scores_table;
use mergan_runs::{Evaluation, InceptionScores, Run, RunDir, load_data};
use mergan_strategies::Strategies;

use crate::args::EvaluateArguments;
use crate::checked::load_trained;
use crate::console::Console;

/// Runs `mergan evaluate`.
pub fn run(arguments: &EvaluateArguments, console: &Console) -> Result<()> {
    let dir = RunDir::new(&arguments.run);
    // This reader verifies the checksum; training compares the configuration with that of its checkpoint.
    mergan_record::Config::read(&dir.config())?;
    let config = dir.read_config()?;
    let newest = dir.newest_task()?;
    let task = arguments.task.unwrap_or(newest);
    ensure!((1..=newest).contains(&task), "task {task} is not learned; choose one of 1 to {newest}");
    let device = arguments.device.open(console)?;
    let trained = load_trained(&dir.generator(task), console)?.on(device);
    let moved = arguments.dataset.as_deref();
    let data = arguments.data.with_options(&config.images, console, |fetch| load_data(dir.root(), moved, fetch))?;
    let strategies = Strategies::built_in();
    let open = if arguments.accept_changed_data { Run::open_on_any_data } else { Run::open };
    let run = open(dir.root(), &data, &strategies)?;
    let cache = arguments.data.cache();
    let scorer = run.obtain_scorer(arguments.scorer.as_deref(), &cache, console)?;
    let mut evaluation = Evaluation::new(&config, &strategies, &data, scorer, console)?;
    if !arguments.metrics.is_empty() {
        let network = arguments.inception.open(&arguments.data, device, console)?;
        let families: Vec<_> = arguments.metrics.iter().map(|&name| name.into()).collect();
        evaluation = evaluation.with(InceptionScores::new(network, &families));
    }

    let samples = arguments.samples.map_or(config.evaluation.samples, usize::from);
    let seed = arguments.seed.unwrap_or(config.seed);
    let measured = evaluation.task(&dir, &trained, task, samples, seed)?;
    if arguments.save {
        // Scores that cannot be read have to be made again one by one, and are not mixed with any until then.
        let scored_by = |task: usize| dir.scored_by(task).unwrap_or_default();
        let is_other = |task: &usize| scored_by(*task).is_some_and(|by| by != evaluation.scorer().sha256());
        let mut others = Vec::new();
        if (1..=newest).any(|other| other != task && is_other(&other)) {
            ensure!(arguments.task.is_none(), "a run's tasks are all scored by one classifier; leave --task out");
            others = evaluation.tasks(&dir, 1..newest)?;
        }
        // Nothing is replaced before everything is measured, so that an interruption leaves the scores of a single
        // classifier.
        for measured in others.iter().chain([&measured]) {
            measured.save(&dir)?;
        }
    }
    let scores = measured.scores;
    if arguments.json {
        return console.print(serde_json::to_string_pretty(&scores).expect("scores are numbers and text"));
    }
    let fewer = scores.get(ACCURACY, None).is_some_and(|score| score.warning.is_some());
    let most = if fewer { "at most " } else { "" };
    console.print(format!("after task {task}, {most}{samples} images of each class\n"))?;
    console.print(scores_table(&scores, &data.class_names))?;
    console.print(format!("recognised by {}", evaluation.scorer().description()))
}
