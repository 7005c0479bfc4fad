//! Records the two training steps of a learner as CUDA graphs: each step is recorded once per task and then launched
//! with a single call, if the device supports graphs and the host takes no part in the step.

use std::collections::BTreeMap;

use mergan_models::{Critic, Generator, Network};
use mergan_tensor::cuda::{Graph, GraphInput};
use mergan_tensor::{Address, Moments, Tensor};

use crate::batches::Batch;
use crate::learner::{Learner, Losses, Trainee};
use crate::step::StepInputs;
use crate::strategy::Strategy;

/// The recordings of the steps of one task. The rounds of these steps may differ only in random numbers, learning rate
/// and images.
#[derive(Default)]
pub struct Recorder {
    generator: State,
    critic: State,
}

/// The progress of a step towards a graph.
#[derive(Default)]
enum State {
    /// The step has not been taken. Its first run loads kernels and initialises the optimiser, which a recording must
    /// not contain.
    #[default]
    New,
    /// The step has been taken once and can be recorded.
    Begun,
    Recorded(Box<Recorded>),
    /// The step cannot be recorded.
    Plain,
}

/// A step that trains a network `N` against another network `O`, on real images if it needs them.
type TrainingStep<'a, N, O> = dyn Fn(&mut Trainee<N>, &O, &[Tensor]) -> Losses + 'a;

/// A step with its arguments.
struct Work<'a, N, O> {
    other: &'a O,
    /// The real images: one batch or none.
    images: &'a [Tensor],
    /// The classes of the real images.
    labels: &'a [usize],
    inputs: &'a StepInputs<'a>,
    step: &'a TrainingStep<'a, N, O>,
}

struct Recorded {
    graph: Graph,
    labels: Vec<usize>,
    names: Vec<&'static str>,
    /// The number of images of each class that the step replays.
    replayed: BTreeMap<usize, u64>,
}

impl Recorder {
    /// Takes a generator step, by launching its graph if there is one.
    pub fn generator_step(&mut self, learner: &mut Learner, strategy: &dyn Strategy, inputs: &StepInputs) -> Losses {
        let Learner { generator, critic } = learner;
        let step = |generator: &mut Trainee<Generator>, critic: &Critic, _: &[Tensor]| {
            generator.step(critic, strategy, inputs)
        };
        self.generator.step(generator, &Work { other: &critic.network, images: &[], labels: &[], inputs, step: &step })
    }

    /// Takes a critic step on these real images, by launching its graph if there is one.
    pub fn critic_step(
        &mut self,
        learner: &mut Learner,
        strategy: &dyn Strategy,
        inputs: &StepInputs,
        real: Batch,
    ) -> Losses {
        let Learner { generator, critic } = learner;
        let Batch { images, labels } = &real;
        let step = |critic: &mut Trainee<Critic>, generator: &Generator, images: &[Tensor]| {
            let real = Batch { images: images[0].clone(), labels: labels.clone() };
            critic.step(generator, strategy, inputs, real)
        };
        let images = std::slice::from_ref(images);
        self.critic.step(critic, &Work { other: &generator.network, images, labels, inputs, step: &step })
    }

    /// Returns whether the generator's step and the critic's step have been recorded, in this order.
    pub fn is_recorded(&self) -> [bool; 2] {
        [&self.generator, &self.critic].map(|state| matches!(state, State::Recorded(_)))
    }
}

impl State {
    fn step<N: Network, O: Network>(&mut self, trainee: &mut Trainee<N>, work: &Work<N, O>) -> Losses {
        match self {
            State::New => *self = State::Begun,
            State::Begun => {
                let (losses, recorded) = Recorded::new(trainee, work);
                *self = recorded.map_or(State::Plain, |recorded| State::Recorded(Box::new(recorded)));
                return losses;
            }
            // The labels are constants of the recording, so it serves only batches with the same labels.
            State::Recorded(recorded) if recorded.labels == work.labels => return recorded.step(trainee, work),
            State::Recorded(_) | State::Plain => {}
        }
        (work.step)(trainee, work.other, work.images)
    }
}

impl Recorded {
    /// Takes the step and records it if the device can.
    fn new<N: Network, O: Network>(trainee: &mut Trainee<N>, work: &Work<N, O>) -> (Losses, Option<Self>) {
        let before = work.inputs.replay_counter.counts();
        let mut names = Vec::new();
        let step = |operands: &[Tensor]| {
            let (mut trainee, mut other) = (trainee.clone(), work.other.clone());
            let rest = put(&mut trainee, 0, operands);
            let images = put_values(&mut other, rest);
            let losses = (work.step)(&mut trainee, &other, images);
            names = losses.names().to_vec();
            [trained(&trainee), losses.into_values()].concat()
        };
        let operands = work.operands(trainee);
        let (results, graph) = Graph::capture(&work.inputs(trainee), &operands.iter().collect::<Vec<_>>(), step);
        let losses = Losses::new(names.clone(), put(trainee, 1, &results).to_vec());
        let replayed = work.inputs.replay_counter.since(&before);
        (losses, graph.map(|graph| Recorded { graph, labels: work.labels.to_vec(), names, replayed }))
    }

    fn step<N: Network, O: Network>(&mut self, trainee: &mut Trainee<N>, work: &Work<N, O>) -> Losses {
        let operands = work.operands(trainee);
        let results = self.graph.launch(&work.inputs(trainee), &operands.iter().collect::<Vec<_>>());
        self.replayed.iter().for_each(|(class, count)| work.inputs.replay_counter.add(&[*class], *count as usize));
        let losses = put(trainee, 1, &results);
        Losses::new(self.names.clone(), losses.to_vec())
    }
}

impl<N: Network, O: Network> Work<'_, N, O> {
    /// Returns the position of the step's random numbers and the numbers of its optimiser step.
    fn inputs(&self, trainee: &Trainee<N>) -> [GraphInput; 2] {
        let (iteration, inner) = (self.inputs.draws.iteration as u32, self.inputs.draws.inner as u32);
        let address = Address { step: iteration, substep: inner, ..Address::default() };
        [address.graph_input(), trainee.adam.graph_input(self.inputs.rate)]
    }

    /// Returns the tensors that the step computes with: the parameters that it trains, the optimiser's moments, the
    /// parameters of the other network and the real images.
    fn operands(&self, trainee: &Trainee<N>) -> Vec<Tensor> {
        [trained(trainee), self.other.values(), self.images.to_vec()].concat()
    }
}

/// Returns the tensors that a step changes: the parameters of the network that it trains and the optimiser's moments.
fn trained<N: Network>(trainee: &Trainee<N>) -> Vec<Tensor> {
    let means = trainee.adam.moments().iter().flat_map(|moments| [moments.first.clone(), moments.second.clone()]);
    trainee.network.values().into_iter().chain(means).map(|tensor| tensor.detach()).collect()
}

/// Sets the parameters and the moments from `tensors`, restores the optimiser to the state after this many more steps,
/// and returns the remaining tensors.
fn put<'t, N: Network>(trainee: &mut Trainee<N>, steps: u32, tensors: &'t [Tensor]) -> &'t [Tensor] {
    let Trainee { network, adam } = trainee;
    let (means, rest) = put_values(network, tensors).split_at(2 * adam.moments().len());
    let means = means.chunks_exact(2);
    let moments = means.map(|pair| Moments { first: pair[0].clone(), second: pair[1].clone() });
    *adam = adam.with(adam.steps() + steps, moments.collect());
    rest
}

fn put_values<'t, N: Network>(network: &mut N, tensors: &'t [Tensor]) -> &'t [Tensor] {
    let parameters = network.parameters_mut();
    let (values, rest) = tensors.split_at(parameters.len());
    for (parameter, value) in parameters.into_iter().zip(values) {
        parameter.value = if parameter.value.is_tracked() { value.variable() } else { value.clone() };
    }
    rest
}
