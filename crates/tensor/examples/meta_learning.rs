//! Meta-learning: a network learns a starting point from which one gradient step fits a new task (MAML; Finn et al.,
//! 2017).
//!
//! A task is a sine curve of unknown amplitude and phase, of which ten points are given. Ten points are too few to
//! train a network from random weights. So the weights are trained over many tasks for one purpose: that after one
//! gradient step on ten points of a task, the network fits other points of it. That loss is a function of the weights
//! before the step, and the step is made of a gradient. The gradient of the loss thus goes through a gradient step,
//! which takes second derivatives: `differentiable_gradients` makes the step, `gradients` trains what came before it.

use std::f64::consts::PI;

use mergan_tensor::{Adam, Address, Device, Random, Tensor};

const POINTS: usize = 10;
const TASKS: u32 = 8;
const INNER_RATE: f64 = 0.05;

/// Points of one sine curve: some to adapt to, others to be judged by.
struct Task {
    given: [Tensor; 2],
    held_out: [Tensor; 2],
}

impl Task {
    fn draw(random: Random, number: u32) -> Task {
        let uniform = |stream, count: usize| {
            let address = Address { stream, step: number, ..Address::default() };
            random.uniform(address, [count, 1], Device::Cpu)
        };
        let (amplitude, phase) = (uniform(0, 1) * 2.0 + 1.0, uniform(1, 1) * PI);
        let points = |stream| {
            let x: Tensor = uniform(stream, POINTS) * 6.0 - 3.0;
            let angles = (&x + &phase).to_vec::<f64>();
            let sines = Tensor::from_vec(angles.into_iter().map(f64::sin).collect(), [POINTS, 1], Device::Cpu);
            [x, sines * &amplitude]
        };
        Task { given: points(2), held_out: points(3) }
    }
}

/// The mean squared error of a network of three layers, whose weights and biases alternate.
fn loss(parameters: &[Tensor], [x, y]: &[Tensor; 2]) -> Tensor {
    let hidden = (x.linear(&parameters[0]) + &parameters[1]).tanh();
    let hidden = (hidden.linear(&parameters[2]) + &parameters[3]).tanh();
    (hidden.linear(&parameters[4]) + &parameters[5] - y).square().mean()
}

/// The loss on a task's held-out points after one gradient step on the points that are given.
fn loss_after_a_step(parameters: &[Tensor], task: &Task) -> Tensor {
    let variables: Vec<&Tensor> = parameters.iter().collect();
    let gradients = loss(parameters, &task.given).differentiable_gradients(&variables);
    let adapted: Vec<Tensor> =
        parameters.iter().zip(gradients).map(|(parameter, gradient)| parameter - gradient * INNER_RATE).collect();
    loss(&adapted, &task.held_out)
}

/// The means of the losses of new tasks before and after one step.
fn evaluate(parameters: &[Tensor], random: Random) -> [f64; 2] {
    let tasks: Vec<Task> = (0..100).map(|number| Task::draw(random, number)).collect();
    let mean = |loss: &dyn Fn(&Task) -> Tensor| tasks.iter().map(|task| loss(task).item()).sum::<f64>() / 100.0;
    [mean(&|task| loss(parameters, &task.held_out)), mean(&|task| loss_after_a_step(parameters, task))]
}

fn main() {
    let random = Random::new(0);
    let layer = |(i, &[inputs, outputs]): (usize, &[usize; 2])| {
        let address = Address { step: i as u32, ..Address::default() };
        let weight = random.split(1).normal(address, [outputs, inputs], Device::Cpu) / (inputs as f64).sqrt();
        [weight.variable(), Tensor::zeros([outputs], Device::Cpu).variable()]
    };
    let mut parameters: Vec<Tensor> = [[1, 40], [40, 40], [40, 1]].iter().enumerate().flat_map(layer).collect();
    let (new_tasks, training_tasks) = (random.split(2), random.split(3));
    let [_, untrained] = evaluate(&parameters, new_tasks);

    let mut adam = Adam::default();
    for iteration in 0..800 {
        let tasks = (0..TASKS).map(|task| Task::draw(training_tasks, iteration * TASKS + task));
        let losses: Vec<Tensor> = tasks.map(|task| loss_after_a_step(&parameters, &task)).collect();
        let loss = Tensor::stack(&losses.iter().collect::<Vec<_>>()).mean();
        let gradients = loss.gradients(&parameters.iter().collect::<Vec<_>>());
        adam.step(3e-3, parameters.iter_mut().collect(), &gradients);
        if (iteration + 1) % 200 == 0 {
            println!("iteration {}: loss after one step {:.3}", iteration + 1, loss.item());
        }
    }

    let [before, after] = evaluate(&parameters, new_tasks);
    println!("new tasks, one step from random weights:  loss {untrained:.3}");
    println!("new tasks, trained weights without step:  loss {before:.3}");
    println!("new tasks, one step from trained weights: loss {after:.3}");
    assert!(after < 0.25 * untrained, "one step from the trained weights should fit a new task much better");
    assert!(after < 0.25 * before, "the step itself should matter");
}
