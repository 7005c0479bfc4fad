//! `cargo xtask reproduce`: from a fresh clone to the table beside the paper's.
//!
//! For each seed the first task is trained once; then the strategies fork from it. Several processes of one thread each
//! do more than one process of several threads, and results do not depend on threads.

mod runs;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::cargo::{build_mergan, root};
use runs::{Run, State};

/// `cargo xtask reproduce`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo xtask reproduce mnist\n  cargo xtask reproduce shapes --preset smoke --out \
                        /tmp/smoke"
)]
pub struct Arguments {
    /// The dataset: mnist, or shapes for a smoke test.
    pub dataset: String,
    /// The recipe: smoke, quick or paper.
    #[arg(long, default_value = "quick")]
    pub preset: String,
    /// The strategies, with commas between them.
    #[arg(long, value_delimiter = ',', default_value = "sft,jtr,ra,jt")]
    pub strategies: Vec<String>,
    /// How many seeds: 0, 1, ...
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,
    /// How many tasks [default: 5, and 10 of preset paper].
    #[arg(long)]
    pub tasks: Option<usize>,
    /// Where to [default: runs/reproduce-DATASET].
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
            strategies: ["sft", "jtr", "ra", "jt"].map(String::from).into(),
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
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    let threads = arguments.threads.map_or_else(cores, usize::from);
    let mergan = build_mergan()?;
    let out = match &arguments.out {
        Some(out) => std::path::absolute(out).context("finding the current directory")?,
        None => root().join(format!("runs/reproduce-{}", arguments.dataset)),
    };
    let first_tasks: Vec<Run> = (0..arguments.seeds).map(|seed| first_task(arguments, &out, seed)).collect();
    let forks: Vec<Run> = (0..arguments.seeds).flat_map(|seed| forks(arguments, &out, seed)).collect();
    train_all(&mergan, &first_tasks, threads)?;
    train_all(&mergan, &forks, threads)?;

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

/// The first task of a seed, which all strategies share. SFT adds nothing, so its first task is everyone's.
fn first_task(arguments: &Arguments, out: &Path, seed: u64) -> Run {
    Run {
        name: format!("seed {seed}, first task"),
        directory: out.join(format!("seed{seed}/first-task")),
        options: options(arguments, "sft", seed, 1),
    }
}

fn forks(arguments: &Arguments, out: &Path, seed: u64) -> Vec<Run> {
    let tasks = arguments.tasks.unwrap_or(if arguments.preset == "paper" { 10 } else { 5 });
    let fork = |strategy: &String| {
        let mut options = options(arguments, strategy, seed, tasks);
        options.extend(["--first-task".into(), first_task(arguments, out, seed).directory.into()]);
        let name = if arguments.seeds == 1 { strategy.clone() } else { format!("{strategy}, seed {seed}") };
        Run { name, directory: out.join(format!("seed{seed}/{strategy}")), options }
    };
    arguments.strategies.iter().map(fork).collect()
}

fn options(arguments: &Arguments, strategy: &str, seed: u64, tasks: usize) -> Vec<OsString> {
    let (seed, tasks) = (seed.to_string(), tasks.to_string());
    let pairs = [
        ["--dataset", &arguments.dataset],
        ["--strategy", strategy],
        ["--preset", &arguments.preset],
        ["--seed", &seed],
        ["--tasks", &tasks],
    ];
    pairs.as_flattened().iter().map(Into::into).collect()
}

/// Trains all runs, several at a time. When one fails, those that have begun go on to their end and no other begins.
fn train_all(mergan: &Path, runs: &[Run], threads: usize) -> Result<()> {
    let waiting: VecDeque<&Run> = runs.iter().filter(|run| run.state() != State::Finished).collect();
    if waiting.is_empty() {
        return Ok(());
    }
    let jobs = threads.min(waiting.len());
    let threads = threads / jobs;
    let waiting = Mutex::new(waiting);
    let next = || waiting.lock().ok().and_then(|mut waiting| waiting.pop_front());
    let worker = || {
        while let Some(run) = next() {
            if let Err(error) = run.train(mergan, threads) {
                if let Ok(mut waiting) = waiting.lock() {
                    waiting.clear();
                }
                return Err(error);
            }
        }
        Ok(())
    };
    let results = thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join()).collect::<Vec<_>>()
    });
    for result in results {
        match result {
            Ok(result) => result?,
            Err(_) => bail!("a thread that waited for a training ended early"),
        }
    }
    Ok(())
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
