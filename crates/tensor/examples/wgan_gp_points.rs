//! WGAN-GP on points of the plane: a generator learns to make points of eight clusters on a circle.
//!
//! A generator turns random numbers into samples, and a critic gives each sample a score. The critic learns to score
//! real samples higher than generated ones, the generator learns to raise the score of what it makes, and both are
//! small networks trained in turn. The critic's scores are useful only while they change slowly from point to point.
//! WGAN-GP (Gulrajani et al., 2017) sees to that by a penalty: between real and generated points, the gradient of the
//! score with respect to the point shall have norm one. The critic is trained by the gradient of its loss, and its loss
//! contains a gradient, so this needs derivatives of second order.
//!
//! Generators like to make one cluster and forget the others. The assertion at the end is that this one reaches all.

use std::f64::consts::TAU;

use mergan_tensor::{Adam, AdamOptions, Address, Device, Random, Tensor};

const BATCH: usize = 128;
const CLUSTERS: usize = 8;
const ITERATIONS: u32 = 1200;
const CRITIC_STEPS: u32 = 3;

/// Linear layers with leaky rectifiers between them, and their optimiser. Weights and biases alternate.
struct Network {
    parameters: Vec<Tensor>,
    adam: Adam,
}

impl Network {
    fn new(random: Random, widths: &[usize]) -> Network {
        let layer = |(i, widths): (usize, &[usize])| {
            let address = Address { step: i as u32, ..Address::default() };
            let weight = random.normal(address, [widths[1], widths[0]], Device::Cpu) * (2.0 / widths[0] as f64).sqrt();
            [weight.variable(), Tensor::zeros([widths[1]], Device::Cpu).variable()]
        };
        let parameters = widths.windows(2).enumerate().flat_map(layer).collect();
        Network { parameters, adam: Adam::new(AdamOptions { beta1: 0.5, beta2: 0.9, ..AdamOptions::default() }) }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let last = self.parameters.len() / 2 - 1;
        self.parameters.chunks_exact(2).enumerate().fold(x.clone(), |x, (i, layer)| {
            x.linear_leaky_relu(&layer[0], &layer[1], if i == last { 1.0 } else { 0.2 })
        })
    }

    fn descend(&mut self, loss: &Tensor, rate: f64) {
        let gradients = loss.gradients(&self.parameters.iter().collect::<Vec<_>>());
        self.adam.step(rate, self.parameters.iter_mut().collect(), &gradients);
    }
}

fn centre(cluster: usize) -> [f64; 2] {
    let angle = TAU * cluster as f64 / CLUSTERS as f64;
    [2.0 * angle.cos(), 2.0 * angle.sin()]
}

fn main() {
    let random = Random::new(0);
    let at = |stream, step| Address { stream, step, ..Address::default() };
    let latents = |step| random.normal(at(0, step), [BATCH, 2], Device::Cpu);
    let real = |step| {
        let centres = random.below(at(1, step), BATCH, CLUSTERS).into_iter().flat_map(centre).collect();
        Tensor::from_vec(centres, [BATCH, 2], Device::Cpu) + random.normal(at(2, step), [BATCH, 2], Device::Cpu) * 0.1
    };
    let mut generator = Network::new(random.split(1), &[2, 64, 64, 64, 2]);
    let mut critic = Network::new(random.split(2), &[2, 64, 64, 64, 1]);

    for iteration in 1..=ITERATIONS {
        let mut distance = 0.0;
        let rate = 3e-3 * (1.0 - f64::from(iteration - 1) / f64::from(ITERATIONS));
        for step in CRITIC_STEPS * iteration..CRITIC_STEPS * (iteration + 1) {
            let (real, generated) = (real(step), generator.forward(&latents(step)).detach());
            let share = random.uniform(at(3, step), [BATCH, 1], Device::Cpu);
            let between = (&generated + share * (&real - &generated)).variable();
            let slopes = critic.forward(&between).sum().differentiable_gradient(&between);
            let penalty = (slopes.square().sum_axes(&[1]).sqrt() - 1.0).square().mean();
            let difference = critic.forward(&real).mean() - critic.forward(&generated).mean();
            distance = difference.item();
            critic.descend(&(penalty - difference), rate);
        }
        generator.descend(&-critic.forward(&generator.forward(&latents(CRITIC_STEPS * iteration))).mean(), rate);
        if iteration % 200 == 0 {
            println!("iteration {iteration}: the critic tells real from generated points by {distance:.3}");
        }
    }

    // A sample belongs to the cluster whose centre is near.
    let mut counts = [0; CLUSTERS];
    let samples: Vec<f64> = (0..16).flat_map(|step| generator.forward(&latents(step)).to_vec::<f64>()).collect();
    for point in samples.chunks_exact(2) {
        let distance = |cluster| (point[0] - centre(cluster)[0]).hypot(point[1] - centre(cluster)[1]);
        (0..CLUSTERS).filter(|&cluster| distance(cluster) < 0.5).for_each(|cluster| counts[cluster] += 1);
    }
    let total = 16 * BATCH;
    println!("of {total} samples, the eight clusters have received {counts:?}");
    assert!(counts.iter().all(|count| count * 30 > total), "every cluster should receive its share of the samples");
    assert!(counts.iter().sum::<usize>() * 3 > total * 2, "most samples should lie in a cluster");
}
