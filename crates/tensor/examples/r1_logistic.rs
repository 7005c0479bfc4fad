//! A GAN with the logistic loss and the R1 penalty: a generator learns to make points of a spiral.
//!
//! A generator turns random numbers into samples, and a discriminator learns to tell them from real ones. Its result is
//! a logit, of which the logistic function is the probability that a sample is real. It is trained as any classifier
//! is, and the generator is trained so that its samples are taken for real (Goodfellow et al., 2014).
//!
//! Left to themselves the two chase each other in circles. R1 (Mescheder et al., 2018) makes them settle: it penalises
//! the squared gradient of the logit with respect to real samples, so that generated samples which lie where real ones
//! do are pushed nowhere. The loss contains a gradient, so its own gradient takes derivatives of second order.

use std::f64::consts::TAU;

use mergan_tensor::{Adam, AdamOptions, Address, Device, Random, Tensor};

const BATCH: usize = 128;
const GAMMA: f64 = 0.1;

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
        Network { parameters, adam: Adam::new(AdamOptions { beta1: 0.0, beta2: 0.99, ..AdamOptions::default() }) }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let last = self.parameters.len() / 2 - 1;
        self.parameters.chunks_exact(2).enumerate().fold(x.clone(), |x, (i, layer)| {
            x.linear_leaky_relu(&layer[0], &layer[1], if i == last { 1.0 } else { 0.2 })
        })
    }

    fn descend(&mut self, loss: &Tensor) {
        let gradients = loss.gradients(&self.parameters.iter().collect::<Vec<_>>());
        self.adam.step(2e-3, self.parameters.iter_mut().collect(), &gradients);
    }
}

/// A point of the spiral, which winds outwards as `share` grows from 0 to 1.
fn spiral(share: f64) -> [f64; 2] {
    let (radius, angle) = (0.5 + 1.5 * share, 0.75 * TAU * share);
    [radius * angle.cos(), radius * angle.sin()]
}

/// The mean distance of points from the spiral, and how many of its ten parts have points near them.
fn compare(points: &[f64]) -> (f64, usize) {
    let curve: Vec<[f64; 2]> = (0..200).map(|i| spiral(f64::from(i) / 200.0)).collect();
    let (mut sum, mut near) = (0.0, [0; 10]);
    for point in points.chunks_exact(2) {
        let distances = curve.iter().map(|[x, y]| (point[0] - x).hypot(point[1] - y));
        let (nearest, distance) = distances.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).expect("a curve of points");
        sum += distance;
        near[nearest / 20] += usize::from(distance < 0.2);
    }
    let count = points.len() / 2;
    (sum / count as f64, near.iter().filter(|&&near| near * 50 > count).count())
}

fn main() {
    let random = Random::new(0);
    let at = |stream, step| Address { stream, step, ..Address::default() };
    let latents = |step| random.normal(at(0, step), [BATCH, 2], Device::Cpu);
    let real = |step| {
        let shares = random.uniform(at(1, step), [BATCH], Device::Cpu).to_vec::<f64>();
        let points = Tensor::from_vec(shares.into_iter().flat_map(spiral).collect(), [BATCH, 2], Device::Cpu);
        points + random.normal(at(2, step), [BATCH, 2], Device::Cpu) * 0.03
    };
    let mut generator = Network::new(random.split(1), &[2, 64, 64, 64, 2]);
    let mut discriminator = Network::new(random.split(2), &[2, 64, 64, 64, 1]);

    let samples = |generator: &Network| -> Vec<f64> {
        (0..8).flat_map(|step| generator.forward(&latents(step)).to_vec::<f64>()).collect()
    };
    for iteration in 1..=2000 {
        let (real, generated) = (real(iteration).variable(), generator.forward(&latents(iteration)));
        let on_real = discriminator.forward(&real);
        let slopes = on_real.sum().differentiable_gradient(&real);
        let penalty = slopes.square().sum_axes(&[1]).mean() * (0.5 * GAMMA);
        let on_generated = discriminator.forward(&generated.detach());
        discriminator.descend(&((-on_real).softplus().mean() + on_generated.softplus().mean() + penalty));
        generator.descend(&(-discriminator.forward(&generated)).softplus().mean());
        if iteration % 400 == 0 {
            let (distance, parts) = compare(&samples(&generator));
            println!("iteration {iteration}: mean distance from the spiral {distance:.3}, {parts} of 10 parts reached");
        }
    }
    let (distance, parts) = compare(&samples(&generator));
    assert!(distance < 0.1 && parts >= 9, "the generated points should lie along the whole spiral");
}
