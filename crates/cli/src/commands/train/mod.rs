//! `mergan train`: a new run, or one that goes on.
//!
//! A run can be killed at any moment and goes on to the same bits. What makes that so is the order of writing: at the end
//! of a task the checkpoint before the generator and the scores made from it, and of a new run its configuration last.

mod config;
mod session;
mod signals;

use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use indicatif::FormattedDuration;
use mergan_datasets::Dataset;
use mergan_models::write_whole;
use mergan_strategies::{Config, Trainer, build_strategy};
use mergan_tensor::Device;

use crate::args::{NewRun, TrainArguments};
use crate::checkpoints::{self, Position};
use crate::console::Console;
use crate::events::{Event, EventLog};
use crate::extension;
use crate::run_dir::RunDir;
use crate::scorer::Scorer;
use crate::tensorboard::TensorBoard;
use session::Session;
use signals::Signals;

/// Answers `mergan train`. The exit code says whether the training is finished (0) or was interrupted (128 and the
/// signal's number).
pub fn run(arguments: &TrainArguments, console: &Console) -> Result<ExitCode> {
    match (&arguments.resume, &arguments.new) {
        (Some(directory), _) => resume(&RunDir::new(directory), arguments, console),
        (None, Some(new)) => start(new, arguments, console),
        (None, None) => bail!("give --dataset, --strategy and --run for a new run, or --resume for one that goes on"),
    }
}

fn start(new: &NewRun, arguments: &TrainArguments, console: &Console) -> Result<ExitCode> {
    let run = RunDir::new(&new.run);
    let (config, manifest) = config::resolve(new, arguments, console)?;
    // What can be refused is refused before anything is downloaded or trained.
    build_strategy(&config.strategy, &config.options)?;
    config.task_sequence(manifest.classes.len())?;
    run.require_unused()?;
    let first_task = new.first_task.as_deref().map(RunDir::new);
    if let Some(other) = first_task.as_ref().filter(|_| !arguments.estimate) {
        let path = checkpoints::path(other, Position::end_of(1));
        ensure!(
            path.is_file(),
            "{} is not there; --first-task takes a finished run of one task (`mergan train --tasks 1 ...`)",
            path.display()
        );
    }

    let device = arguments.device.open(console)?;
    announce(&config, console);
    let data = arguments.data.load(&config.dataset, &config.images, console)?;
    let classes = data.class_names.len();
    if arguments.estimate {
        // The run whose first task is shared need not exist yet.
        let trainer = Trainer::new(config, classes, &data.train)?.on(device);
        return estimate(&trainer, usize::from(first_task.is_some()), arguments.json, console);
    }
    let scorer = Scorer::obtain(arguments.scorer.as_deref(), &data, &arguments.data.cache(), console)?;
    let trainer = match &first_task {
        None => Trainer::new(config, classes, &data.train)?,
        Some(other) => Trainer::fork(config, classes, &data.train, &checkpoints::path(other, Position::end_of(1)))?,
    }
    .on(device);
    run.create()?;
    let _lock = run.lock()?;
    run.require_unused()?;
    if let Some(other) = &first_task {
        run.take_frames(other)?;
    }
    let first_events = first_task.map(|other| other.events());
    let events = EventLog::create(&run.events(), &begin(&command_line(), device)?, first_events.as_deref())?;
    checkpoints::save(&run, &trainer)?;
    let path = run.config();
    write_whole(&path, trainer.config().to_toml().as_bytes()).with_context(|| format!("writing {}", path.display()))?;
    train(&run, arguments, console, &data, scorer, trainer, events)
}

/// Goes on with a run.
pub fn resume(run: &RunDir, arguments: &TrainArguments, console: &Console) -> Result<ExitCode> {
    let config = run.read_config()?;
    let device = arguments.device.open(console)?;
    run.create()?;
    let _lock = run.lock()?;
    run.sweep()?;
    announce(&config, console);
    let data = extension::load(run, &config, &arguments.data, console)?;
    let trainer = checkpoints::resume(run, &config, data.class_names.len(), &data.train, console)?.on(device);
    let cache = arguments.data.cache();
    if arguments.estimate {
        ensure!(config.extensions.is_empty(), "an extended run cannot be estimated: its earlier tasks have no data");
        return estimate(&trainer, trainer.tasks_learned(), arguments.json, console);
    }
    let scorer = extension::scorer(run, &config, arguments.scorer.as_deref(), &data, &cache, console)?;
    let mut events = EventLog::resume(&run.events())?;
    if let Some(before) = events.device()?.filter(|before| *before != device.to_string()) {
        console.warn(format!(
            "the run was trained on {before} and goes on on {device}, which rounds differently: not to the bits of an \
             uninterrupted run (`--device` chooses)"
        ));
    }
    events.write(&begin(&command_line(), device)?)?;
    let code = train(run, arguments, console, &data, scorer, trainer, events)?;
    if code == ExitCode::SUCCESS {
        extension::print_effect(run, &config, &cache, console)?;
    }
    Ok(code)
}

/// Says what is trained.
fn announce(config: &Config, console: &Console) {
    let Config { strategy, dataset, preset, seed, .. } = config;
    let threads = rayon::current_num_threads();
    let tasks = config.tasks;
    console.note(format!("{strategy} on {dataset}: preset {preset}, tasks {tasks}, seed {seed}, threads {threads}"));
}

fn train(
    run: &RunDir,
    arguments: &TrainArguments,
    console: &Console,
    data: &Dataset,
    scorer: Scorer,
    trainer: Trainer,
    mut events: EventLog,
) -> Result<ExitCode> {
    // Of the earlier tasks of an extended run there are no data to measure on.
    if trainer.config().preset == "paper" && trainer.config().extensions.is_empty() {
        expected_seconds(&trainer, trainer.tasks_learned(), console)?;
    }
    if arguments.tensorboard {
        events.mirror(TensorBoard::create(&run.tensorboard(), trainer.config(), Position::of(&trainer))?);
    }
    let signals = Signals::catch()?;
    let every = arguments.checkpoint_every.map(usize::from);
    let session = Session::new(run, console, data, scorer, trainer, events, every)?;
    match session.run(&signals)? {
        None => Ok(ExitCode::SUCCESS),
        Some(signal) => {
            let root = run.root().display();
            console.note(format!("interrupted, nothing is lost; go on with `mergan train --resume {root}`"));
            Ok(signal.exit_code())
        }
    }
}

/// Answers `mergan train --estimate`.
fn estimate(trainer: &Trainer, learned: usize, json: bool, console: &Console) -> Result<ExitCode> {
    let seconds = expected_seconds(trainer, learned, console)?;
    console.print(if json { format!("{{\"seconds\": {seconds:.1}}}") } else { format!("{seconds:.1}") })?;
    Ok(ExitCode::SUCCESS)
}

/// How many seconds the tasks after the first `learned` ones will take, from a few iterations of each; it is also said.
fn expected_seconds(trainer: &Trainer, learned: usize, console: &Console) -> Result<f64> {
    let config = trainer.config();
    let progress = console.progress("measuring how long this will take", 0);
    let seconds = trainer.seconds_per_iteration()?;
    drop(progress);
    let left = |(task, seconds): (usize, &f64)| {
        let done = if task == trainer.tasks_learned() { trainer.iterations_done() } else { 0 };
        (config.iterations(task) - done) as f64 * seconds
    };
    // Not `sum`, which makes -0 of nothing.
    let total = seconds.iter().enumerate().skip(learned).map(left).fold(0.0, |total, seconds| total + seconds);
    console.note(format!(
        "expected duration (h:min:s): {} ({:.2} to {:.2} seconds an iteration)",
        FormattedDuration(std::time::Duration::from_secs_f64(total)),
        seconds.iter().copied().fold(f64::INFINITY, f64::min),
        seconds.iter().copied().fold(0.0, f64::max),
    ));
    Ok(total)
}

fn begin(command: &str, device: Device) -> Result<Event<'_>> {
    Ok(Event::Start {
        command,
        version: env!("CARGO_PKG_VERSION"),
        microkernel: mergan_tensor::microkernel()?,
        device: device.to_string(),
        threads: rayon::current_num_threads(),
    })
}

/// This process's command line, quoted so that a shell reads it as it was.
fn command_line() -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    let quote = |word: String| match !word.is_empty() && word.chars().all(plain) {
        true => word,
        false => format!("'{}'", word.replace('\'', r"'\''")),
    };
    let words = std::env::args_os().skip(1).map(|word| quote(word.to_string_lossy().into_owned()));
    ["mergan".to_string()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}
