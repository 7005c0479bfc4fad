//! The inputs of a training step, and the view of the step that a strategy gets.

use std::cell::RefCell;
use std::collections::BTreeMap;

use mergan_models::{Conditions, Critic, Generator};
use mergan_tensor::{Tensor, no_grad};

use crate::augmentation::{Augmentation, View};
use crate::batches::Grouping;
use crate::draws::{Draws, Purpose};
use crate::losses::LossWeights;
use crate::strategy::Strategy;

/// Which of the two networks a step trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The critic with its class head (D and C in the paper).
    Critic,
    /// The generator (G in the paper).
    Generator,
}

/// The frozen networks as they were at the end of the last task.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The generator that memory replay draws from.
    pub generator: Generator,
    /// The critic that was trained with it.
    pub critic: Critic,
}

/// The inputs of one step, apart from the networks in training.
pub struct StepInputs<'a> {
    /// Both networks as the last task left them. It is `None` in the first task, and for strategies that do not ask for
    /// the snapshot.
    pub old: Option<&'a Snapshot>,
    /// The classes of the earlier tasks, in the order in which they were learned.
    pub past: &'a [usize],
    /// The classes of the real images; see [`Strategy::classes`].
    pub classes: &'a [usize],
    /// The way in which classes share a batch.
    pub grouping: Grouping,
    /// The maximum number of images in a batch.
    pub batch: usize,
    /// Whether half of the critic's real images, chosen at random, are mirrored.
    pub mirror: bool,
    /// The random changes through which the critic sees images.
    pub augmentation: Augmentation,
    /// The weights of the terms of the losses.
    pub weights: LossWeights,
    /// Adam's learning rate.
    pub rate: f64,
    /// The step's random numbers.
    pub draws: Draws<'a>,
    /// The counter of replayed images.
    pub replay_counter: &'a ReplayCounter,
}

/// The data that a strategy can see in a step.
pub struct Step<'a> {
    /// The network that the step trains.
    pub role: Role,
    /// The generator in training.
    pub generator: &'a Generator,
    /// The critic in training.
    pub critic: &'a Critic,
    /// The other inputs of the step.
    pub inputs: &'a StepInputs<'a>,
    /// The past classes that [`Strategy::batch`] adds to the real ones; see [`Strategy::mixes_in`].
    pub mixed_in: Vec<usize>,
    /// The classes that the generator is conditioned on; see [`Strategy::conditions`].
    pub conditions: Vec<usize>,
    /// The number of images in the critic's batch, real and replayed ones together, which is also the number of fake
    /// images.
    pub images: usize,
}

/// Replayed images with the latents and conditions they were made from.
pub struct Replayed {
    /// The images that the old generator makes.
    pub images: Tensor,
    /// The latents `[n, latent]` of the images.
    pub latents: Tensor,
    /// The classes of the images, in class-pure groups of equal size.
    pub conditions: Conditions,
}

/// Counts how many images of each class have been replayed.
#[derive(Debug, Default)]
pub struct ReplayCounter(RefCell<BTreeMap<usize, u64>>);

impl StepInputs<'_> {
    /// Chooses `count` of the past classes at random, or all if there are no more.
    fn choose(&self, role: Role, count: usize) -> Vec<usize> {
        let purpose = match role {
            Role::Critic => Purpose::CriticChoice,
            Role::Generator => Purpose::GeneratorChoice,
        };
        self.draws.choice(purpose, count, self.past)
    }
}

impl<'a> Step<'a> {
    /// Creates the view of a step. Its classes are chosen here, so every step of a task has its own.
    pub fn new(
        strategy: &dyn Strategy,
        role: Role,
        generator: &'a Generator,
        critic: &'a Critic,
        inputs: &'a StepInputs<'a>,
    ) -> Self {
        let mixed_in = inputs.choose(role, strategy.mixes_in(inputs.past.len()));
        let members = [&mixed_in, inputs.classes].concat();
        let (conditions, images) = (strategy.conditions(&members), inputs.grouping.batch(inputs.batch, members.len()));
        Step { role, generator, critic, inputs, mixed_in, conditions, images }
    }

    /// Returns the conditions of the step's fake images; `purpose` is that of their random classes in mixed batches.
    pub(crate) fn fakes(&self, purpose: Purpose) -> Conditions {
        match self.inputs.grouping {
            Grouping::Pure => Conditions::pure(&self.conditions),
            Grouping::Mixed => Conditions::mixed(&self.inputs.draws.labels(purpose, self.images, &self.conditions)),
        }
    }

    /// Chooses at most `limit` of the past classes at random, each with the same probability, and all if there is no
    /// limit. Of two choices in one step, the smaller is part of the larger.
    ///
    /// The host chooses, so a step that chooses fewer than all is not recorded on a GPU.
    pub fn choose(&self, limit: Option<usize>) -> Vec<usize> {
        self.inputs.choose(self.role, limit.unwrap_or(self.inputs.past.len()))
    }

    /// Returns the critic in training as it sees images. Terms in which it judges images use this view.
    pub fn view(&self) -> View<'_> {
        View::new(self.critic, self.inputs.augmentation, self.inputs.draws)
    }

    /// Draws latents `[n, latent]` for replay.
    pub fn replay_latents(&self, n: usize) -> Tensor {
        let purpose = match self.role {
            Role::Critic => Purpose::CriticReplay,
            Role::Generator => Purpose::GeneratorReplay,
        };
        self.inputs.draws.latents(purpose, n)
    }

    /// Returns how many images each of `classes` classes gets so that together they fill one batch, and at least one.
    pub fn share(&self, classes: usize) -> usize {
        (self.inputs.batch / classes.max(1)).max(1)
    }

    /// Generates `n` images of each of `classes` with the old generator. Returns `None` if there is no snapshot or no
    /// class.
    pub fn replay(&self, classes: &[usize], n: usize) -> Option<Replayed> {
        let old = self.inputs.old.filter(|_| !classes.is_empty())?;
        let (latents, conditions) = (self.replay_latents(classes.len() * n), Conditions::pure(classes));
        let images = no_grad(|| old.generator.forward(&latents, &conditions));
        self.inputs.replay_counter.add(classes, n);
        Some(Replayed { images, latents, conditions })
    }
}

impl ReplayCounter {
    pub(crate) fn new(counts: BTreeMap<usize, u64>) -> Self {
        ReplayCounter(counts.into())
    }

    /// Returns the number of replayed images by the class that they were requested for.
    pub fn counts(&self) -> BTreeMap<usize, u64> {
        self.0.borrow().clone()
    }

    /// Returns what has been added since these counts, for the classes whose counts have changed.
    pub(crate) fn since(&self, before: &BTreeMap<usize, u64>) -> BTreeMap<usize, u64> {
        let added = self.counts().into_iter().map(|(class, count)| (class, count - before.get(&class).unwrap_or(&0)));
        added.filter(|(_, count)| *count > 0).collect()
    }

    /// Counts `n` replayed images for each of `classes`.
    pub fn add(&self, classes: &[usize], n: usize) {
        let mut counts = self.0.borrow_mut();
        classes.iter().for_each(|class| *counts.entry(*class).or_default() += n as u64);
    }
}
