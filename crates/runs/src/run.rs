//! A run: one strategy trained on a sequence of tasks, in a directory of its own from which it can be resumed at any
//! time.
//!
//! A run can be killed at any moment and still continues to bit-identical results. The order of writing guarantees
//! this: at the end of a task, the checkpoint is written before the generator and the scores made from it; in a new
//! run, the configuration is written last.

use std::path::{Path, PathBuf};

use mergan_datasets::{Dataset, FetchOptions, Manifest, default_cache};
use mergan_files::LockFile;
use mergan_models::Architecture;
use mergan_record::{Event, Position, Start, TaskScores, quoted, sealed_toml, write_whole};
use mergan_strategies::{Choice, Config, Strategies, Trainer};
use mergan_tensor::{Device, microkernel};

use crate::checkpoints;
use crate::dir::RunDir;
use crate::error::{At, Error};
use crate::evaluation::{Evaluation, duration};
use crate::export::tensorboard::TensorBoard;
use crate::extension;
use crate::host::{host, now};
use crate::identity;
use crate::log::EventLog;
use crate::memory;
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
    /// The differences between the data and those that the run was started with, if they were accepted.
    changed: Option<String>,
    /// Keeps other processes from training in this directory.
    lock: Option<LockFile>,
}

/// The way in which a training run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All tasks are learned and scored.
    Finished,
    /// It was asked to stop. [`Run::open`] and [`Run::train`] continue to the same bits as a run that was never
    /// stopped.
    Stopped,
}

impl Run {
    /// Starts a new run of one of these strategies in `directory`, which may hold other files, but no run.
    ///
    /// # Errors
    /// When the directory already holds a run, the configuration does not fit the data or names an unknown strategy,
    /// or the disk is full.
    pub fn start(directory: &Path, config: Config, data: &Dataset, strategies: &Strategies) -> Result<Self, Error> {
        let config = on_data(config, data)?;
        let trainer = new_trainer(config, data, strategies)?;
        Run::begin(RunDir::new(directory), &trainer, data, strategies, None)
    }

    /// Starts a new run that shares the first task of the run in `first`, which must be finished, have a single task
    /// and use the same seed. This way all strategies start from the same network, as in the paper (caption of figure
    /// 5).
    ///
    /// # Errors
    /// The errors of [`Run::start`], and when the first task of that run is not the one that this configuration would
    /// train.
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
        let classes = data.class_names.len();
        let trainer = Trainer::fork(config, strategies, classes, &data.train, &checkpoint);
        let trainer = trainer.map_err(|error| Error::in_training(error, &data.class_names))?;
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
        // Another process may have started a run here meanwhile.
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

    /// Opens the run in `directory`, with the data that it was started with ([`load_data`] finds data with a name or
    /// a path) and strategies that include the run's own.
    ///
    /// # Errors
    /// When the directory holds no run, or the data have changed ([`Error::ChangedData`]). [`Run::train`] refuses a
    /// run whose strategy is not among these.
    pub fn open(directory: &Path, data: &Dataset, strategies: &Strategies) -> Result<Self, Error> {
        let run = Run::open_on_any_data(directory, data, strategies)?;
        match run.changed {
            None => Ok(run),
            Some(difference) => Err(Error::ChangedData { path: directory.into(), difference }),
        }
    }

    /// Opens a run with data that may differ from those that it was started with. If they do, [`Run::train`] logs it,
    /// and from then on the run expects the new data.
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

    /// Trains on a device other than the CPU. Devices round differently, but on one device results are bit-identical.
    pub fn on(self, device: Device) -> Self {
        Run { device, ..self }
    }

    /// Sets the classifier that scores the run. The default is the dataset's classifier, kept in the cache, or the
    /// run's own if it was extended.
    pub fn scored_by(self, scorer: Scorer) -> Self {
        Run { scorer: Some(scorer), ..self }
    }

    /// Saves a checkpoint every `iterations` iterations, in addition to every minute and at the end of each task.
    pub fn checkpoint_every(self, iterations: Option<usize>) -> Self {
        Run { checkpoint_every: iterations, ..self }
    }

    /// Sets whether TensorBoard's event files are written too.
    pub fn with_tensorboard(self, tensorboard: bool) -> Self {
        Run { tensorboard, ..self }
    }

    /// Sets the command line that the log and reports name as the origin of the run.
    pub fn commanded_by(self, command: impl Into<String>) -> Self {
        Run { command: command.into(), ..self }
    }

    /// Returns the run directory.
    pub fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// Returns everything that decides the result.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Trains to the end, or until `stop`, which is called between iterations and before a task is scored, returns
    /// true. Each task is scored when it is learned. A run that was stopped or killed continues from its newest checkpoint, to the same bits.
    ///
    /// # Errors
    /// When another process trains here, no checkpoint can be read, the training diverges, or the disk is full. What
    /// was learned up to the last checkpoint stays.
    pub fn train(&mut self, observer: &dyn Observer, stop: &dyn Fn() -> bool) -> Result<Outcome, Error> {
        self.dir.create()?;
        if self.lock.is_none() {
            self.lock = Some(self.dir.lock()?);
        }
        if let Some(notice) = self.lock.as_ref().and_then(LockFile::notice) {
            observer.happened(&Happening::Warning(notice));
        }
        self.dir.sweep()?;
        if identity::expected(&self.dir)?.is_none() {
            // The run was made by a version that took no fingerprints.
            identity::expect(&self.dir, &self.data)?;
        }
        let trainer = self.trainer(observer)?;
        let scorer = match &self.scorer {
            Some(scorer) => scorer.clone(),
            None => self.obtain_scorer(None, &default_cache(), observer)?,
        };
        self.require_one_scorer(&scorer)?;
        // The training does not depend on earlier scores, so damaged ones are no reason to stop.
        for error in (1..=self.config.tasks).filter_map(|task| self.dir.scored_by(task).err()) {
            observer.happened(&Happening::Warning(&error.to_string()));
        }
        let mut events = EventLog::resume(&self.dir.events(), observer)?;
        if let Some(before) = events.device()?.filter(|before| *before != self.device.to_string()) {
            observer.happened(&Happening::Warning(&format!(
                "the run was trained on {before} and goes on on {}, which rounds differently: not to the bits of an \
                 uninterrupted run (`--device` chooses)",
                self.device
            )));
        }
        let mut log = |event: Event| {
            events.write(&event)?;
            observer.happened(&Happening::Logged(&event));
            Ok::<_, Error>(())
        };
        log(Event::Start(Start {
            command: self.command.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            microkernel: microkernel().into(),
            device: Some(self.device.to_string()),
            threads: rayon::current_num_threads(),
            date: Some(now()),
            host: Some(host()),
            commit: option_env!("MERGAN_COMMIT").map(String::from),
        }))?;
        if let Some(difference) = self.changed.take() {
            log(Event::DataChanged { difference, data: self.data.fingerprint()?.sha256 })?;
            identity::expect(&self.dir, &self.data)?;
        }
        if self.tensorboard {
            events.mirror(TensorBoard::create(&self.dir.tensorboard(), &self.config, checkpoints::position(&trainer))?);
        }
        let session = Session::new(&self.dir, observer, &self.data, scorer, trainer, events, self.checkpoint_every)?;
        session.run(stop)
    }

    /// Scores the newest generator in the same way as when its task is learned.
    ///
    /// # Errors
    /// When no task is learned yet, or a generator or the real images cannot be read. [`Evaluation`] offers all the
    /// choices.
    pub fn evaluate(&self, scorer: &Scorer) -> Result<TaskScores, Error> {
        let task = self.dir.newest_task()?;
        let trained = Trained::load_with(&self.dir.generator(task), &self.strategies)?.on(self.device);
        let evaluation = Evaluation::new(&self.config, &self.strategies, &self.data, scorer.clone(), &Unobserved)?;
        Ok(evaluation.task(&self.dir, &trained, task, self.config.evaluation.samples, self.config.seed)?.scores)
    }

    /// Returns the classifier in `file`, if one is given. Otherwise it is the one that has scored this run so far, if
    /// it still exists; else that of the dataset, which is trained now if it is not in `cache`, or the run's own if
    /// it was extended.
    ///
    /// # Errors
    /// When it cannot be read, trained or stored, or its classes are not those of the run.
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

    /// Returns the SHA-256 of the classifier that scored the newest task with scores that can be read.
    fn former_scorer(&self) -> Option<String> {
        (1..=self.config.tasks).rev().find_map(|task| self.dir.scored_by(task).ok()?)
    }

    /// Refuses a classifier other than the one that scored the earlier tasks.
    fn require_one_scorer(&self, scorer: &Scorer) -> Result<(), Error> {
        let Some(before) = self.former_scorer().filter(|before| before != scorer.sha256()) else { return Ok(()) };
        let (root, file) = (self.dir.root().display(), scorer.file().display());
        let (root_, file_) = (quoted(&root), quoted(&file));
        let reason = format!(
            "the tasks of {root} were scored by another classifier (SHA-256 {}...) than {file}; score them anew first, by \
             `mergan evaluate {root_} --scorer {file_} --save`, or give that one with --scorer",
            &before[..before.len().min(12)]
        );
        Err(Error::run(self.dir.root(), reason))
    }

    /// Estimates how long the rest of the training will take.
    ///
    /// # Errors
    /// When no checkpoint can be read, or the run was extended, so that its earlier tasks have no data to measure on.
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

/// The estimated duration of a training run.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// The remaining seconds of training.
    pub seconds: f64,
    /// The remaining seconds of scoring.
    pub scoring: f64,
    /// The seconds that an iteration of each task takes.
    pub iterations: Vec<f64>,
}

impl Estimate {
    /// Measures a few iterations of each task and the scoring of a few images; the first `learned` tasks are not counted.
    ///
    /// # Errors
    /// The errors of [`Trainer::seconds_per_iteration`].
    pub fn of(trainer: &Trainer, learned: usize, observer: &dyn Observer) -> Result<Self, Error> {
        let config = trainer.config();
        let progress = Progress::begin(observer, Work::Estimating, 0);
        let iterations = trainer.seconds_per_iteration()?;
        drop(progress);
        let left = |(task, seconds): (usize, &f64)| {
            let done = if task == trainer.tasks_learned() { trainer.iterations_done() } else { 0 };
            (config.iterations(task) - done) as f64 * seconds
        };
        // A sum begins at -0, which is what it would be if all tasks were learned.
        let seconds = 0.0 + iterations.iter().enumerate().skip(learned).map(left).sum::<f64>();
        let scoring = 0.0 + duration::seconds(trainer).iter().skip(learned).sum::<f64>();
        Ok(Estimate { seconds, scoring, iterations })
    }
}

/// Resolves a choice for a dataset. Its images determine the architecture, whatever the choice says.
///
/// # Errors
/// The errors of [`Config::resolve`], and when no architecture makes images of this size.
pub fn configure(choice: Choice, dataset: &Manifest, strategies: &Strategies) -> Result<Config, Error> {
    let [_, height, width] = dataset.shape;
    let architecture = Architecture::of_side(height).next().filter(|_| height == width).ok_or_else(|| {
        let sizes = Architecture::image_sizes();
        Error::Request(format!(
            "{} has images of {height} x {width} pixels; there are networks for {sizes}",
            choice.dataset
        ))
    })?;
    Ok(Config::resolve(&Choice { architecture, ..choice }, strategies, dataset.classes.len())?)
}

/// Checks that a run can start in `directory`, before anything is downloaded or trained: the strategy's options, the
/// tasks of the dataset's classes, the memory, the directory, and the run in `first` whose first task is to be shared.
///
/// # Errors
/// Says what is wrong, and what is expected.
pub fn require_startable(
    directory: &Path,
    config: &Config,
    strategies: &Strategies,
    dataset: &Manifest,
    first: Option<&Path>,
) -> Result<(), Error> {
    let ([channels, _, _], classes) = (dataset.shape, dataset.classes.len());
    strategies.build(&config.strategy, &config.options)?;
    config.task_sequence(classes)?;
    memory::require_for_training(config, channels, classes)?;
    RunDir::new(directory).require_unused()?;
    first.map_or(Ok(()), |first| first_task(&RunDir::new(first)).map(drop))
}

/// Creates the trainer of a new run, which shows that there is enough of the data for every task.
///
/// # Errors
/// The errors of [`Trainer::new`], with the names of the classes, and when the machine has too little memory.
pub fn new_trainer(config: Config, data: &Dataset, strategies: &Strategies) -> Result<Trainer, Error> {
    let ([channels, _, _], classes) = (data.train.image_shape(), data.class_names.len());
    memory::require_for_training(&config, channels, classes)?;
    Trainer::new(config, strategies, classes, &data.train).map_err(|error| Error::in_training(error, &data.class_names))
}

/// Loads the dataset of the run in `directory`, as its configuration names it; for an extended run, the images of its
/// last class and no others. If the data have moved, `moved` is their location.
///
/// # Errors
/// When the directory holds no run, or the images cannot be fetched or read.
pub fn load_data(directory: &Path, moved: Option<&str>, fetch: &FetchOptions) -> Result<Dataset, Error> {
    let dir = RunDir::new(directory);
    let config = dir.read_config()?;
    match config.extensions.last() {
        Some(extension) => extension::load(&dir, &config, extension, moved.map_or(&extension.images, Path::new), fetch),
        None => {
            let fetch = FetchOptions { images: config.images.clone(), ..fetch.clone() };
            Ok(mergan_datasets::load(moved.unwrap_or(&config.dataset), &fetch)?)
        }
    }
}

/// Returns the configuration of a run that begins on these data.
fn on_data(config: Config, data: &Dataset) -> Result<Config, Error> {
    identity::require(&config, data)?;
    Ok(Config { data: Some(data.fingerprint()?.sha256), ..config })
}

/// Returns the checkpoint at the end of a run's only task.
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

/// Writes the configuration of a run, which counts as started from then on.
pub(crate) fn write_config(dir: &RunDir, config: &Config) -> Result<(), Error> {
    let path = dir.config();
    write_whole(&path, sealed_toml(&config.to_toml()).as_bytes()).at("writing", &path)
}
