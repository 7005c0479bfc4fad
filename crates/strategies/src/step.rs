//! What a step of training works with, and what a strategy is shown of it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use mergan_models::{Conditions, Critic, Generator};
use mergan_tensor::{Tensor, no_grad};

use crate::batches::Grouping;
use crate::draws::{Draws, Purpose};
use crate::losses::LossWeights;

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

/// What one step works with besides the networks in training.
pub struct Round<'a> {
    /// Both networks as the last task left them; `None` in the first task, and for strategies that do not ask for it.
    pub old: Option<&'a Snapshot>,
    /// The classes of the tasks before, in the order they were learned.
    pub past: &'a [usize],
    /// The classes that the generator is asked for, see [`Strategy::conditions`](crate::Strategy::conditions).
    pub conditions: &'a [usize],
    /// How classes share a batch.
    pub grouping: Grouping,
    /// How many images a batch has at most.
    pub batch: usize,
    /// How many the critic's batch has, real and replayed ones together, and as many fakes.
    pub images: usize,
    /// The weights of the losses' terms.
    pub weights: LossWeights,
    /// Adam's rate.
    pub rate: f64,
    /// The step's random numbers.
    pub draws: Draws<'a>,
    /// Counts what is replayed.
    pub tally: &'a Tally,
}

/// What a strategy is shown of a step.
pub struct Step<'a> {
    /// The network that the step trains.
    pub role: Role,
    /// The generator in training.
    pub generator: &'a Generator,
    /// The critic in training.
    pub critic: &'a Critic,
    /// All else.
    pub round: &'a Round<'a>,
}

/// Replayed images with the latents and conditions they were made from.
pub struct Replayed {
    /// What the old generator makes.
    pub images: Tensor,
    /// Of these latents, n x latent.
    pub latents: Tensor,
    /// In class-pure groups of equal size.
    pub conditions: Conditions,
}

/// How many images of each class have been replayed.
#[derive(Debug, Default)]
pub struct Tally(RefCell<BTreeMap<usize, u64>>);

impl Round<'_> {
    /// What the fakes of a step are; `purpose` is that of their classes in mixed batches.
    pub(crate) fn conditions(&self, purpose: Purpose) -> Conditions {
        match self.grouping {
            Grouping::Pure => Conditions::pure(self.conditions),
            Grouping::Mixed => Conditions::mixed(&self.draws.labels(purpose, self.images, self.conditions)),
        }
    }
}

impl Step<'_> {
    /// Latents for replay: n x latent.
    pub fn replay_latents(&self, n: usize) -> Tensor {
        let purpose = match self.role {
            Role::Critic => Purpose::CriticReplay,
            Role::Generator => Purpose::GeneratorReplay,
        };
        self.round.draws.latents(purpose, n)
    }

    /// How many images each of `classes` classes gets, so that they fill one batch together; at least one.
    pub fn share(&self, classes: usize) -> usize {
        (self.round.batch / classes.max(1)).max(1)
    }

    /// What the old generator makes when it is asked for `n` images of each of `classes`; nothing where it is not
    /// remembered.
    pub fn replay(&self, classes: &[usize], n: usize) -> Option<Replayed> {
        let old = self.round.old.filter(|_| !classes.is_empty())?;
        let (latents, conditions) = (self.replay_latents(classes.len() * n), Conditions::pure(classes));
        let images = no_grad(|| old.generator.forward(&latents, &conditions));
        self.round.tally.add(classes, n);
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

    /// Returns what has been added since these counts, for the classes whose counts have changed.
    pub(crate) fn since(&self, before: &BTreeMap<usize, u64>) -> BTreeMap<usize, u64> {
        let added = self.counts().into_iter().map(|(class, count)| (class, count - before.get(&class).unwrap_or(&0)));
        added.filter(|(_, count)| *count > 0).collect()
    }

    /// `n` images of each of `classes` are replayed.
    pub fn add(&self, classes: &[usize], n: usize) {
        let mut counts = self.0.borrow_mut();
        classes.iter().for_each(|class| *counts.entry(*class).or_default() += n as u64);
    }
}
