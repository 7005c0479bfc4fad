//! The two networks with their optimisers, and the steps that train them.

use mergan_models::{Critic, Generator, Network, Parameter};
use mergan_tensor::{Adam, AdamOptions, Device, Tensor, no_grad};

use crate::augmentation::mirrored;
use crate::batches::Batch;
use crate::draws::Purpose;
use crate::losses::{self, Term};
use crate::step::{Role, Step, StepInputs};
use crate::strategy::Strategy;

/// A generator and a critic in training.
#[derive(Clone)]
pub struct Learner {
    /// The generator (G in the paper).
    pub generator: Trainee<Generator>,
    /// The critic with its class head (D and C in the paper).
    pub critic: Trainee<Critic>,
}

/// A network in training.
#[derive(Clone)]
pub struct Trainee<N> {
    /// The network, of which the variables are trained.
    pub network: N,
    /// The optimiser of the network.
    pub adam: Adam,
}

/// The terms of the losses of one or more steps. They stay on their device until they are read, because reading waits
/// for the device.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    names: Vec<&'static str>,
    /// One column of values for each step.
    values: Vec<Tensor>,
}

impl Losses {
    fn of(terms: &[Term]) -> Self {
        let values: Vec<Tensor> = terms.iter().map(|term| term.value.detach()).collect();
        let column = Tensor::stack(&values.iter().collect::<Vec<_>>());
        Losses::new(terms.iter().map(|term| term.name).collect(), vec![column])
    }

    pub(crate) fn new(names: Vec<&'static str>, values: Vec<Tensor>) -> Self {
        Losses { names, values }
    }

    pub(crate) fn into_values(self) -> Vec<Tensor> {
        self.values
    }

    /// Appends the losses of a later step.
    pub(crate) fn and(mut self, more: Losses) -> Self {
        self.names.extend(more.names);
        self.values.extend(more.values);
        self
    }

    /// Returns the names of the terms in order.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// Returns the name and the value of each term, and waits for the device to compute them.
    pub fn read(&self) -> Vec<(&'static str, f64)> {
        self.names.iter().copied().zip(self.values.iter().flat_map(Tensor::to_vec::<f64>)).collect()
    }
}

impl Learner {
    /// Creates a learner with these weights and with optimisers that have taken no step. Only the generator's
    /// parameters that `trains` selects are trained.
    pub fn new(
        generator: &Generator,
        critic: &Critic,
        options: AdamOptions,
        trains: impl Fn(&Parameter) -> bool,
    ) -> Self {
        Learner {
            generator: Trainee { network: generator.partly_trainable(trains), adam: Adam::new(options) },
            critic: Trainee { network: critic.trainable(), adam: Adam::new(options) },
        }
    }

    /// Returns the same networks and optimisers on another device.
    pub fn moved_to(&self, device: Device) -> Self {
        Learner { generator: self.generator.moved_to(device), critic: self.critic.moved_to(device) }
    }
}

impl<N: Network> Trainee<N> {
    fn moved_to(&self, device: Device) -> Self {
        Trainee { network: self.network.moved_to(device), adam: self.adam.moved_to(device) }
    }

    /// Takes one step of Adam on the weighted sum of the terms.
    fn descend(&mut self, terms: &[Term], rate: f64) -> Losses {
        self.network.descend(&losses::total(terms), &mut self.adam, rate);
        Losses::of(terms)
    }
}

impl Trainee<Generator> {
    /// Trains the generator on one batch of latents.
    pub fn step(&mut self, critic: &Critic, strategy: &dyn Strategy, inputs: &StepInputs) -> Losses {
        let generator = &self.network;
        let step = Step::new(strategy, Role::Generator, generator, critic, inputs);
        let (n, conditions) = (step.images, step.fakes(Purpose::GeneratorLabels));
        let fake = generator.forward(&inputs.draws.latents(Purpose::GeneratorLatents, n), &conditions);
        let mut terms = losses::generator_terms(step.view(), &fake, &conditions.labels(n), inputs.weights);
        terms.extend(strategy.generator_terms(&step));
        self.descend(&terms, inputs.rate)
    }
}

impl Trainee<Critic> {
    /// Trains the critic on one batch, which the strategy makes from these real images, and on as many fake images.
    pub fn step(&mut self, generator: &Generator, strategy: &dyn Strategy, inputs: &StepInputs, real: Batch) -> Losses {
        let critic = &self.network;
        let step = Step::new(strategy, Role::Critic, generator, critic, inputs);
        let Batch { mut images, labels } = strategy.batch(&step, real);
        if inputs.mirror {
            images = mirrored(&images, &inputs.draws.fractions(Purpose::Mirror, images.shape()[0]));
        }
        let (n, conditions) = (step.images, step.fakes(Purpose::CriticLabels));
        let latents = inputs.draws.latents(Purpose::CriticLatents, n);
        let fake = no_grad(|| generator.forward(&latents, &conditions));
        let fraction = inputs.draws.fractions(Purpose::Interpolation, n);
        let mut terms = losses::critic_terms(step.view(), &images, &fake, &fraction, &labels, inputs.weights);
        terms.extend(strategy.critic_terms(&step));
        self.descend(&terms, inputs.rate)
    }
}
