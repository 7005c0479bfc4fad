//! The two networks with their optimisers, and the two steps that train them.

use std::fmt;

use mergan_models::{Conditions, Critic, Generator, Network, Parameter};
use mergan_tensor::{Adam, AdamOptions, Device, Tensor, no_grad};

use crate::draws::{Draws, Purpose};
use crate::losses::{self, LossWeights};
use crate::strategy::{Role, Snapshot, Step, Strategy, Tally, Term};

/// A generator and a critic in training.
#[derive(Clone)]
pub struct Learner {
    /// G.
    pub generator: Generator,
    /// D and C.
    pub critic: Critic,
    /// The generator's optimiser.
    pub generator_adam: Adam,
    /// The critic's optimiser.
    pub critic_adam: Adam,
}

/// What one step works with besides the networks.
pub struct Round<'a> {
    /// What keeps the generator from forgetting.
    pub strategy: &'a dyn Strategy,
    /// Both networks as the last task left them, where the strategy asks for it.
    pub old: Option<&'a Snapshot>,
    /// The classes that the generator is asked for, see [`Strategy::conditions`].
    pub conditions: &'a [usize],
    /// The classes of the tasks before.
    pub past: &'a [usize],
    /// How classes share a batch.
    pub grouping: Grouping,
    /// Images a batch at most.
    pub batch: usize,
    /// Images of the critic's batch, real and replayed ones together, and as many fakes.
    pub images: usize,
    /// The weights of the losses' terms.
    pub weights: LossWeights,
    /// Adam's rate.
    pub rate: f64,
    /// The random numbers.
    pub draws: Draws<'a>,
    /// Counts what is replayed.
    pub tally: &'a Tally,
}

/// How the classes of a task share a batch, which matters to batch norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grouping {
    /// Equal groups of one class each, normalised one by one. With one class a task it makes no difference.
    Pure,
    /// Classes at random, normalised together: the released code's joint training.
    Mixed,
}

/// Real images with their classes.
#[derive(Clone, Debug)]
pub struct Batch {
    /// N x C x H x W in [-1, 1].
    pub images: Tensor,
    /// The class of each.
    pub labels: Vec<usize>,
}

/// The terms of the losses of one step or several, for whoever watches. They stay on their device until they are read,
/// which waits for it.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    names: Vec<&'static str>,
    /// A column of numbers for each step.
    values: Vec<Tensor>,
}

impl Losses {
    fn of(terms: &[Term]) -> Self {
        let values: Vec<Tensor> = terms.iter().map(|term| term.value.detach()).collect();
        let column = Tensor::concat(&values.iter().collect::<Vec<_>>());
        Losses::new(terms.iter().map(|term| term.name).collect(), vec![column])
    }

    pub(crate) fn new(names: Vec<&'static str>, values: Vec<Tensor>) -> Self {
        Losses { names, values }
    }

    pub(crate) fn into_values(self) -> Vec<Tensor> {
        self.values
    }

    /// These and then those.
    pub(crate) fn and(mut self, more: Losses) -> Self {
        self.names.extend(more.names);
        self.values.extend(more.values);
        self
    }

    /// What the terms are called, in their order.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// The name and the value of each term. The device must have computed them first.
    pub fn read(&self) -> Vec<(&'static str, f64)> {
        self.names.iter().copied().zip(self.values.iter().flat_map(Tensor::to_vec::<f64>)).collect()
    }
}

impl Learner {
    /// Networks with these weights and optimisers that have taken no step. Of the generator only the parameters that
    /// `trains` chooses are trained.
    pub fn new(
        generator: &Generator,
        critic: &Critic,
        options: AdamOptions,
        trains: impl Fn(&Parameter) -> bool,
    ) -> Self {
        Learner {
            generator: generator.partly_trainable(trains),
            critic: critic.trainable(),
            generator_adam: Adam::new(options),
            critic_adam: Adam::new(options),
        }
    }

    /// The same networks and optimisers on another device.
    pub(crate) fn moved_to(&self, device: Device) -> Self {
        Learner {
            generator: self.generator.moved_to(device),
            critic: self.critic.moved_to(device),
            generator_adam: self.generator_adam.moved_to(device),
            critic_adam: self.critic_adam.moved_to(device),
        }
    }

    /// Trains the generator on one batch of latents.
    pub fn generator_step(&mut self, round: &Round) -> Losses {
        let (n, conditions) = (round.images, round.conditions(Purpose::GeneratorLabels));
        let fake = self.generator.forward(&round.draws.latents(Purpose::GeneratorLatents, n), &conditions);
        let mut terms = losses::generator_terms(&self.critic, &fake, &conditions.labels(n), round.weights);
        terms.extend(round.strategy.generator_terms(&self.step(Role::Generator, round)));
        descend(&mut self.generator, &mut self.generator_adam, round.rate, terms)
    }

    /// Trains the critic on one batch, made by the strategy of these real images, and as many fakes.
    pub fn critic_step(&mut self, round: &Round, real: Batch) -> Losses {
        let step = self.step(Role::Critic, round);
        let real = round.strategy.batch(&step, real);
        let (n, conditions) = (round.images, round.conditions(Purpose::CriticLabels));
        let latents = round.draws.latents(Purpose::CriticLatents, n);
        let fake = no_grad(|| self.generator.forward(&latents, &conditions));
        let fraction = round.draws.fractions(Purpose::Interpolation, n);
        let mut terms = losses::critic_terms(&self.critic, &real.images, &fake, &fraction, &real.labels, round.weights);
        terms.extend(round.strategy.critic_terms(&step));
        descend(&mut self.critic, &mut self.critic_adam, round.rate, terms)
    }

    fn step<'a>(&'a self, role: Role, round: &'a Round) -> Step<'a> {
        let Round { old, conditions, past, batch, images, weights, draws, tally, .. } = *round;
        Step {
            role,
            generator: &self.generator,
            critic: &self.critic,
            old,
            past,
            conditions,
            batch,
            images,
            weights,
            draws,
            tally,
        }
    }
}

impl Round<'_> {
    /// What the fakes of a step are.
    fn conditions(&self, purpose: Purpose) -> Conditions {
        match self.grouping {
            Grouping::Pure => Conditions::pure(self.conditions),
            Grouping::Mixed => Conditions::mixed(&self.draws.labels(purpose, self.images, self.conditions)),
        }
    }
}

impl fmt::Display for Grouping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Grouping::Pure => "pure",
            Grouping::Mixed => "mixed",
        })
    }
}

impl Grouping {
    /// The size of a batch of at most `batch` images over this many classes.
    pub(crate) fn batch(self, batch: usize, classes: usize) -> usize {
        match self {
            Grouping::Pure => classes * (batch / classes).max(1),
            Grouping::Mixed => batch,
        }
    }
}

/// One step of Adam down the weighted sum of the terms.
fn descend<N: Network>(network: &mut N, adam: &mut Adam, rate: f64, terms: Vec<Term>) -> Losses {
    network.descend(&losses::total(&terms), adam, rate);
    Losses::of(&terms)
}
