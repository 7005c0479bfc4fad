//! A run: one strategy trained on a sequence of tasks, in a directory of its own that is at any moment fit to go on from.
//!
//! A run can be killed at any moment and goes on to the same bits. What makes that so is the order of writing: at the end
//! of a task the checkpoint before the generator and the scores made from it, and of a new run its configuration last.

use std::fs::File;
use std::path::{Path, PathBuf};

use mergan_datasets::{Dataset, FetchOptions, default_cache};
use mergan_record::{Event, Position, Start, TaskScores, write_whole};
use mergan_strategies::{Config, Strategies, Trainer};
use mergan_tensor::{Device, microkernel};

use crate::checkpoints;
use crate::dir::RunDir;
use crate::error::{At, Error};
use crate::evaluation::Evaluation;
use crate::export::tensorboard::TensorBoard;
use crate::extension;
use crate::host::{host, now};
use crate::identity;
use crate::log::EventLog;
use crate::observer::{Happening, Observer, Progress, Unobserved, Work};
use crate::scorer::Scorer;
use crate::session::Session;
use crate::trained::Trained;

/// A run that has been started.
pub struct Run {
    dir: RunDir,
    config: Config,
    data: Dataset,
    strategies: Strategies,
    device: Device,
    scorer: Option<Scorer>,
    checkpoint_every: Option<usize>,
    tensorboard: bool,
    command: String,
    /// What is otherwise in the data than in those that the run was started with, where that is accepted.
    changed: Option<String>,
    /// Keeps other processes from training here.
    lock: Option<File>,
}

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All tasks are learned and scored.
    Finished,
    /// It was asked to stop; [`Run::open`] and [`Run::train`] go on to the bits of a run that was never stopped.
    Stopped,
}

impl Run {
    /// A new run of one of these strategies in `directory`, where other files may lie, but no run.
    ///
    /// # Errors
    /// When a run lies in the directory, the configuration does not fit the data or names another strategy, or the
    /// disk is full.
    pub fn start(directory: &Path, config: Config, data: &Dataset, strategies: &Strategies) -> Result<Self, Error> {
        let config = on_data(config, data)?;
        let trainer = Trainer::new(config, strategies, data.class_names.len(), &data.train)?;
        Run::begin(RunDir::new(directory), &trainer, data, strategies, None)
    }

    /// A new run that shares the first task of the run in `first`, a finished one of a single task with the same seed: so all
    /// strategies start from the same network, as in the paper (caption of figure 5).
    ///
    /// # Errors
    /// As [`Run::start`], and when the first task of that run is not the one that this configuration would train.
    pub fn fork(
        directory: &Path,
        config: Config,
        data: &Dataset,
        strategies: &Strategies,
        first: &Path,
    ) -> Result<Self, Error> {
        let first = RunDir::new(first);
        let checkpoint = first_task(&first)?;
        let config = on_data(config, data)?;
        let trainer = Trainer::fork(config, strategies, data.class_names.len(), &data.train, &checkpoint)?;
        Run::begin(RunDir::new(directory), &trainer, data, strategies, Some(&first))
    }

    fn begin(
        dir: RunDir,
        trainer: &Trainer,
        data: &Dataset,
        strategies: &Strategies,
        first: Option<&RunDir>,
    ) -> Result<Self, Error> {
        dir.require_unused()?;
        dir.create()?;
        let lock = dir.lock()?;
        // Another process may have been as quick.
        dir.require_unused()?;
        if let Some(other) = first {
            dir.take_frames(other)?;
        }
        EventLog::create(&dir.events(), first.map(|first| first.events()).as_deref())?;
        checkpoints::save(&dir, trainer)?;
        identity::expect(&dir, data)?;
        write_config(&dir, trainer.config())?;
        Ok(Run { lock: Some(lock), ..Run::of(dir, trainer.config().clone(), data, strategies) })
    }

    /// The run in `directory`, with the data that it was started with ([`load_data`] finds those that have a name or a path)
    /// and strategies that its own is one of.
    ///
    /// # Errors
    /// When the directory holds no run, or the data are others ([`Error::ChangedData`]). [`Run::train`] refuses a run whose
    /// strategy is not among these.
    pub fn open(directory: &Path, data: &Dataset, strategies: &Strategies) -> Result<Self, Error> {
        let run = Run::open_on_any_data(directory, data, strategies)?;
        match run.changed {
            None => Ok(run),
            Some(difference) => Err(Error::ChangedData { path: directory.into(), difference }),
        }
    }

    /// The same, with data that may be others than those that it was started with. Where they are, [`Run::train`] puts that
    /// into the log, and from then on the run expects the new ones.
    ///
    /// # Errors
    /// When the directory holds no run, or the data cannot be read.
    pub fn open_on_any_data(directory: &Path, data: &Dataset, strategies: &Strategies) -> Result<Self, Error> {
        let dir = RunDir::new(directory);
        let config = dir.read_config()?;
        let changed = identity::difference(&dir, &config, data)?;
        Ok(Run { changed, ..Run::of(dir, config, data, strategies) })
    }

    fn of(dir: RunDir, config: Config, data: &Dataset, strategies: &Strategies) -> Self {
        Run {
            dir,
            config,
            data: data.clone(),
            strategies: strategies.clone(),
            device: Device::Cpu,
            scorer: None,
            checkpoint_every: None,
            tensorboard: false,
            command: String::new(),
            changed: None,
            lock: None,
        }
    }

    /// Trains on another device than the CPU. Devices round differently; on one device results are the same bits again.
    pub fn on(self, device: Device) -> Self {
        Run { device, ..self }
    }

    /// Is scored by this classifier; by default by the one of the dataset, kept in the cache, or the run's own where it was
    /// extended.
    pub fn scored_by(self, scorer: Scorer) -> Self {
        Run { scorer: Some(scorer), ..self }
    }

    /// Saves a checkpoint every so many iterations, besides every minute and at the end of each task.
    pub fn checkpoint_every(self, iterations: Option<usize>) -> Self {
        Run { checkpoint_every: iterations, ..self }
    }

    /// Writes TensorBoard's event files too.
    pub fn with_tensorboard(self, tensorboard: bool) -> Self {
        Run { tensorboard, ..self }
    }

    /// The command line that the log and reports name as what made the run.
    pub fn commanded_by(self, command: impl Into<String>) -> Self {
        Run { command: command.into(), ..self }
    }

    /// The run directory.
    pub fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// Everything that decides the result.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Trains to the end, or until `stop` says so, which is asked between iterations. Each task is scored when it is
    /// learned. A run that was stopped or killed goes on from its newest checkpoint, to the same bits.
    ///
    /// # Errors
    /// When another process trains here, no checkpoint can be read, the training diverges, or the disk is full. What was
    /// learned up to the last checkpoint stays.
    pub fn train(&mut self, observer: &dyn Observer, stop: &dyn Fn() -> bool) -> Result<Outcome, Error> {
        self.dir.create()?;
        if self.lock.is_none() {
            self.lock = Some(self.dir.lock()?);
        }
        self.dir.sweep()?;
        if identity::expected(&self.dir)?.is_none() {
            // The run is of a version that took no fingerprints.
            identity::expect(&self.dir, &self.data)?;
        }
        let trainer = self.trainer(observer)?;
        let scorer = match &self.scorer {
            Some(scorer) => scorer.clone(),
            None => self.obtain_scorer(None, &default_cache(), observer)?,
        };
        self.require_one_scorer(&scorer)?;
        let mut events = EventLog::resume(&self.dir.events())?;
        if let Some(before) = events.device()?.filter(|before| *before != self.device.to_string()) {
            observer.happened(&Happening::Warning(&format!(
                "the run was trained on {before} and goes on on {}, which rounds differently: not to the bits of an \
                 uninterrupted run (`--device` chooses)",
                self.device
            )));
        }
        events.write(&Event::Start(Start {
            command: self.command.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            microkernel: microkernel()?.into(),
            device: Some(self.device.to_string()),
            threads: rayon::current_num_threads(),
            date: Some(now()),
            host: Some(host()),
            commit: option_env!("MERGAN_COMMIT").map(String::from),
        }))?;
        if let Some(difference) = self.changed.take() {
            events.write(&Event::DataChanged { difference, data: self.data.fingerprint()?.sha256 })?;
            identity::expect(&self.dir, &self.data)?;
        }
        if self.tensorboard {
            events.mirror(TensorBoard::create(&self.dir.tensorboard(), &self.config, checkpoints::position(&trainer))?);
        }
        let session = Session::new(&self.dir, observer, &self.data, scorer, trainer, events, self.checkpoint_every)?;
        session.run(stop)
    }

    /// Scores the newest generator as it is scored when its task is learned.
    ///
    /// # Errors
    /// When no task is learned yet, or a generator or the real images cannot be read. [`Evaluation`] has all the choices.
    pub fn evaluate(&self, scorer: &Scorer) -> Result<TaskScores, Error> {
        let task = self.dir.newest_task()?;
        let trained = Trained::load_with(&self.dir.generator(task), &self.strategies)?.on(self.device);
        let evaluation = Evaluation::new(&self.config, &self.strategies, &self.data, scorer.clone(), &Unobserved)?;
        Ok(evaluation.task(&self.dir, &trained, task, self.config.evaluation.samples, self.config.seed)?.scores)
    }

    /// The classifier in `file`, where one is given; else the one that scored this run so far, where that is still there; else
    /// that of the dataset, trained now where `cache` has none, or the run's own where it was extended.
    ///
    /// # Errors
    /// When it cannot be read, trained or kept, or knows other classes than the run's.
    pub fn obtain_scorer(&self, file: Option<&Path>, cache: &Path, observer: &dyn Observer) -> Result<Scorer, Error> {
        if file.is_some() {
            return Scorer::obtain(file, &self.data, cache, observer);
        }
        let shape = self.data.train.image_shape();
        let former = self.former_scorer().and_then(|sha256| Scorer::find(&sha256, &self.dir, shape, cache));
        match former {
            Some(scorer) => Ok(scorer),
            None if self.config.extensions.is_empty() => Scorer::obtain(None, &self.data, cache, observer),
            None => Scorer::open(&self.dir.scorer(), shape),
        }
    }

    /// The SHA-256 of the classifier that scored the newest task that has scores.
    fn former_scorer(&self) -> Option<String> {
        (1..=self.config.tasks).rev().find_map(|task| self.dir.scored_by(task))
    }

    /// Refuses a classifier that would score the tasks to come otherwise than those before them.
    fn require_one_scorer(&self, scorer: &Scorer) -> Result<(), Error> {
        let Some(before) = self.former_scorer().filter(|before| before != scorer.sha256()) else { return Ok(()) };
        let (root, file) = (self.dir.root().display(), scorer.file().display());
        let reason = format!(
            "the tasks of {root} were scored by another classifier (SHA-256 {}...) than {file}; score them anew first, by \
             `mergan evaluate {root} --scorer {file} --save`, or give that one with --scorer",
            &before[..before.len().min(12)]
        );
        Err(Error::run(self.dir.root(), reason))
    }

    /// How long the rest of the training will take.
    ///
    /// # Errors
    /// When no checkpoint can be read, or the run was extended: its earlier tasks have no data to measure on.
    pub fn estimate(&self, observer: &dyn Observer) -> Result<Estimate, Error> {
        if !self.config.extensions.is_empty() {
            let reason = "an extended run cannot be estimated: its earlier tasks have no data";
            return Err(Error::run(self.dir.root(), reason));
        }
        let trainer = self.trainer(observer)?;
        Estimate::of(&trainer, trainer.tasks_learned(), observer)
    }

    fn trainer(&self, observer: &dyn Observer) -> Result<Trainer, Error> {
        let Run { dir, config, data, strategies, .. } = self;
        let trainer = checkpoints::resume(dir, config, strategies, data.class_names.len(), &data.train, observer)?;
        Ok(trainer.on(self.device))
    }
}

/// How long a training will take.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// Seconds of training that are left.
    pub seconds: f64,
    /// Seconds that an iteration of each task takes.
    pub iterations: Vec<f64>,
}

impl Estimate {
    /// Measures a few iterations of each task; the first `learned` ones are not counted.
    ///
    /// # Errors
    /// As [`Trainer::seconds_per_iteration`].
    pub fn of(trainer: &Trainer, learned: usize, observer: &dyn Observer) -> Result<Self, Error> {
        let config = trainer.config();
        let progress = Progress::begin(observer, Work::Estimating, 0);
        let iterations = trainer.seconds_per_iteration()?;
        drop(progress);
        let left = |(task, seconds): (usize, &f64)| {
            let done = if task == trainer.tasks_learned() { trainer.iterations_done() } else { 0 };
            (config.iterations(task) - done) as f64 * seconds
        };
        // Not `sum`, which makes -0 of nothing.
        let seconds = iterations.iter().enumerate().skip(learned).map(left).fold(0.0, |total, seconds| total + seconds);
        Ok(Estimate { seconds, iterations })
    }
}

/// Refuses what cannot become a run in `directory`, before anything is downloaded or trained: the strategy's options, the
/// tasks of `classes` classes, the directory, and the run in `first` whose first task is to be shared.
///
/// # Errors
/// What is wrong, and what would be right.
pub fn require_startable(
    directory: &Path,
    config: &Config,
    strategies: &Strategies,
    classes: usize,
    first: Option<&Path>,
) -> Result<(), Error> {
    strategies.build(&config.strategy, &config.options)?;
    config.task_sequence(classes)?;
    RunDir::new(directory).require_unused()?;
    first.map_or(Ok(()), |first| first_task(&RunDir::new(first)).map(drop))
}

/// The dataset of the run in `directory`, by what its configuration says; of an extended run the images of its last class and
/// no others. Data that have moved are at `moved`.
///
/// # Errors
/// When the directory holds no run, or the images cannot be fetched or read.
pub fn load_data(directory: &Path, moved: Option<&str>, fetch: &FetchOptions) -> Result<Dataset, Error> {
    let dir = RunDir::new(directory);
    let config = dir.read_config()?;
    match config.extensions.last() {
        Some(extension) => extension::load(&dir, &config, extension, moved.map_or(&extension.images, Path::new)),
        None => {
            let fetch = FetchOptions { images: config.images.clone(), ..fetch.clone() };
            Ok(mergan_datasets::load(moved.unwrap_or(&config.dataset), &fetch)?)
        }
    }
}

/// The configuration of a run that begins on these data.
fn on_data(config: Config, data: &Dataset) -> Result<Config, Error> {
    identity::require(&config, data)?;
    Ok(Config { data: Some(data.fingerprint()?.sha256), ..config })
}

/// The checkpoint at the end of the only task of a run.
fn first_task(first: &RunDir) -> Result<PathBuf, Error> {
    let path = first.checkpoint(Position::end_of(1));
    if path.is_file() {
        return Ok(path);
    }
    let reason = format!(
        "{} is not there; --first-task takes a finished run of one task (`mergan train --tasks 1 ...`)",
        path.display()
    );
    Err(Error::run(first.root(), reason))
}

/// Writes the configuration of a run, which is then started.
pub(crate) fn write_config(dir: &RunDir, config: &Config) -> Result<(), Error> {
    let path = dir.config();
    write_whole(&path, config.to_toml().as_bytes()).at("writing", &path)
}
