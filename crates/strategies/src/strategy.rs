//! The interface between the trainer and the strategies that keep a generator from forgetting.
//!
//! One trainer serves every strategy. A strategy only defines what it adds: what it remembers when a task ends, and the
//! terms that it adds to the losses of the critic and the generator.

use std::path::Path;

use mergan_datasets::{Labelled, TaskSequence};
use mergan_models::{Critic, Generator, ModelConfig, Network, Parameter, Weights, WeightsError};
use mergan_tensor::{Device, Random};
use serde::de::DeserializeOwned;

use crate::batches::Batch;
use crate::draws::Draws;
use crate::error::Error;
use crate::losses::Term;
use crate::sampler::{ClassConditional, Sampler};
use crate::step::{Snapshot, Step};

/// The data that a strategy can see when a task has been learned.
pub struct TaskEnd<'a> {
    /// The task, counted from 0.
    pub task: usize,
    /// The sequence of all tasks.
    pub tasks: &'a TaskSequence,
    /// The training images of all classes; [`TaskEnd::images`] returns those of this task.
    pub train: &'a Labelled,
    /// The generator that learned the task, frozen.
    pub generator: &'a Generator,
    /// The critic that was trained with it, frozen.
    pub critic: &'a Critic,
    /// Both networks as the previous task left them; see [`StepInputs::old`](crate::StepInputs::old).
    pub old: Option<&'a Snapshot>,
    /// The number of images of one class that are normalised together.
    pub batch: usize,
    /// The source of the run's random numbers.
    pub random: Random,
    /// Whether the task was only skipped, to measure the cost of later tasks. What the strategy remembers must then
    /// have the right size, but may be computed from very few samples.
    pub rehearsal: bool,
}

impl TaskEnd<'_> {
    /// Returns the classes that were learned in this task.
    pub fn classes(&self) -> &[usize] {
        &self.tasks.tasks()[self.task]
    }

    /// Returns the classes that have been learned so far, in the order in which they were learned.
    pub fn learned(&self) -> Vec<usize> {
        self.tasks.classes_seen(self.task + 1)
    }

    /// Returns the first `most` real images of each class of this task, or all of them if a class has fewer.
    pub fn images(&self, most: usize) -> Labelled {
        let all = self.tasks.images_of(self.classes(), self.train);
        let first = self.classes().iter().flat_map(|&class| all.indices_of(class).into_iter().take(most));
        all.select(&first.collect::<Vec<_>>())
    }

    /// Returns random numbers; `index` distinguishes draws for the same purpose.
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

/// A task that begins after others.
pub struct TaskStart<'a> {
    /// The task, counted from 0; it is not the first.
    pub task: usize,
    /// The sequence of all tasks.
    pub tasks: &'a TaskSequence,
    /// The source of the run's random numbers.
    pub random: Random,
}

/// What has been learned when a task has ended, for the account of what is kept.
pub struct Learned<'a> {
    /// The generator that learned the task.
    pub generator: &'a Generator,
    /// The classes learned so far.
    pub classes: &'a [usize],
    /// The training images at hand.
    pub train: &'a Labelled,
}

/// What has to be kept from the end of a task to the next one, to draw the learned classes and to learn more, without
/// the critic, which all strategies keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The parameters of generators, and numbers that belong to them one by one.
    pub generator_parameters: usize,
    /// The parameters of classifiers.
    pub classifier_parameters: usize,
    /// The number of real images.
    pub images: usize,
}

/// A strategy that keeps a generator from forgetting. The default methods are those of a strategy that adds nothing.
pub trait Strategy: Send {
    /// Creates the generator of a training, on the CPU. In the first task only parameters are trained that
    /// [`Generator::new`] gives it too, because all strategies can share that task.
    fn generator(&self, sizes: ModelConfig, random: Random) -> Generator {
        Generator::new(sizes, random, Device::Cpu)
    }

    /// Moves the tensors that the strategy remembers to another device.
    fn move_to(&mut self, _device: Device) {}

    /// Returns the classes whose real images are used in task `task` (counted from 0).
    fn classes(&self, tasks: &TaskSequence, task: usize) -> Vec<usize> {
        tasks.tasks()[task].clone()
    }

    /// Returns of how many of `past` past classes [`Strategy::batch`] adds images to the real ones of the current task.
    /// If these are fewer than all, each step chooses them at random ([`Step::mixed_in`]). All classes of a batch have
    /// equal shares of it, in class-pure groups, and the fake images have the same classes.
    fn mixes_in(&self, _past: usize) -> usize {
        0
    }

    /// Returns the classes that the generator is conditioned on, given the classes of the batch in order. A strategy
    /// with an unconditional generator always returns the same single class.
    fn conditions(&self, batch: &[usize]) -> Vec<usize> {
        batch.to_vec()
    }

    /// Returns whether a parameter of the generator is trained in task `task` (counted from 0).
    fn trains(&self, _parameter: &Parameter, _task: usize) -> bool {
        true
    }

    /// Returns whether the steps of task `task` (counted from 0) need the networks as the task before left them.
    fn needs_snapshot(&self, _task: usize) -> bool {
        false
    }

    /// Returns the batch that the critic treats as real, made from the real images of this step.
    fn batch(&self, _step: &Step, real: Batch) -> Batch {
        real
    }

    /// Returns the terms that the strategy adds to the critic's loss.
    fn critic_terms(&self, _step: &Step) -> Vec<Term> {
        Vec::new()
    }

    /// Returns the terms that the strategy adds to the generator's loss.
    fn generator_terms(&self, _step: &Step) -> Vec<Term> {
        Vec::new()
    }

    /// Returns the generator that learns a task, given the one that the earlier tasks left. It is called when a task
    /// begins that is not the first. It is also called when a training is resumed in such a task; the values of the
    /// generator and what the strategy remembers are then replaced by those of the checkpoint.
    fn start_task(&mut self, _start: &TaskStart, generator: Generator) -> Generator {
        generator
    }

    /// Updates what the strategy remembers after a task has been learned.
    ///
    /// # Errors
    /// Returns an error if the images that the strategy asks for cannot be read.
    fn end_task(&mut self, _end: &TaskEnd) -> Result<(), Error> {
        Ok(())
    }

    /// Returns the sampler that draws images of given classes from the generator. A strategy needs a sampler of its own
    /// only if its generator cannot be conditioned on a class; [`FromOptions::restore_sampler`] reads such a sampler
    /// from a file.
    fn sampler(&self) -> &dyn Sampler {
        &ClassConditional
    }

    /// Returns what has to be kept of the tasks learned so far. By default, this is the generator.
    fn kept(&self, learned: &Learned) -> Kept {
        Kept { generator_parameters: learned.generator.parameter_count(), ..Kept::default() }
    }

    /// Enlarges what the strategy remembers to hold more classes; `generator` has the new sizes.
    fn grow(&mut self, _generator: &Generator) {}

    /// Adds what the strategy remembers, apart from the snapshot, to a checkpoint.
    fn save(&self, _weights: &mut Weights) {}

    /// Restores what [`Strategy::save`] stored. `generator` has the sizes of the networks, `learned` are the classes
    /// whose tasks have ended, and `path` names the checkpoint in errors.
    ///
    /// # Errors
    /// Returns an error if the checkpoint does not hold what the strategy remembers.
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

/// A strategy that is created from typed options.
pub trait FromOptions: Strategy + 'static {
    /// The contents of the strategy's table in a preset or a configuration.
    type Options: DeserializeOwned;
    /// The strategy's name in configurations and on the command line.
    const NAME: &'static str;
    /// Returns a description of an option for [`Config::to_commented_toml`](crate::Config::to_commented_toml). An
    /// option in a nested table has a dotted name such as `ra.lambda`.
    fn about(_option: &str) -> Option<&'static str>
    where
        Self: Sized,
    {
        None
    }
    /// Returns the strategy's own sampler if [`Sampler::save`] stored one in the file of a generator. `learned` are the
    /// classes that the generator has learned, and `path` names the file in errors.
    ///
    /// # Errors
    /// Returns an error if a part of the sampler is missing or does not fit the size of the generator's images.
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
    /// Creates the strategy, which remembers nothing yet.
    ///
    /// # Errors
    /// Returns a message that says which value is wrong and what would be right.
    fn from_options(options: Self::Options) -> Result<Self, String>
    where
        Self: Sized;
}
