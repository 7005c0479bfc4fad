//! The seam between the trainer and what keeps it from forgetting.
//!
//! One trainer trains every strategy. A strategy is only what it adds: what it remembers when a task ends, and the terms
//! that it adds to the critic's and the generator's loss.

use std::path::Path;

use mergan_datasets::{Labelled, TaskSequence};
use mergan_models::{Critic, Generator, Network, Parameter, Weights, WeightsError};
use mergan_tensor::{Device, Random};
use serde::de::DeserializeOwned;

use crate::batches::Batch;
use crate::draws::Draws;
use crate::error::Error;
use crate::losses::Term;
use crate::sampler::{ClassConditional, Sampler};
use crate::step::{Snapshot, Step};

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
    /// Both as the task before left them, as in [`Round::old`](crate::Round::old).
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

    /// What draws images of classes from the generator. One of the strategy's own is for a generator that cannot be asked
    /// for a class; [`FromOptions::restore_sampler`] reads it back.
    fn sampler(&self) -> &dyn Sampler {
        &ClassConditional
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
    /// What an option means, in words, for [`Config::to_commented_toml`](crate::Config::to_commented_toml); one in a table
    /// of its own has a name such as `ra.lambda`.
    fn about(_option: &str) -> Option<&'static str>
    where
        Self: Sized,
    {
        None
    }
    /// The strategy's own sampler, where [`Sampler::save`] put one into the file of a generator; `learned` are the classes
    /// that the generator has learned, and `path` names the file in errors.
    ///
    /// # Errors
    /// When a part of it is missing or of another size than the generator's images.
    fn restore_sampler(
        _path: &Path,
        _weights: &Weights,
        _generator: &Generator,
        _learned: &[usize],
    ) -> Result<Option<Box<dyn Sampler>>, WeightsError>
    where
        Self: Sized,
    {
        Ok(None)
    }
    /// The strategy, which remembers nothing yet.
    ///
    /// # Errors
    /// What is wrong with a value, and what would be right.
    fn from_options(options: Self::Options) -> Result<Self, String>
    where
        Self: Sized;
}
