//! The seam between the trainer and what keeps it from forgetting.
//!
//! One trainer trains every strategy. A strategy is only what it adds: what it remembers when a task ends, and the terms
//! that it adds to the critic's and the generator's loss.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use mergan_datasets::{Labelled, TaskSequence};
use mergan_models::{Conditions, Critic, Generator, Network, Parameter, Weights, WeightsError};
use mergan_tensor::{Device, Random, Tensor, no_grad};
use serde::de::DeserializeOwned;

use crate::draws::{Draws, Purpose};
use crate::error::Error;
use crate::learner::Batch;
use crate::losses::LossWeights;
use crate::sampling::Solver;

/// One summand of a loss.
#[derive(Clone, Debug)]
pub struct Term {
    /// What it is called in progress lines, events and reports.
    pub name: &'static str,
    /// Its weight in the loss.
    pub weight: f64,
    /// Its value without the weight, a scalar.
    pub value: Tensor,
}

impl Term {
    /// A summand.
    pub fn new(name: &'static str, weight: f64, value: Tensor) -> Self {
        Term { name, weight, value }
    }
}

/// Which of the two networks a step trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// D and C.
    Critic,
    /// G.
    Generator,
}

/// The networks as they were when the last task ended, frozen.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The generator of memory replay.
    pub generator: Generator,
    /// The critic beside it.
    pub critic: Critic,
}

/// What a strategy is shown of a step.
pub struct Step<'a> {
    /// The network that the step trains.
    pub role: Role,
    /// The generator in training.
    pub generator: &'a Generator,
    /// The critic in training.
    pub critic: &'a Critic,
    /// Both as the last task left them; `None` in the first task, and for strategies that do not ask for it.
    pub old: Option<&'a Snapshot>,
    /// The classes of the tasks before, in the order they were learned.
    pub past: &'a [usize],
    /// The classes that the generator is asked for, see [`Strategy::conditions`].
    pub conditions: &'a [usize],
    /// How many images a batch has at most.
    pub batch: usize,
    /// How many the critic's batch has, real and replayed ones together.
    pub images: usize,
    /// The weights of the losses' terms.
    pub weights: LossWeights,
    /// The step's random numbers.
    pub draws: Draws<'a>,
    /// Counts what is replayed.
    pub tally: &'a Tally,
}

/// How many images of each class have been replayed.
#[derive(Debug, Default)]
pub struct Tally(RefCell<BTreeMap<usize, u64>>);

/// Replayed images with the latents and conditions they were made from.
pub struct Replayed {
    /// What the old generator makes.
    pub images: Tensor,
    /// Of these latents, n x latent.
    pub latents: Tensor,
    /// In class-pure groups of equal size.
    pub conditions: Conditions,
}

impl Step<'_> {
    /// Latents for replay: n x latent.
    pub fn replay_latents(&self, n: usize) -> Tensor {
        let purpose = match self.role {
            Role::Critic => Purpose::CriticReplay,
            Role::Generator => Purpose::GeneratorReplay,
        };
        self.draws.latents(purpose, n)
    }

    /// How many images each of `classes` classes gets, so that they fill one batch together; at least one.
    pub fn share(&self, classes: usize) -> usize {
        (self.batch / classes.max(1)).max(1)
    }

    /// What the old generator makes when it is asked for `n` images of each of `classes`; nothing where it is not
    /// remembered.
    pub fn replay(&self, classes: &[usize], n: usize) -> Option<Replayed> {
        let old = self.old.filter(|_| !classes.is_empty())?;
        let (latents, conditions) = (self.replay_latents(classes.len() * n), Conditions::pure(classes));
        let images = no_grad(|| old.generator.forward(&latents, &conditions));
        self.tally.add(classes, n);
        Some(Replayed { images, latents, conditions })
    }
}

impl Tally {
    pub(crate) fn new(counts: BTreeMap<usize, u64>) -> Self {
        Tally(counts.into())
    }

    /// The number of replayed images by the class they were asked for.
    pub fn counts(&self) -> BTreeMap<usize, u64> {
        self.0.borrow().clone()
    }

    /// Sets the counts back and returns what had been added.
    pub(crate) fn take_back(&self, before: BTreeMap<usize, u64>) -> BTreeMap<usize, u64> {
        let after = self.0.replace(before.clone());
        after.into_iter().map(|(class, count)| (class, count - before.get(&class).unwrap_or(&0))).collect()
    }

    /// `n` images of each of `classes` are replayed.
    pub fn add(&self, classes: &[usize], n: usize) {
        let mut counts = self.0.borrow_mut();
        classes.iter().for_each(|class| *counts.entry(*class).or_default() += n as u64);
    }
}

/// What a strategy is shown when a task has been learned.
pub struct TaskEnd<'a> {
    /// The task, counted from 0.
    pub task: usize,
    /// All tasks.
    pub tasks: &'a TaskSequence,
    /// The images to train on, of all classes; [`TaskEnd::images`] are those of this task.
    pub train: &'a Labelled,
    /// The generator that learned it, frozen.
    pub generator: &'a Generator,
    /// The critic beside it, frozen.
    pub critic: &'a Critic,
    /// Both as the task before left them, as in [`Step::old`].
    pub old: Option<&'a Snapshot>,
    /// Images of one class that are normalised together.
    pub batch: usize,
    /// The run's random numbers.
    pub random: Random,
    /// Whether the task was only skipped to measure what later ones cost: then what is remembered has to have the right
    /// size, and may be made of very few samples.
    pub rehearsal: bool,
}

impl TaskEnd<'_> {
    /// The classes that were learned in this task.
    pub fn classes(&self) -> &[usize] {
        &self.tasks.tasks()[self.task]
    }

    /// The classes that have been learned so far, in order.
    pub fn learned(&self) -> Vec<usize> {
        self.tasks.classes_seen(self.task + 1)
    }

    /// The first `most` real images of each class of this task, or all where there are fewer.
    pub fn images(&self, most: usize) -> Labelled {
        let all = self.tasks.images_of(self.classes(), self.train);
        let first = self.classes().iter().flat_map(|&class| all.indices_of(class).into_iter().take(most));
        all.select(&first.collect::<Vec<_>>())
    }

    /// Random numbers; `index` distinguishes draws for the same purpose.
    pub fn draws(&self, index: usize) -> Draws<'_> {
        Draws {
            noise: &self.random,
            device: self.generator.device(),
            latent: self.generator.config().latent,
            task: self.task,
            iteration: index,
            inner: 0,
        }
    }
}

/// What keeps a generator from forgetting. Every method has the default of a strategy that adds nothing.
pub trait Strategy: Send {
    /// Moves the tensors that the strategy remembers to another device.
    fn move_to(&mut self, _device: Device) {}

    /// The classes whose real images task `task` (counted from 0) sees.
    fn classes(&self, tasks: &TaskSequence, task: usize) -> Vec<usize> {
        tasks.tasks()[task].clone()
    }

    /// Whether [`Strategy::batch`] puts images of past classes beside the real ones of the current task. All classes then
    /// share a batch evenly, in class-pure groups.
    fn mixes_in_past(&self) -> bool {
        false
    }

    /// The classes that the generator is asked for, given those of the batch in their order. A strategy whose networks
    /// know no classes asks for one and the same always.
    fn conditions(&self, batch: &[usize]) -> Vec<usize> {
        batch.to_vec()
    }

    /// Whether a parameter of the generator is trained in task `task` (counted from 0).
    fn trains(&self, _parameter: &Parameter, _task: usize) -> bool {
        true
    }

    /// Whether steps need the networks as the last task left them.
    fn needs_snapshot(&self) -> bool {
        false
    }

    /// The batch that the critic takes for real, made of the real images of this step.
    fn batch(&self, _step: &Step, real: Batch) -> Batch {
        real
    }

    /// What the strategy adds to the critic's loss.
    fn critic_terms(&self, _step: &Step) -> Vec<Term> {
        Vec::new()
    }

    /// What the strategy adds to the generator's loss.
    fn generator_terms(&self, _step: &Step) -> Vec<Term> {
        Vec::new()
    }

    /// Called when a task has been learned.
    ///
    /// # Errors
    /// When the images that it asks for cannot be read.
    fn end_task(&mut self, _end: &TaskEnd) -> Result<(), Error> {
        Ok(())
    }

    /// The classifier that says which class a generated image is of, where the generator cannot be asked for a class.
    fn solver(&self) -> Option<&Solver> {
        None
    }

    /// Makes room for more classes in what the strategy remembers; `generator` has the new sizes.
    fn grow(&mut self, _generator: &Generator) {}

    /// Puts what the strategy remembers beside the snapshot into a checkpoint.
    fn save(&self, _weights: &mut Weights) {}

    /// Takes it back; `generator` has the sizes of the networks, `learned` are the classes whose tasks have ended and
    /// `path` names the checkpoint in errors.
    ///
    /// # Errors
    /// When the checkpoint does not hold it.
    fn restore(
        &mut self,
        _path: &Path,
        _weights: &Weights,
        _generator: &Generator,
        _learned: &[usize],
    ) -> Result<(), WeightsError> {
        Ok(())
    }
}

/// A strategy that is made of its typed options.
pub trait FromOptions: Strategy + 'static {
    /// What its table in a preset or configuration holds.
    type Options: DeserializeOwned;
    /// The name in configurations and on the command line.
    const NAME: &'static str;
    /// The strategy, which remembers nothing yet.
    ///
    /// # Errors
    /// What is wrong with a value, and what would be right.
    fn from_options(options: Self::Options) -> Result<Self, String>
    where
        Self: Sized;
}
