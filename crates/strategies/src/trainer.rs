//! One trainer for every strategy: it goes through the tasks, iteration by iteration.
//!
//! The caller pulls: [`Trainer::advance`] does one iteration or ends one task and says what happened. So the caller
//! decides when to show progress, save or score, and the trainer knows nothing of files and reports.

use std::collections::BTreeMap;
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
use crate::step::{Round, Snapshot, Tally};
use crate::strategies::Strategies;
use crate::strategy::{Strategy, TaskEnd};

/// A training of one strategy on a sequence of tasks.
pub struct Trainer {
    config: Config,
    tasks: TaskSequence,
    train: Labelled,
    noise: Random,
    /// Those among which the strategy was found.
    strategies: Strategies,
    strategy: Box<dyn Strategy>,
    learner: Learner,
    /// What has been recorded of the current task's steps.
    recorder: Recorder,
    /// The running average of the generator's weights.
    average: Generator,
    /// The networks as the last task left them, where the strategy asks for them.
    old: Option<Snapshot>,
    /// What has been replayed in the current task.
    tally: Tally,
    task: usize,
    iteration: usize,
    /// The real images of the current task, once they are needed.
    batches: Option<Batches>,
    /// The losses of iterations (counted from 1) of the current task that nobody has looked at yet.
    unseen: Vec<(usize, Losses)>,
}

/// What [`Trainer::advance`] did.
#[derive(Clone, Debug)]
pub enum Advance {
    /// One iteration: a generator step (but in a task's first iteration) and the critic steps.
    Iteration {
        /// The task, counted from 1.
        task: usize,
        /// The iteration, counted from 1.
        iteration: usize,
        /// Iterations of this task.
        iterations: usize,
        /// The losses of the generator step and of the last critic step.
        losses: Losses,
    },
    /// A task is learned: the generator is the one to score and the strategy remembers it.
    TaskEnd {
        /// The task, counted from 1.
        task: usize,
    },
}

/// Losses beyond this are no training any more; healthy ones stay below a few hundred.
const DIVERGED: f64 = 1e6;

/// After so many iterations losses are looked at on devices that would have to be waited for; elsewhere at once.
const UNSEEN: usize = 100;

impl Trainer {
    /// A training at its beginning. It shares the images and holds them as long as it lives.
    ///
    /// # Errors
    /// When the configuration does not fit the data, its strategy is not among these or refuses its options.
    pub fn new(config: Config, strategies: &Strategies, classes: usize, train: &Labelled) -> Result<Self, Error> {
        let strategy = strategies.build(&config.strategy, &config.options)?;
        let [channels, height, width] = train.image_shape();
        let ModelOptions { architecture, width: layer_width, latent } = config.model;
        if (height, width) != (architecture.side(), architecture.side()) {
            return Err(Error::ImageSize { height, width, side: architecture.side() });
        }
        let tasks = config.task_sequence(classes)?;
        // Scored as they are trained, in batches of all learned classes, so they must be trained on all of them.
        let sees_all = |task: usize| strategy.classes(&tasks, task).len() == tasks.classes_seen(task + 1).len();
        if config.training.grouping == Grouping::Mixed && !(0..config.tasks).all(sees_all) {
            return Err(Error::Config {
                place: "configuration, training.grouping".into(),
                reason: format!("{} does not see all learned classes in every task; it must be pure", config.strategy),
            });
        }
        let noise = Random::new(config.seed);
        let sizes = ModelConfig { architecture, width: layer_width, channels, classes, latent };
        let generator = Generator::new(sizes, noise, Device::Cpu);
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
            tally: Tally::default(),
            task: 0,
            iteration: 0,
            batches: None,
            unseen: Vec::new(),
        })
    }

    /// The same training on another device. Devices round differently, so its results agree with those of another device
    /// to rounding only; on one device they are the same bits again.
    pub fn on(mut self, device: Device) -> Self {
        self.learner = self.learner.moved_to(device);
        self.recorder = Recorder::default();
        self.average = self.average.on(device);
        self.old = self.old.map(|old| Snapshot { generator: old.generator.on(device), critic: old.critic.on(device) });
        self.strategy.move_to(device);
        self
    }

    /// The device that computes.
    pub fn device(&self) -> Device {
        self.average.device()
    }

    /// A training that goes on from a checkpoint of the same configuration, to the same bits as if it had never
    /// stopped.
    ///
    /// # Errors
    /// As [`Trainer::new`], and when the checkpoint is of another configuration or damaged.
    pub fn resume(
        config: Config,
        strategies: &Strategies,
        classes: usize,
        train: &Labelled,
        path: &Path,
    ) -> Result<Self, Error> {
        let mut trainer = Trainer::new(config, strategies, classes, train)?;
        let checkpoint = Checkpoint::load(path)?;
        checkpoint.require_same_run(&trainer.config)?;
        (trainer.task, trainer.iteration) = checkpoint.position();
        trainer.learner = trainer.saved_learner(&checkpoint)?;
        trainer.average = checkpoint.average(&trainer.average)?;
        trainer.old = checkpoint.old(&trainer.learner)?;
        trainer.tally = Tally::new(checkpoint.replayed());
        let learned = trainer.tasks.classes_seen(trainer.task);
        trainer.strategy.restore(path, checkpoint.weights(), &trainer.average, &learned)?;
        Ok(trainer)
    }

    /// A training whose first task another run has learned: all strategies share it, as in the paper (caption of
    /// figure 5). `path` is that run's checkpoint at the end of its first and only task.
    ///
    /// # Errors
    /// As [`Trainer::new`], and when that run's first task is not the one this configuration would train, or its strategy
    /// is not among these.
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
        trainer.learner = trainer.saved_learner(&checkpoint)?;
        trainer.begin_task(1, false)?;
        Ok(trainer)
    }

    /// A training that learns one class more than a finished one, whose last checkpoint is at `path`, with the strategy it
    /// was trained with. `train` need hold no other images than those of the new class, and there are `classes` classes
    /// now, at least as many as before.
    ///
    /// # Errors
    /// When the checkpoint is not of a finished training or damaged, the class is learned already, or the strategy is not
    /// among these or learns from real images of the earlier classes.
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
        let mut trainer = Trainer::new(before.extended_by(extension), strategies, classes, train)?;
        let task = before.tasks;
        if trainer.strategy.classes(&trainer.tasks, task) != trainer.tasks.tasks()[task] {
            return Err(Error::Config {
                place: format!("strategy {}", before.strategy),
                reason: "it learns from real images of all classes, which are not at hand; extend a run of another one"
                    .into(),
            });
        }
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

    /// Does the next iteration, or ends the task whose iterations are done; `None` when all tasks are learned.
    ///
    /// # Errors
    /// When a loss is no longer a number of sensible size: the training is lost from here, not its last checkpoint. On CUDA
    /// devices that is found some iterations later, but before a checkpoint. When a class has too few images for a batch.
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

    /// The tasks of this training.
    pub fn tasks(&self) -> &TaskSequence {
        &self.tasks
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Tasks learned so far.
    pub fn tasks_learned(&self) -> usize {
        self.task
    }

    /// Iterations done of the current task.
    pub fn iterations_done(&self) -> usize {
        self.iteration
    }

    /// The generator to score and ship: the running average of the weights.
    pub fn generator(&self) -> &Generator {
        &self.average
    }

    /// The strategies that this one's was found among.
    pub fn strategies(&self) -> &Strategies {
        &self.strategies
    }

    /// What to draw images from: [`Trainer::generator`], as the strategy says.
    pub fn source(&self) -> Source<'_> {
        Source { sampler: self.strategy.sampler(), ..Source::from(&self.average) }
    }

    /// How many images of each class have been replayed in the current task.
    pub fn replayed(&self) -> BTreeMap<usize, u64> {
        self.tally.counts()
    }

    /// How this training's generators are sampled and scored.
    pub fn sampling(&self) -> Sampling {
        Sampling {
            batch: self.config.evaluation.batch,
            grouping: self.config.training.grouping,
            seed: self.config.seed,
        }
    }

    /// Writes a checkpoint; `path` is whole at any time.
    ///
    /// # Errors
    /// When the file cannot be written, or a loss or a weight is no longer a number of sensible size: a checkpoint is always
    /// one to go on from.
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
            replayed: self.tally.counts(),
        };
        Checkpoint::save(path, weights, &self.config, state)
    }

    /// Seconds that one iteration of each task takes, measured on throw-away networks; the training is not touched. What a
    /// strategy does when a task ends is not in them.
    ///
    /// # Errors
    /// As [`Trainer::advance`].
    pub fn seconds_per_iteration(&self) -> Result<Vec<f64>, Error> {
        const TIMED: usize = 2;
        let classes = self.average.config().classes;
        let mut probe = Trainer::new(self.config.clone(), &self.strategies, classes, &self.train)?.on(self.device());
        let mut seconds = Vec::new();
        while probe.task < probe.config.tasks {
            // The first iteration has no generator step, and warms up. Reading the losses waits for the device.
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

    /// Goes on to the next task as if this one were learned, to measure what a later task costs.
    ///
    /// # Errors
    /// When images that the strategy keeps cannot be read.
    ///
    /// # Panics
    /// When all tasks are learned.
    pub fn skip_task(&mut self) -> Result<(), Error> {
        assert!(self.task < self.config.tasks, "no task is left to skip");
        self.begin_task(self.task + 1, true)
    }

    /// The generator that learned the tasks so far starts the next one, with fresh optimisers, as in the released code.
    /// In a rehearsal nothing was learned, see [`TaskEnd::rehearsal`].
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
        self.old = self.strategy.needs_snapshot().then_some(Snapshot { generator, critic });
        self.start_task(task);
        Ok(())
    }

    /// Starts a task, if there is one, from the averaged weights.
    fn start_task(&mut self, task: usize) {
        self.tally = Tally::default();
        let next = self.tasks.tasks().get(task);
        if let (Some(new), NewClasses::Mean) = (next, self.config.training.new_classes) {
            self.average = self.average.start_at_mean(new, &self.tasks.classes_seen(task));
        }
        let trains = |parameter: &Parameter| self.strategy.trains(parameter, task);
        self.learner = Learner::new(&self.average, &self.learner.critic.network, self.config.adam(), trains);
        self.recorder = Recorder::default();
        (self.task, self.iteration, self.batches) = (task, 0, None);
        self.unseen.clear();
    }

    /// The networks and optimisers of a checkpoint, of the task that this training stands at.
    fn saved_learner(&self, checkpoint: &Checkpoint) -> Result<Learner, Error> {
        checkpoint.learner(&self.learner, self.config.adam(), |parameter| self.strategy.trains(parameter, self.task))
    }

    /// The losses of a step are taken before it moves the weights, so they cannot tell.
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

    /// Reads the losses that nobody has looked at yet.
    fn require_sane_losses(&self) -> Result<(), Error> {
        let is_sane = |value: f64| value.is_finite() && value.abs() <= DIVERGED;
        for &(iteration, ref losses) in &self.unseen {
            if let Some((name, value)) = losses.read().into_iter().find(|&(_, value)| !is_sane(value)) {
                return Err(Error::Diverged { task: self.task + 1, iteration, name, value });
            }
        }
        Ok(())
    }

    fn iterate(&mut self) -> Result<Losses, Error> {
        let training = &self.config.training;
        let current = self.strategy.classes(&self.tasks, self.task);
        let past = self.tasks.classes_seen(self.task);
        let members = if self.strategy.mixes_in_past() { [&past[..], &current].concat() } else { current.clone() };
        let images = training.grouping.batch(training.batch, members.len());
        let batches = match &mut self.batches {
            Some(batches) => batches,
            none => {
                let real = images * current.len() / members.len();
                none.insert(Batches::new(&self.tasks, &self.train, &current, self.task, training.grouping, real)?)
            }
        };
        let conditions = self.strategy.conditions(&members);
        let done = self.iteration as f64 / self.config.iterations(self.task) as f64;
        let device = self.average.device();
        let round = |inner| Round {
            old: self.old.as_ref(),
            conditions: &conditions,
            past: &past,
            grouping: training.grouping,
            batch: training.batch,
            images,
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
            tally: &self.tally,
        };
        let mut losses = Losses::default();
        if self.iteration > 0 {
            losses = self.recorder.generator_step(&mut self.learner, &*self.strategy, &round(0));
        }
        self.average = match training.average {
            0.0 => self.learner.generator.network.frozen(),
            decay => self.average.towards(&self.learner.generator.network, 1.0 - decay),
        };
        for inner in 0..training.critic_steps {
            let batch = batches.get(self.iteration * training.critic_steps + inner, &self.noise, device)?;
            let critic = self.recorder.critic_step(&mut self.learner, &*self.strategy, &round(inner), batch);
            if inner + 1 == training.critic_steps {
                losses = losses.and(critic);
            }
        }
        Ok(losses)
    }
}
