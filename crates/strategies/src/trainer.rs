//! The trainer, which serves every strategy. It goes through the tasks, iteration by iteration.
//!
//! The caller drives it: [`Trainer::advance`] does one iteration or ends one task and returns what happened. The caller
//! thus decides when to show progress, save or score, and the trainer needs no knowledge of run directories or reports.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use mergan_datasets::{Labelled, TaskSequence};
use mergan_models::{Critic, Generator, ModelConfig, Network, Parameter, Weights};
use mergan_tensor::{Device, Random};

use crate::batches::{Batches, Grouping};
use crate::checkpoint::{Checkpoint, State};
use crate::config::{Config, Extension, ModelOptions, NewClasses};
use crate::draws::Draws;
use crate::error::Error;
use crate::learner::{Learner, Losses};
use crate::losses::LossWeights;
use crate::recorder::Recorder;
use crate::sampling::{Sampling, Source};
use crate::step::{ReplayCounter, Snapshot, StepInputs};
use crate::strategies::Strategies;
use crate::strategy::{Kept, Learned, Strategy, TaskEnd, TaskStart};

/// Trains one strategy on a sequence of tasks.
pub struct Trainer {
    config: Config,
    tasks: TaskSequence,
    train: Labelled,
    noise: Random,
    /// The strategies among which `strategy` was looked up.
    strategies: Strategies,
    strategy: Box<dyn Strategy>,
    learner: Learner,
    /// The recordings of the current task's steps.
    recorder: Recorder,
    /// The running average of the generator's weights.
    average: Generator,
    /// The networks as the last task left them, if the strategy asks for them.
    old: Option<Snapshot>,
    /// Counts the images replayed in the current task.
    replay_counter: ReplayCounter,
    task: usize,
    iteration: usize,
    /// The batches of the current task, created by its first iteration.
    batches: Option<Batches>,
    /// The losses that have not been checked yet, with their iterations in the current task, counted from 1.
    unseen: Vec<(usize, Losses)>,
}

/// The result of [`Trainer::advance`].
#[derive(Clone, Debug)]
pub enum Advance {
    /// An iteration was done: a generator step, except in the first iteration of a task, followed by the critic steps.
    Iteration {
        /// The task, counted from 1.
        task: usize,
        /// The iteration, counted from 1.
        iteration: usize,
        /// The number of iterations of this task.
        iterations: usize,
        /// The losses of the generator step and of the last critic step.
        losses: Losses,
    },
    /// A task has been learned. The generator can be scored, and the strategy has updated what it remembers.
    TaskEnd {
        /// The task, counted from 1.
        task: usize,
    },
}

/// A loss of larger magnitude means that training has diverged; healthy losses stay below a few hundred.
const DIVERGED: f64 = 1e6;

/// The number of iterations after which losses are checked on devices where reading them waits for the device. On other
/// devices they are checked at once.
const UNSEEN: usize = 100;

impl Trainer {
    /// Creates a trainer at the beginning of its first task. It shares the images and holds them as long as it lives.
    ///
    /// # Errors
    /// Returns an error if the configuration does not fit the data, if a class has too few images for a batch, or if the
    /// strategy is not among `strategies` or refuses its options.
    pub fn new(config: Config, strategies: &Strategies, classes: usize, train: &Labelled) -> Result<Self, Error> {
        let trainer = Trainer::at_start(config, strategies, classes, train)?;
        trainer.require_images(0..trainer.config.tasks)?;
        Ok(trainer)
    }

    /// Does the same as [`Trainer::new`] for images that need not be of all tasks.
    fn at_start(config: Config, strategies: &Strategies, classes: usize, train: &Labelled) -> Result<Self, Error> {
        let strategy = strategies.build(&config.strategy, &config.options)?;
        let [channels, height, width] = train.image_shape();
        config.model.require_side(height, width)?;
        let ModelOptions { architecture, width: layer_width, latent } = config.model;
        let tasks = config.task_sequence(classes)?;
        // Generators trained on mixed batches are also scored in mixed batches of all learned classes, so they must be
        // trained on all of these classes.
        let sees_all = |task: usize| strategy.classes(&tasks, task).len() == tasks.classes_seen(task + 1).len();
        if config.training.grouping == Grouping::Mixed && !(0..config.tasks).all(sees_all) {
            return Err(Error::Config {
                place: "configuration, training.grouping".into(),
                reason: format!("{} does not see all learned classes in every task; it must be pure", config.strategy),
            });
        }
        let noise = Random::new(config.seed);
        let sizes = ModelConfig { architecture, width: layer_width, channels, classes, latent };
        let generator = strategy.generator(sizes, noise);
        let critic = Critic::new(sizes, noise, Device::Cpu);
        let learner = Learner::new(&generator, &critic, config.adam(), |parameter| strategy.trains(parameter, 0));
        Ok(Trainer {
            config,
            tasks,
            train: train.clone(),
            noise,
            strategies: strategies.clone(),
            strategy,
            learner,
            recorder: Recorder::default(),
            average: generator,
            old: None,
            replay_counter: ReplayCounter::default(),
            task: 0,
            iteration: 0,
            batches: None,
            unseen: Vec::new(),
        })
    }

    /// Moves the training to another device. Devices round differently, so their results agree only up to rounding; on
    /// one device they are bit-identical.
    pub fn on(mut self, device: Device) -> Self {
        self.learner = self.learner.moved_to(device);
        self.recorder = Recorder::default();
        self.average = self.average.on(device);
        self.old = self.old.map(|old| Snapshot { generator: old.generator.on(device), critic: old.critic.on(device) });
        self.strategy.move_to(device);
        self
    }

    /// Returns the device that computes.
    pub fn device(&self) -> Device {
        self.average.device()
    }

    /// Resumes a training from a checkpoint of the same configuration. The results are bit-identical to those of a
    /// training that never stopped.
    ///
    /// # Errors
    /// Returns the errors of [`Trainer::new`], and an error if the checkpoint belongs to another configuration or is
    /// damaged.
    pub fn resume(
        config: Config,
        strategies: &Strategies,
        classes: usize,
        train: &Labelled,
        path: &Path,
    ) -> Result<Self, Error> {
        let mut trainer = Trainer::at_start(config, strategies, classes, train)?;
        let checkpoint = Checkpoint::load(path)?;
        checkpoint.require_same_run(&trainer.config)?;
        (trainer.task, trainer.iteration) = checkpoint.position();
        trainer.old = checkpoint.old(&trainer.learner)?;
        if trainer.task > 0 {
            trainer.prepare_task();
        }
        trainer.learner = trainer.saved_learner(&checkpoint)?;
        trainer.average = checkpoint.average(&trainer.average)?;
        trainer.replay_counter = ReplayCounter::new(checkpoint.replayed());
        let learned = trainer.tasks.classes_seen(trainer.task);
        trainer.strategy.restore(path, checkpoint.weights(), &trainer.average, &learned)?;
        Ok(trainer)
    }

    /// Creates a trainer whose first task was learned by another run. All strategies can share it, as in the paper
    /// (caption of figure 5). `path` is that run's checkpoint at the end of its first and only task.
    ///
    /// # Errors
    /// Returns the errors of [`Trainer::new`], and an error if that run's first task is not the one that this
    /// configuration would train, or if its strategy is not among `strategies`.
    pub fn fork(
        config: Config,
        strategies: &Strategies,
        classes: usize,
        train: &Labelled,
        path: &Path,
    ) -> Result<Self, Error> {
        let mut trainer = Trainer::new(config, strategies, classes, train)?;
        let checkpoint = Checkpoint::load(path)?;
        let tasks = &trainer.tasks;
        let asked = |strategy: &dyn Strategy| strategy.conditions(&strategy.classes(tasks, 0));
        checkpoint.require_same_first_task(&trainer.config, |saved| {
            Ok(asked(&*strategies.build(&saved.strategy, &saved.options)?) == asked(&*trainer.strategy))
        })?;
        // Only what all strategies train in the first task is shared.
        trainer.learner.generator.network = trainer.average.trunk();
        trainer.learner = trainer.saved_learner(&checkpoint)?;
        let learned = &mut trainer.learner.generator.network;
        *learned = trainer.average.on_trunk(learned);
        trainer.begin_task(1, false)?;
        Ok(trainer)
    }

    /// Creates a trainer that learns one more class after a finished run, with the strategy of that run. `path` is the
    /// run's last checkpoint. `train` needs to hold only images of the new class. `classes` is the new number of
    /// classes, which is at least the previous one.
    ///
    /// # Errors
    /// Returns an error if the checkpoint is damaged or does not belong to a finished training, if the class is already
    /// learned, or if the strategy is not among `strategies` or learns from real images of the earlier classes.
    pub fn extend(
        extension: Extension,
        strategies: &Strategies,
        classes: usize,
        train: &Labelled,
        path: &Path,
    ) -> Result<Self, Error> {
        let checkpoint = Checkpoint::load(path)?;
        let before = checkpoint.config()?;
        checkpoint.require_end_of(before.tasks)?;
        let mut trainer = Trainer::at_start(before.extended_by(extension), strategies, classes, train)?;
        let task = before.tasks;
        if trainer.strategy.classes(&trainer.tasks, task) != trainer.tasks.tasks()[task] {
            return Err(Error::Config {
                place: format!("strategy {}", before.strategy),
                reason: "it learns from real images of all classes, which are not at hand; extend a run of another one"
                    .into(),
            });
        }
        trainer.require_images(task..task + 1)?;
        let before = Trainer::resume(before, strategies, checkpoint.classes()?, train, path)?;
        let critic = &mut trainer.learner.critic.network;
        *critic = critic.holding(&before.learner.critic.network);
        let critic = critic.clone();
        trainer.average = trainer.average.holding(&before.average);
        trainer.old = before.old.map(|old| Snapshot {
            generator: trainer.average.holding(&old.generator),
            critic: critic.holding(&old.critic),
        });
        trainer.strategy = before.strategy;
        trainer.strategy.grow(&trainer.average);
        trainer.start_task(task);
        Ok(trainer)
    }

    /// Does the next iteration, or ends the task if its iterations are done. Returns `None` when all tasks are learned.
    ///
    /// # Errors
    /// Returns an error if a loss is not finite or is far too large. The training is then lost, but its last checkpoint
    /// is not. On CUDA devices this is detected some iterations later, but always before a checkpoint is written. Also
    /// returns an error if images cannot be read, or, after [`Trainer::resume`], if a class has too few for a batch.
    pub fn advance(&mut self) -> Result<Option<Advance>, Error> {
        if self.task == self.config.tasks {
            return Ok(None);
        }
        let iterations = self.config.iterations(self.task);
        if self.iteration < iterations {
            let losses = self.iterate()?;
            self.iteration += 1;
            self.unseen.push((self.iteration, losses.clone()));
            let most = if matches!(self.device(), Device::Cuda(_)) { UNSEEN } else { 1 };
            if self.unseen.len() >= most {
                self.require_sane_losses()?;
                self.unseen.clear();
            }
            return Ok(Some(Advance::Iteration { task: self.task + 1, iteration: self.iteration, iterations, losses }));
        }
        self.require_sane_losses()?;
        self.require_finite()?;
        self.learner.generator.network = self.average.clone();
        self.begin_task(self.task + 1, false)?;
        Ok(Some(Advance::TaskEnd { task: self.task }))
    }

    /// Returns the tasks of this training.
    pub fn tasks(&self) -> &TaskSequence {
        &self.tasks
    }

    /// Returns the configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the number of tasks learned so far.
    pub fn tasks_learned(&self) -> usize {
        self.task
    }

    /// Returns the number of iterations done in the current task.
    pub fn iterations_done(&self) -> usize {
        self.iteration
    }

    /// Returns the generator to score and export, whose weights are the running average.
    pub fn generator(&self) -> &Generator {
        &self.average
    }

    /// Returns the strategies among which this training's strategy was looked up.
    pub fn strategies(&self) -> &Strategies {
        &self.strategies
    }

    /// Returns the source of samples: [`Trainer::generator`] with the strategy's sampler.
    pub fn source(&self) -> Source<'_> {
        Source { sampler: self.strategy.sampler(), ..Source::from(&self.average) }
    }

    /// Returns how many images of each class have been replayed in the current task.
    pub fn replayed(&self) -> BTreeMap<usize, u64> {
        self.replay_counter.counts()
    }

    /// Returns how many images the critic's batches of a whole task hold, real and replayed ones together. Tasks are counted
    /// from 0.
    pub fn critic_images(&self, task: usize) -> u64 {
        let training = &self.config.training;
        let batch = training.grouping.batch(training.batch, self.members(task));
        (self.config.iterations(task) * training.critic_steps * batch) as u64
    }

    /// Returns what has to be kept of the tasks learned so far.
    pub fn kept(&self) -> Kept {
        let classes = self.tasks.classes_seen(self.task);
        self.strategy.kept(&Learned { generator: &self.average, classes: &classes, train: &self.train })
    }

    /// Returns the settings with which this training's generators are sampled and scored.
    pub fn sampling(&self) -> Sampling {
        Sampling {
            batch: self.config.evaluation.batch,
            grouping: self.config.training.grouping,
            seed: self.config.seed,
        }
    }

    /// Writes a checkpoint. The file at `path` is complete at any time.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written, or if a loss or a weight is not finite or a loss is far too
    /// large, so that training can always continue from a checkpoint.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        self.require_sane_losses()?;
        self.require_finite()?;
        let mut weights = Weights::default();
        self.strategy.save(&mut weights);
        let state = State {
            task: self.task,
            iteration: self.iteration,
            learner: &self.learner,
            average: &self.average,
            old: self.old.as_ref(),
            replayed: self.replay_counter.counts(),
        };
        Checkpoint::save(path, weights, &self.config, state)
    }

    /// Returns the seconds that one iteration of each task takes, measured on temporary networks; this training is not
    /// affected. The work of a strategy at the end of a task is not included.
    ///
    /// # Errors
    /// Returns the errors of [`Trainer::advance`].
    pub fn seconds_per_iteration(&self) -> Result<Vec<f64>, Error> {
        const TIMED: usize = 2;
        let classes = self.average.config().classes;
        let mut probe = Trainer::new(self.config.clone(), &self.strategies, classes, &self.train)?.on(self.device());
        let mut seconds = Vec::new();
        while probe.task < probe.config.tasks {
            // The first iteration has no generator step and serves as a warm-up. Reading the losses waits for the
            // device.
            probe.iterate()?.read();
            probe.iteration = 1;
            let start = Instant::now();
            for _ in 0..TIMED {
                probe.iterate()?.read();
            }
            seconds.push(start.elapsed().as_secs_f64() / TIMED as f64);
            probe.skip_task()?;
        }
        Ok(seconds)
    }

    /// Goes on to the next task as if this one were learned, to measure the cost of later tasks.
    ///
    /// # Errors
    /// Returns an error if images that the strategy keeps cannot be read.
    ///
    /// # Panics
    /// Panics if all tasks are learned.
    pub fn skip_task(&mut self) -> Result<(), Error> {
        assert!(self.task < self.config.tasks, "no task is left to skip");
        self.begin_task(self.task + 1, true)
    }

    /// Ends the current task and starts task `task` from the generator that learned the tasks so far, with new
    /// optimisers, as in the released code. In a rehearsal nothing was learned; see [`TaskEnd::rehearsal`].
    fn begin_task(&mut self, task: usize, rehearsal: bool) -> Result<(), Error> {
        let (generator, critic) = (self.learner.generator.network.frozen(), self.learner.critic.network.frozen());
        self.strategy.end_task(&TaskEnd {
            task: task - 1,
            tasks: &self.tasks,
            train: &self.train,
            generator: &generator,
            critic: &critic,
            old: self.old.as_ref(),
            batch: self.config.evaluation.batch,
            random: self.noise,
            rehearsal,
        })?;
        self.average = generator.clone();
        self.old = self.strategy.needs_snapshot(task).then_some(Snapshot { generator, critic });
        self.start_task(task);
        Ok(())
    }

    /// Starts task `task` from the averaged weights. If there is no such task, training is complete.
    fn start_task(&mut self, task: usize) {
        self.replay_counter = ReplayCounter::default();
        let next = self.tasks.tasks().get(task);
        if let (Some(new), NewClasses::Mean) = (next, self.config.training.new_classes) {
            self.average = self.average.start_at_mean(new, &self.tasks.classes_seen(task));
        }
        (self.task, self.iteration, self.batches) = (task, 0, None);
        self.prepare_task();
        self.recorder = Recorder::default();
        self.unseen.clear();
    }

    /// Prepares the networks for the current task, which is not the first.
    fn prepare_task(&mut self) {
        let task = self.task;
        if task < self.config.tasks {
            let start = TaskStart { task, tasks: &self.tasks, random: self.noise };
            self.average = self.strategy.start_task(&start, self.average.clone());
        }
        let trains = |parameter: &Parameter| self.strategy.trains(parameter, task);
        self.learner = Learner::new(&self.average, &self.learner.critic.network, self.config.adam(), trains);
    }

    /// Returns the networks and optimisers of a checkpoint for the task that this training is at.
    fn saved_learner(&self, checkpoint: &Checkpoint) -> Result<Learner, Error> {
        checkpoint.learner(&self.learner, self.config.adam(), |parameter| self.strategy.trains(parameter, self.task))
    }

    /// Returns an error if a weight is not finite. The losses cannot show this, because a step computes them before it
    /// changes the weights.
    fn require_finite(&self) -> Result<(), Error> {
        let Learner { generator, critic } = &self.learner;
        let values = [generator.network.values(), critic.network.values(), self.average.values()];
        match values.into_iter().flatten().map(|value| value.detach().sum().item()).find(|sum| !sum.is_finite()) {
            None => Ok(()),
            Some(value) => {
                Err(Error::Diverged { task: self.task + 1, iteration: self.iteration, name: "sum of weights", value })
            }
        }
    }

    /// Checks the losses that have not been checked yet.
    fn require_sane_losses(&self) -> Result<(), Error> {
        let is_sane = |value: f64| value.is_finite() && value.abs() <= DIVERGED;
        for &(iteration, ref losses) in &self.unseen {
            if let Some((name, value)) = losses.read().into_iter().find(|&(_, value)| !is_sane(value)) {
                return Err(Error::Diverged { task: self.task + 1, iteration, name, value });
            }
        }
        Ok(())
    }

    /// Returns how many classes a batch of the critic has in a task, counted from 0.
    fn members(&self, task: usize) -> usize {
        self.strategy.mixes_in(self.tasks.classes_seen(task).len()) + self.strategy.classes(&self.tasks, task).len()
    }

    /// Returns the batches of a task's real images.
    fn real_batches(&self, task: usize) -> Result<Batches, Error> {
        let (classes, training) = (self.strategy.classes(&self.tasks, task), &self.config.training);
        let members = self.members(task);
        Batches::new(&self.tasks, &self.train, &classes, members, task, training.grouping, training.batch)
    }

    /// Returns an error if one of these tasks has too few images for a batch.
    fn require_images(&self, mut tasks: Range<usize>) -> Result<(), Error> {
        tasks.try_for_each(|task| self.real_batches(task).map(drop))
    }

    fn iterate(&mut self) -> Result<Losses, Error> {
        let mut batches = match self.batches.take() {
            Some(batches) => batches,
            None => self.real_batches(self.task)?,
        };
        let training = &self.config.training;
        let past = self.tasks.classes_seen(self.task);
        let classes = self.strategy.classes(&self.tasks, self.task);
        let done = self.iteration as f64 / self.config.iterations(self.task) as f64;
        let device = self.average.device();
        let inputs = |inner| StepInputs {
            old: self.old.as_ref(),
            past: &past,
            classes: &classes,
            grouping: training.grouping,
            batch: training.batch,
            mirror: training.mirror,
            augmentation: training.augment,
            weights: LossWeights { penalty: training.penalty, class: training.class_weight },
            rate: training.rate * (1.0 - done * (1.0 - training.final_rate)),
            draws: Draws {
                noise: &self.noise,
                device,
                latent: self.config.model.latent,
                task: self.task,
                iteration: self.iteration,
                inner,
            },
            replay_counter: &self.replay_counter,
        };
        let mut losses = Losses::default();
        if self.iteration > 0 {
            losses = self.recorder.generator_step(&mut self.learner, &*self.strategy, &inputs(0));
        }
        self.average = match training.average {
            0.0 => self.learner.generator.network.frozen(),
            decay => self.average.towards(&self.learner.generator.network, 1.0 - decay),
        };
        for inner in 0..training.critic_steps {
            let batch = batches.get(self.iteration * training.critic_steps + inner, &self.noise, device)?;
            let critic = self.recorder.critic_step(&mut self.learner, &*self.strategy, &inputs(inner), batch);
            if inner + 1 == training.critic_steps {
                losses = losses.and(critic);
            }
        }
        self.batches = Some(batches);
        Ok(losses)
    }
}
