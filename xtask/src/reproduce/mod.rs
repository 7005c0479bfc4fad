//! `cargo xtask reproduce`: from a fresh clone to the table beside the paper's.
//!
//! For each seed the first task is trained once; then the strategies fork from it. Several processes of one thread each
//! do more than one process of several threads, and results do not depend on threads.

mod runs;

use std::collections::{BTreeSet, VecDeque};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::cargo::{build_mergan, root};
use runs::{Identity, Run, State};

/// `cargo xtask reproduce`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo xtask reproduce mnist\n  cargo xtask reproduce shapes --preset smoke --out \
                        /tmp/smoke"
)]
pub struct Arguments {
    /// The dataset: mnist, fashion, svhn or lsun, or shapes for a smoke test.
    pub dataset: String,
    /// The recipe: smoke, quick or paper.
    #[arg(long, default_value = "quick")]
    pub preset: String,
    /// The strategies, with commas between them.
    #[arg(long, value_delimiter = ',', default_value = "sft,ewc,dgr,jtr,ra,jt")]
    pub strategies: Vec<String>,
    /// How many seeds: 0, 1, ...
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=i64::MAX as u64))]
    pub seeds: u64,
    /// How many tasks, of one class each [default: 10, and 4 of lsun].
    #[arg(long, value_name = "N")]
    pub tasks: Option<usize>,
    /// Where to [default: runs/reproduce-DATASET, and runs/reproduce-DATASET-PRESET of other presets than quick].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Threads in all [default: one for each core].
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}

impl Arguments {
    /// A reproduction of seconds, on two tasks of the drawn shapes.
    pub fn smoke(out: &Path) -> Self {
        Arguments {
            dataset: "shapes".into(),
            preset: "smoke".into(),
            strategies: ["sft", "ewc", "dgr", "jtr", "ra", "jt"].map(String::from).into(),
            seeds: 1,
            tasks: Some(2),
            out: Some(out.into()),
            threads: None,
        }
    }
}

/// Trains what is not trained yet, and reports.
pub fn run(arguments: &Arguments) -> Result<()> {
    let begun = Instant::now();
    let mut named = BTreeSet::new();
    if let Some(strategy) = arguments.strategies.iter().find(|strategy| !named.insert(*strategy)) {
        bail!("--strategies names {strategy} twice");
    }
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    let threads = arguments.threads.map_or_else(cores, usize::from);
    let mergan = build_mergan()?;
    let out = match &arguments.out {
        Some(out) => std::path::absolute(out).context("finding the current directory")?,
        None => root().join("runs").join(default_folder(arguments)),
    };
    let first_tasks: Vec<Run> = (0..arguments.seeds).map(|seed| first_task(arguments, &out, seed)).collect();
    let forks: Vec<Run> = (0..arguments.seeds).flat_map(|seed| forks(arguments, &out, seed)).collect();
    let stages = [unfinished(&first_tasks)?, unfinished(&forks)?];
    announce_duration(&mergan, &stages, threads)?;
    for runs in &stages {
        side_by_side(runs, threads, |run, threads| run.train(&mergan, threads))?;
    }

    let page = out.join("report.html");
    let mut report = Command::new(&mergan);
    report.arg("report").args(forks.iter().map(|run| &run.directory)).arg("--out").arg(&page);
    println!();
    ensure!(report.status().context("starting mergan report")?.success(), "mergan report failed");
    let seconds = first_tasks.iter().map(|run| run.seconds(1)).sum::<Result<f64>>()?
        + forks.iter().map(|run| run.seconds(2)).sum::<Result<f64>>()?;
    println!(
        "training took {} of all processes together; this call took {}",
        duration(Duration::from_secs_f64(seconds)),
        duration(begun.elapsed())
    );
    Ok(())
}

fn default_folder(arguments: &Arguments) -> String {
    let Arguments { dataset, preset, .. } = arguments;
    if preset == "quick" { format!("reproduce-{dataset}") } else { format!("reproduce-{dataset}-{preset}") }
}

/// The first task of a seed, which all strategies share. SFT adds nothing, so its first task is everyone's.
fn first_task(arguments: &Arguments, out: &Path, seed: u64) -> Run {
    Run {
        name: format!("seed {seed}, first task"),
        directory: out.join(format!("seed{seed}/first-task")),
        identity: identity(arguments, "sft", seed, 1),
        first_task: None,
    }
}

fn forks(arguments: &Arguments, out: &Path, seed: u64) -> Vec<Run> {
    let fork = |strategy: &String| Run {
        name: if arguments.seeds == 1 { strategy.clone() } else { format!("{strategy}, seed {seed}") },
        directory: out.join(format!("seed{seed}/{strategy}")),
        identity: identity(arguments, strategy, seed, tasks(arguments)),
        first_task: Some(first_task(arguments, out, seed).directory),
    };
    arguments.strategies.iter().map(fork).collect()
}

fn tasks(arguments: &Arguments) -> usize {
    arguments.tasks.unwrap_or(if arguments.dataset == "lsun" { 4 } else { 10 })
}

fn identity(arguments: &Arguments, strategy: &str, seed: u64, tasks: usize) -> Identity {
    [
        ("dataset", arguments.dataset.clone()),
        ("strategy", strategy.into()),
        ("preset", arguments.preset.clone()),
        ("seed", seed.to_string()),
        ("tasks", tasks.to_string()),
    ]
}

/// The runs that are not finished. A folder with another run in it is an error.
fn unfinished(runs: &[Run]) -> Result<Vec<&Run>> {
    let states = runs.iter().map(|run| Ok((run, run.state()?)));
    let states = states.collect::<Result<Vec<_>>>()?.into_iter();
    Ok(states.filter(|(_, state)| *state != State::Finished).map(|(run, _)| run).collect())
}

/// Says how long the training will take. Each run is measured in the company that it will train in, and one that cannot
/// be trained is refused here.
fn announce_duration(mergan: &Path, stages: &[Vec<&Run>], threads: usize) -> Result<()> {
    let mut seconds = 0.0;
    for runs in stages {
        let expected = side_by_side(runs, threads, |run, threads| run.expected_seconds(mergan, threads))?;
        seconds += expected.iter().sum::<f64>() / processes(runs, threads) as f64;
    }
    let count: usize = stages.iter().map(Vec::len).sum();
    if count > 0 {
        let runs = if count == 1 { "run" } else { "runs" };
        println!("expected training time: about {} for {count} {runs}", duration(Duration::from_secs_f64(seconds)));
    }
    Ok(())
}

/// How many processes work side by side.
fn processes(runs: &[&Run], threads: usize) -> usize {
    threads.min(runs.len()).max(1)
}

/// Does something with all runs, several at a time, each with its share of the threads; the results come in any order.
/// When one fails, those that have begun go on to their end and no other begins.
fn side_by_side<T: Send>(
    runs: &[&Run],
    threads: usize,
    work: impl Fn(&Run, usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let processes = processes(runs, threads);
    let threads = threads / processes;
    let waiting: Mutex<VecDeque<&Run>> = Mutex::new(runs.iter().copied().collect());
    let next = || waiting.lock().ok().and_then(|mut waiting| waiting.pop_front());
    let worker = || {
        let mut done = Vec::new();
        while let Some(run) = next() {
            match work(run, threads) {
                Ok(result) => done.push(result),
                Err(error) => {
                    if let Ok(mut waiting) = waiting.lock() {
                        waiting.clear();
                    }
                    return Err(error);
                }
            }
        }
        Ok(done)
    };
    let results = thread::scope(|scope| {
        let workers: Vec<_> = (0..processes).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join()).collect::<Vec<_>>()
    });
    let mut all = Vec::new();
    for result in results {
        match result {
            Ok(done) => all.extend(done?),
            Err(_) => bail!("a thread that waited for a process ended early"),
        }
    }
    Ok(all)
}

/// `1 h 02 min`, `3 min 05 s` or `4.2 s`.
fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}
