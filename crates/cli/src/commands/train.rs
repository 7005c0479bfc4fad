//! `mergan train`: starts or resumes a run.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use indicatif::FormattedDuration;
use mergan_record::{preset_warning, quoted};
use mergan_runs::{Effect, Estimate, Outcome, Run, RunDir, Scorer, effect, load_data, new_trainer, require_startable};
use mergan_strategies::{Config, Strategies};

use crate::args::{TrainArguments, missing};
use crate::call::command_line;
use crate::config;
use crate::console::Console;
use crate::exit::ExitCode;
use crate::signals::{Signals, end_with_parent, is_tied};

/// Runs `mergan train`. The exit code says whether the training is finished (0) or was interrupted (128 plus the
/// signal's number).
pub fn run(arguments: &TrainArguments, console: &Console) -> Result<ExitCode> {
    end_with_parent();
    match (&arguments.resume, &arguments.run) {
        (Some(directory), _) => resume(directory, arguments, console),
        (None, Some(directory)) => start(directory, arguments, console),
        (None, None) => Err(missing("--run <DIR>").into()),
    }
}

fn start(directory: &Path, arguments: &TrainArguments, console: &Console) -> Result<ExitCode> {
    let strategies = Strategies::built_in();
    let TrainArguments { dataset, config, images, data: at, .. } = arguments;
    let (config, manifest) = config::resolve(dataset.as_deref(), config, images, &strategies, at, console)?;
    // For an estimate, the run whose first task is shared need not exist yet.
    let first = arguments.first_task.as_deref();
    let shared = first.filter(|_| !arguments.estimate);
    require_startable(directory, &config, &strategies, &manifest, shared)?;
    let device = arguments.device.open(console)?;
    announce(&config, console);
    if config.preset == "quick" && manifest.shape[0] > 1 {
        console.note("the images are in colour: photographs are better served by --preset photo");
    }
    let data = arguments.data.load(&config.dataset, &config.images, console)?;
    let estimate = {
        // What is wrong with the run is said before the classifier that scores is trained, which takes minutes. These
        // networks are dropped again, because they would take memory as long as the run is trained.
        let trainer = new_trainer(config.clone(), &data, &strategies)?;
        let asked = arguments.estimate || is_long(&config);
        asked.then(|| Estimate::of(&trainer.on(device), usize::from(first.is_some()), console)).transpose()?
    };
    if let Some(estimate) = estimate {
        say(&estimate, console);
        if arguments.estimate {
            return print(&estimate, arguments.json, console);
        }
    }
    let scorer = Scorer::obtain(arguments.scorer.as_deref(), &data, &arguments.data.cache(), console)?;
    let run = match first {
        None => Run::start(directory, config, &data, &strategies),
        Some(first) => Run::fork(directory, config, &data, &strategies, first),
    };
    train(run?.on(device).scored_by(scorer), arguments, console)
}

/// Resumes a run.
pub fn resume(directory: &Path, arguments: &TrainArguments, console: &Console) -> Result<ExitCode> {
    let config = RunDir::new(directory).read_config()?;
    let device = arguments.device.open(console)?;
    announce(&config, console);
    let moved = arguments.dataset.as_deref();
    let data = arguments.data.with_options(&config.images, console, |fetch| load_data(directory, moved, fetch))?;
    let strategies = Strategies::built_in();
    let open = if arguments.accept_changed_data { Run::open_on_any_data } else { Run::open };
    let run = open(directory, &data, &strategies)?.on(device);
    if arguments.estimate || (is_long(&config) && config.extensions.is_empty()) {
        let estimate = run.estimate(console)?;
        say(&estimate, console);
        if arguments.estimate {
            return print(&estimate, arguments.json, console);
        }
    }
    let cache = arguments.data.cache();
    let scorer = run.obtain_scorer(arguments.scorer.as_deref(), &cache, console)?;
    let code = train(run.scored_by(scorer), arguments, console)?;
    if code == ExitCode::SUCCESS {
        let effect = effect(&RunDir::new(directory), &config, &strategies, &cache)?;
        effect.map_or(Ok(()), |effect| print_effect(&effect, console))?;
    }
    Ok(code)
}

fn train(run: Run, arguments: &TrainArguments, console: &Console) -> Result<ExitCode> {
    let every = arguments.checkpoint_every.map(usize::from);
    let run = run.checkpoint_every(every).with_tensorboard(arguments.tensorboard);
    let go_on = format!("go on with `mergan train --resume {}`", quoted(&run.dir().root().display()));
    Signals::during(console, go_on, |signals| to_the_end(run, signals))
}

/// Trains a run to its end, or until a signal asks for an earlier one. The exit code says which.
pub fn to_the_end(run: Run, signals: &Signals) -> Result<ExitCode> {
    let mut run = run.commanded_by(command_line());
    match (run.train(signals, &|| signals.caught().is_some())?, signals.caught()) {
        (Outcome::Stopped, Some(signal)) => {
            signals.say();
            Ok(signal.exit_code())
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Announces what is trained.
fn announce(config: &Config, console: &Console) {
    let Config { strategy, dataset, preset, seed, tasks, .. } = config;
    let threads = rayon::current_num_threads();
    console.note(format!("{strategy} on {dataset}: preset {preset}, tasks {tasks}, seed {seed}, threads {threads}"));
    if let Some(warning) = preset_warning(preset) {
        console.warn(warning);
    }
}

/// Returns whether a training is so long that it is worth while to measure first how long. A few iterations of each task
/// are measured, which `mergan reproduce` has already done for its children.
fn is_long(config: &Config) -> bool {
    !is_tied() && (0..config.tasks).map(|task| config.iterations(task)).sum::<usize>() >= 100 * config.tasks
}

/// Announces how long a training will take.
fn say(Estimate { seconds, scoring, iterations }: &Estimate, console: &Console) {
    let time = |seconds| FormattedDuration(Duration::from_secs_f64(seconds));
    console.note(format!(
        "expected duration (h:min:s): {}, {} of it training ({:.2} to {:.2} seconds an iteration) and {} scoring",
        time(seconds + scoring),
        time(*seconds),
        iterations.iter().copied().fold(f64::INFINITY, f64::min),
        iterations.iter().copied().fold(0.0, f64::max),
        time(*scoring),
    ));
}

/// Prints the result of `mergan train --estimate`.
fn print(Estimate { seconds, scoring, .. }: &Estimate, json: bool, console: &Console) -> Result<ExitCode> {
    let total = seconds + scoring;
    let parts = format!("{{\"seconds\": {total:.1}, \"training\": {seconds:.1}, \"scoring\": {scoring:.1}}}");
    console.print(if json { parts } else { format!("{total:.1}") })?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the effect of a run's last extension on the earlier classes.
fn print_effect(effect: &Effect, console: &Console) -> Result<()> {
    let row = |name: &str, then: f64, now: f64| {
        console.print(format!("{name:<16} {:>9.2} {:>9.2}", 100.0 * then, 100.0 * now))
    };
    console.print(format!("{:<16} {:>9} {:>9}", "class", "before, %", "after, %"))?;
    effect.earlier.iter().try_for_each(|(name, then, now)| row(name, *then, *now))?;
    let count = effect.earlier.len() as f64;
    let (then, now) = effect.earlier.iter().fold((0.0, 0.0), |sums, (_, then, now)| (sums.0 + then, sums.1 + now));
    row("mean", then / count, now / count)?;
    let (name, accuracy) = &effect.new;
    console.print(format!("{name:<16} {:>9} {:>9.2}\n", "–", 100.0 * accuracy))?;
    console.print(format!(
        "The earlier classes are recognised by {}, {name} by {}; {} images of each class.",
        effect.earlier_scorer,
        effect.new_scorer.as_deref().unwrap_or("the same"),
        effect.samples,
    ))
}
