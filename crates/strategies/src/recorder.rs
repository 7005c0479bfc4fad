//! The two steps of a learner as CUDA graphs: recorded once a task and then launched with one call, where the device can and
//! the host takes no part in them.

use std::collections::BTreeMap;

use mergan_models::Network;
use mergan_tensor::cuda::{Graph, Turn};
use mergan_tensor::{Adam, Address, Moments, Tensor};

use crate::learner::{Batch, Learner, Losses, Round};
use crate::strategy::Role;

/// What has been recorded of the steps of one task. Its rounds may differ in random numbers, rate and images alone.
#[derive(Default)]
pub struct Recorder {
    generator: State,
    critic: State,
}

/// How far a step is on its way to a graph.
#[derive(Default)]
enum State {
    /// It has not been taken: its first time loads kernels and begins the optimiser, which no graph does.
    #[default]
    New,
    /// It has been taken, and can be recorded.
    Begun,
    Recorded(Box<Recorded>),
    /// It cannot be recorded.
    Plain,
}

struct Recorded {
    graph: Graph,
    labels: Vec<usize>,
    names: Vec<&'static str>,
    /// How many images of each class a step replays.
    replayed: BTreeMap<usize, u64>,
}

impl Recorder {
    /// [`Learner::generator_step`].
    pub fn generator_step(&mut self, learner: &mut Learner, round: &Round) -> Losses {
        self.generator.step(learner, Role::Generator, round, None)
    }

    /// [`Learner::critic_step`].
    pub fn critic_step(&mut self, learner: &mut Learner, round: &Round, real: Batch) -> Losses {
        self.critic.step(learner, Role::Critic, round, Some(real))
    }

    /// Whether the generator's and the critic's step have been recorded.
    pub fn is_recorded(&self) -> [bool; 2] {
        [&self.generator, &self.critic].map(|state| matches!(state, State::Recorded(_)))
    }
}

impl State {
    fn step(&mut self, learner: &mut Learner, role: Role, round: &Round, real: Option<Batch>) -> Losses {
        match self {
            State::New => *self = State::Begun,
            State::Begun => {
                let recorded = Recorded::new(learner, role, round, real.as_ref());
                *self = recorded.map_or(State::Plain, |recorded| State::Recorded(Box::new(recorded)));
            }
            State::Recorded(_) | State::Plain => {}
        }
        match self {
            State::Recorded(recorded) if recorded.is_of(real.as_ref()) => recorded.step(learner, role, round, real),
            _ => plain_step(learner, role, round, real),
        }
    }
}

fn plain_step(learner: &mut Learner, role: Role, round: &Round, real: Option<Batch>) -> Losses {
    match (role, real) {
        (Role::Generator, _) => learner.generator_step(round),
        (Role::Critic, real) => learner.critic_step(round, real.expect("the critic's step has real images")),
    }
}

impl Recorded {
    fn new(learner: &Learner, role: Role, round: &Round, real: Option<&Batch>) -> Option<Self> {
        let labels = real.map_or_else(Vec::new, |real| real.labels.clone());
        let operands = operands(learner, role, real);
        let before = round.tally.counts();
        let mut names = Vec::new();
        let work = |operands: &[Tensor]| {
            let mut copy = learner.clone();
            let rest = put(&mut copy, role, 0, operands);
            let (other, images) = rest.split_at(rest.len() - usize::from(real.is_some()));
            match role {
                Role::Generator => put_values(&mut copy.critic, other),
                Role::Critic => put_values(&mut copy.generator, other),
            };
            let real = images.first().map(|images| Batch { images: images.clone(), labels: labels.clone() });
            let losses = plain_step(&mut copy, role, round, real);
            names = losses.names().to_vec();
            [trained(&copy, role), losses.into_values()].concat()
        };
        let graph = Graph::capture(&turn(learner, role, round), &operands.iter().collect::<Vec<_>>(), work);
        // Nothing was done, so nothing was replayed.
        let mut replayed = round.tally.take_back(before);
        replayed.retain(|_, count| *count > 0);
        Some(Recorded { graph: graph?, labels, names, replayed })
    }

    /// Whether it is the step of such a batch: classes are part of what was recorded.
    fn is_of(&self, real: Option<&Batch>) -> bool {
        real.is_none_or(|real| real.labels == self.labels)
    }

    fn step(&self, learner: &mut Learner, role: Role, round: &Round, real: Option<Batch>) -> Losses {
        let operands = operands(learner, role, real.as_ref());
        let results = self.graph.launch(&turn(learner, role, round), &operands.iter().collect::<Vec<_>>());
        self.replayed.iter().for_each(|(class, count)| round.tally.add(&[*class], *count as usize));
        let losses = put(learner, role, 1, &results);
        Losses::new(self.names.clone(), losses.to_vec())
    }
}

fn turn(learner: &Learner, role: Role, round: &Round) -> Turn {
    let adam = match role {
        Role::Generator => &learner.generator_adam,
        Role::Critic => &learner.critic_adam,
    };
    let (iteration, inner) = (round.draws.iteration as u32, round.draws.inner as u32);
    Turn { address: Address { iteration, inner, ..Address::default() }, step: adam.next_step(round.rate) }
}

/// What a step computes with: the network that it trains, the optimiser's means, the other network and the real images.
fn operands(learner: &Learner, role: Role, real: Option<&Batch>) -> Vec<Tensor> {
    let other = match role {
        Role::Generator => learner.critic.values(),
        Role::Critic => learner.generator.values(),
    };
    let images = real.map(|real| real.images.clone());
    [trained(learner, role), other, images.into_iter().collect()].concat()
}

/// What a step changes: the network that it trains and the optimiser's means.
fn trained(learner: &Learner, role: Role) -> Vec<Tensor> {
    let (values, adam) = match role {
        Role::Generator => (learner.generator.values(), &learner.generator_adam),
        Role::Critic => (learner.critic.values(), &learner.critic_adam),
    };
    let means = adam.moments().iter().flat_map(|moments| [moments.first.clone(), moments.second.clone()]);
    values.into_iter().chain(means).map(|tensor| tensor.detach()).collect()
}

/// Puts it back as after so many more steps, and returns the tensors that are left.
fn put<'t>(learner: &mut Learner, role: Role, steps: u32, tensors: &'t [Tensor]) -> &'t [Tensor] {
    fn put<'t, N: Network>(network: &mut N, adam: &mut Adam, steps: u32, tensors: &'t [Tensor]) -> &'t [Tensor] {
        let (means, rest) = put_values(network, tensors).split_at(2 * adam.moments().len());
        let means = means.chunks_exact(2);
        let moments = means.map(|pair| Moments { first: pair[0].clone(), second: pair[1].clone() });
        *adam = adam.with(adam.steps() + steps, moments.collect());
        rest
    }
    match role {
        Role::Generator => put(&mut learner.generator, &mut learner.generator_adam, steps, tensors),
        Role::Critic => put(&mut learner.critic, &mut learner.critic_adam, steps, tensors),
    }
}

fn put_values<'t, N: Network>(network: &mut N, tensors: &'t [Tensor]) -> &'t [Tensor] {
    let parameters = network.parameters_mut();
    let (values, rest) = tensors.split_at(parameters.len());
    for (parameter, value) in parameters.into_iter().zip(values) {
        *parameter.value = if parameter.value.is_tracked() { value.variable() } else { value.clone() };
    }
    rest
}
