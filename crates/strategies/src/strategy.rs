//! The seam between the trainer and what keeps it from forgetting.
//!
//! One trainer trains every strategy. A strategy is only what it adds: what it remembers when a task ends, and the terms
//! that it adds to the critic's and the generator's loss.

use std::path::Path;

use mergan_datasets::TaskSequence;
use mergan_models::{Critic, Generator, Weights, WeightsError};
use mergan_tensor::Tensor;
use serde::de::DeserializeOwned;

use crate::draws::{Draws, Purpose};
use crate::error::Error;
use crate::learner::Batch;
use crate::{jt, jtr, ra, sft};

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

/// What a strategy is shown of a step.
pub struct Step<'a> {
    /// The network that the step trains.
    pub role: Role,
    /// The generator in training.
    pub generator: &'a Generator,
    /// The critic in training.
    pub critic: &'a Critic,
    /// The classes of the batch, see [`Strategy::batch_classes`].
    pub classes: &'a [usize],
    /// The classes of the tasks before, in the order they were learned.
    pub past: &'a [usize],
    /// How many images a batch has.
    pub batch: usize,
    /// The step's random numbers.
    pub draws: Draws<'a>,
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
}

/// What keeps a generator from forgetting. Every method has the default of a strategy that adds nothing.
pub trait Strategy: Send {
    /// The classes whose real images task `task` (counted from 0) sees.
    fn classes(&self, tasks: &TaskSequence, task: usize) -> Vec<usize> {
        tasks.tasks()[task].clone()
    }

    /// The classes of a step's batch, given those that the task has real images of and those of the tasks before. The
    /// generator is asked for these, and they share the batch evenly. Other classes than the current ones need class-pure
    /// groups.
    fn batch_classes(&self, current: &[usize], _past: &[usize]) -> Vec<usize> {
        current.to_vec()
    }

    /// The batch that the critic takes for real, made of the real images of this step; its classes are
    /// [`batch_classes`](Strategy::batch_classes), in that order.
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

    /// Called when a task has been learned, with the generator that learned it.
    fn end_task(&mut self, _generator: &Generator) {}

    /// Puts what the strategy remembers into a checkpoint.
    fn save(&self, _weights: &mut Weights) {}

    /// Takes it back; `generator` has the sizes of the networks and `path` names the checkpoint in errors.
    ///
    /// # Errors
    /// When the checkpoint does not hold it.
    fn restore(&mut self, _path: &Path, _weights: &Weights, _generator: &Generator) -> Result<(), WeightsError> {
        Ok(())
    }
}

/// A strategy by name.
pub struct Registration {
    /// The name in configurations and on the command line.
    pub name: &'static str,
    build: fn(&toml::Table) -> Result<Box<dyn Strategy>, Error>,
}

/// Every strategy. A new one is a new file and a line here.
pub const STRATEGIES: &[Registration] = &[
    Registration { name: "sft", build: build::<sft::Sft> },
    Registration { name: "jtr", build: build::<jtr::JointReplay> },
    Registration { name: "ra", build: build::<ra::ReplayAlignment> },
    Registration { name: "jt", build: build::<jt::JointTraining> },
];

/// The strategy of this name with these options.
///
/// # Errors
/// When there is no such strategy, or an option is missing, unknown or out of range.
pub fn build_strategy(name: &str, options: &toml::Table) -> Result<Box<dyn Strategy>, Error> {
    let registered = STRATEGIES.iter().find(|registration| registration.name == name);
    let registered = registered.ok_or_else(|| Error::UnknownName {
        what: "strategy",
        name: name.into(),
        known: STRATEGIES.iter().map(|registration| registration.name.into()).collect(),
    })?;
    (registered.build)(options)
}

/// A strategy that is made of its typed options.
pub(crate) trait FromOptions: Strategy + 'static {
    type Options: DeserializeOwned;
    const NAME: &'static str;
    fn from_options(options: Self::Options) -> Result<Self, String>
    where
        Self: Sized;
}

fn build<S: FromOptions>(options: &toml::Table) -> Result<Box<dyn Strategy>, Error> {
    let fault = |reason: String| Error::Config { place: format!("options of strategy {}", S::NAME), reason };
    let options = options.clone().try_into().map_err(|error: toml::de::Error| fault(error.message().to_string()))?;
    Ok(Box::new(S::from_options(options).map_err(fault)?))
}
