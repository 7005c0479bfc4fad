//! `mergan reproduce`: produces the table beside the paper's from scratch.
//!
//! For each seed and class order the first task is trained once, and the strategies fork from it. Several single-threaded processes
//! are faster than one process with several threads, and results do not depend on threads.

mod orders;
mod runs;

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Error, Result, bail};

use super::report;
use crate::args::{ReportArguments, ReproduceArguments};
use crate::config::whole_path;
use crate::console::Console;
use orders::{Order, orders};
use runs::{Run, State, identity};

/// Trains the unfinished runs, and reports.
pub fn run(arguments: &ReproduceArguments, console: &Console) -> Result<()> {
    let begun = Instant::now();
    let mut named = BTreeSet::new();
    if let Some(strategy) = arguments.strategies.iter().find(|strategy| !named.insert(*strategy)) {
        bail!("--strategies names {strategy} twice");
    }
    // The runs' processes share the threads; this process only waits.
    let threads = rayon::current_num_threads();
    let out = arguments.out.clone().unwrap_or_else(|| Path::new("runs").join(default_folder(arguments)));
    let orders = orders(arguments.orders.into(), tasks(arguments))?;
    let starts = (0..arguments.seeds).flat_map(|seed| {
        orders.iter().enumerate().map(move |(number, order)| Start { seed, number, order: order.clone() })
    });
    let starts: Vec<Start> = starts.collect();
    let first_tasks: Vec<Run> = starts.iter().map(|start| first_task(arguments, &out, start)).collect();
    let forks: Vec<Run> = starts.iter().flat_map(|start| forks(arguments, &out, start)).collect();
    let stages = [unfinished(&first_tasks)?, unfinished(&forks)?];
    announce_duration(&stages, threads, console)?;
    for runs in &stages {
        side_by_side(runs, threads, |run, threads| run.train(threads, console))?;
    }

    let runs = forks.iter().map(|run| run.directory.clone()).collect();
    report::run(&ReportArguments { runs, out: out.join("report.html"), json: false, watch: false }, console)?;
    let seconds = first_tasks.iter().map(|run| run.seconds(1)).sum::<Result<f64>>()?
        + forks.iter().map(|run| run.seconds(2)).sum::<Result<f64>>()?;
    console.note(format!(
        "training took {} of all processes together; this call took {}",
        duration(Duration::from_secs_f64(seconds)),
        duration(begun.elapsed())
    ));
    Ok(())
}

fn default_folder(arguments: &ReproduceArguments) -> String {
    let ReproduceArguments { dataset, preset, .. } = arguments;
    let dataset = Path::new(dataset).file_stem().unwrap_or_default().display();
    if preset == "quick" { format!("reproduce-{dataset}") } else { format!("reproduce-{dataset}-{preset}") }
}

/// What strategies that are compared start from alike: a seed and a class order.
struct Start {
    seed: u64,
    /// The number of the order; 0 is the dataset's own.
    number: usize,
    order: Order,
}

impl Start {
    /// Returns the name of the folder of its runs.
    fn folder(&self) -> String {
        let Start { seed, number, .. } = self;
        if *number == 0 { format!("seed{seed}") } else { format!("seed{seed}-order{number}") }
    }

    /// Returns its part of the prefix of progress lines.
    fn name(&self, arguments: &ReproduceArguments) -> String {
        let Start { seed, number, .. } = self;
        if arguments.orders == 1 { format!("seed {seed}") } else { format!("seed {seed}, order {number}") }
    }
}

/// Returns the first task of a seed and a class order, which all strategies share. SFT adds nothing to the training, so its
/// first task serves every strategy.
fn first_task(arguments: &ReproduceArguments, out: &Path, start: &Start) -> Run {
    Run {
        name: format!("{}, first task", start.name(arguments)),
        directory: out.join(start.folder()).join("first-task"),
        identity: identity(&whole_path(&arguments.dataset), "sft", &arguments.preset, start.seed, 1),
        order: start.order.clone(),
        first_task: None,
        data: arguments.data.options(),
    }
}

fn forks(arguments: &ReproduceArguments, out: &Path, start: &Start) -> Vec<Run> {
    let alone = (arguments.seeds, arguments.orders) == (1, 1);
    let fork = |strategy: &String| Run {
        name: if alone { strategy.clone() } else { format!("{strategy}, {}", start.name(arguments)) },
        directory: out.join(start.folder()).join(strategy),
        identity: identity(&whole_path(&arguments.dataset), strategy, &arguments.preset, start.seed, tasks(arguments)),
        order: start.order.clone(),
        first_task: Some(first_task(arguments, out, start).directory),
        data: arguments.data.options(),
    };
    arguments.strategies.iter().map(fork).collect()
}

fn tasks(arguments: &ReproduceArguments) -> usize {
    arguments.tasks.unwrap_or(if arguments.dataset == "lsun" { 4 } else { 10 })
}

/// Returns the runs that are not finished. A folder that holds a different run is an error.
fn unfinished(runs: &[Run]) -> Result<Vec<&Run>> {
    let states = runs.iter().map(|run| Ok((run, run.state()?)));
    let states = states.collect::<Result<Vec<_>>>()?.into_iter();
    Ok(states.filter(|(_, state)| *state != State::Finished).map(|(run, _)| run).collect())
}

/// Announces how long the training will take. Each run is measured beside those it will be trained beside, and a run
/// that cannot be trained is refused here.
fn announce_duration(stages: &[Vec<&Run>], threads: usize, console: &Console) -> Result<()> {
    let mut seconds = 0.0;
    for runs in stages {
        let expected = side_by_side(runs, threads, |run, threads| run.expected_seconds(threads, console))?;
        seconds += expected.iter().sum::<f64>() / processes(runs, threads) as f64;
    }
    let count: usize = stages.iter().map(Vec::len).sum();
    if count > 0 {
        let runs = if count == 1 { "run" } else { "runs" };
        let time = duration(Duration::from_secs_f64(seconds));
        console.note(format!("expected time: about {time} for {count} {runs}, training and scoring"));
    }
    Ok(())
}

/// Returns the number of processes that work side by side.
fn processes(runs: &[&Run], threads: usize) -> usize {
    threads.min(runs.len()).max(1)
}

/// Applies `work` to all runs, several at a time, each with its share of the threads. The results come in any order.
/// When one fails, those already begun finish and no other begins.
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
            let result = work(run, threads);
            done.push(result.inspect_err(|_| waiting.lock().map_or((), |mut waiting| waiting.clear()))?);
        }
        Ok::<_, Error>(done)
    };
    let results = thread::scope(|scope| {
        let workers: Vec<_> = (0..processes).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join()).collect::<Vec<_>>()
    });
    let mut all = Vec::new();
    for result in results {
        let Ok(done) = result else { bail!("a thread that waited for a process ended early") };
        all.extend(done?);
    }
    Ok(all)
}

/// Formats a duration, as in `1 h 02 min`, `3 min 05 s` or `4.2 s`.
fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}
