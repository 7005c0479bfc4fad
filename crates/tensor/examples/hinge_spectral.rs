//! A GAN with the hinge loss and spectral normalisation: a generator learns to draw discs and squares.
//!
//! A generator turns random numbers into images, and a critic learns to score real images above 1 and generated ones below
//! -1. A critic whose scores jump between neighbouring images teaches the generator nothing. Spectral normalisation (Miyato et
//! al., 2018) bounds how fast they change: every layer's weight, read as a matrix, is divided by its largest singular value,
//! so that no layer makes any difference between two images larger.
//!
//! The singular value is found by power iteration, one round a step: a vector is multiplied by the matrix and its transpose
//! in turn. It is a tensor that depends on the weight, so the gradient of the loss flows through the division too.

use mergan_tensor::{Adam, AdamOptions, Address, Conv2d, Device, Random, Shape, Tensor, no_grad};

const BATCH: usize = 32;
const SIDE: usize = 16;
const LATENT: usize = 16;

/// A weight of the critic, and the vector from which the power iteration goes on.
struct Spectral {
    weight: Tensor,
    vector: Tensor,
}

impl Spectral {
    /// The weight over its largest singular value.
    fn normalised(&mut self) -> Tensor {
        let rows = self.weight.shape()[0];
        let matrix = self.weight.reshape([rows, self.weight.shape().len() / rows]);
        let unit = |x: Tensor| &x / x.square().sum().sqrt();
        let right = no_grad(|| unit(self.vector.matmul(&matrix)));
        self.vector = no_grad(|| unit(right.linear(&matrix)));
        let largest = (right.linear(&matrix) * &self.vector).sum();
        &self.weight / largest
    }
}

/// Every image that there is: light discs and squares of three sizes at 25 places on dark ground.
fn shapes() -> Vec<Vec<f64>> {
    let mut shapes = Vec::new();
    for (kind, place, radius) in (0..150).map(|i| (i % 2, i / 2 % 25, 3 + i / 50)) {
        let (cy, cx) = ((place / 5 + 6) as f64 - 0.5, (place % 5 + 6) as f64 - 0.5);
        let light = |pixel: usize| {
            let (dy, dx) = ((pixel / SIDE) as f64 - cy, (pixel % SIDE) as f64 - cx);
            let distance = if kind == 0 { dy.hypot(dx) } else { dy.abs().max(dx.abs()) };
            (2.0 * (f64::from(radius) - distance)).clamp(-1.0, 1.0)
        };
        shapes.push((0..SIDE * SIDE).map(light).collect());
    }
    shapes
}

/// A network that doubles the size of its images twice. Every layer but the last is followed by batch norm.
struct Generator {
    weights: [Tensor; 3],
    scales: [Tensor; 2],
    shifts: [Tensor; 2],
}

impl Generator {
    fn images(&self, latents: &Tensor) -> Tensor {
        let norm = |x: Tensor, i: usize| x.batch_norm_leaky_relu(&self.scales[i], &self.shifts[i], 1, 1e-5, 0.0);
        let small = latents.linear(&self.weights[0]).reshape([latents.shape()[0], 32, 4, 4]);
        let middle = norm(small, 0).upsample2d().conv2d(&self.weights[1], Conv2d::square(1, 1));
        norm(middle, 1).upsample2d().conv2d(&self.weights[2], Conv2d::square(1, 1)).tanh()
    }

    fn parameters(&mut self) -> Vec<&mut Tensor> {
        self.weights.iter_mut().chain(&mut self.scales).chain(&mut self.shifts).collect()
    }
}

struct Critic {
    weights: [Spectral; 3],
}

impl Critic {
    /// The scores of each of these batches.
    fn scores<const N: usize>(&mut self, batches: [&Tensor; N]) -> [Tensor; N] {
        let [first, second, last] = self.weights.each_mut().map(Spectral::normalised);
        batches.map(|images| {
            let halved = images.conv2d(&first, Conv2d::square(2, 1)).leaky_relu(0.1);
            halved.conv2d(&second, Conv2d::square(2, 1)).leaky_relu(0.1).flatten().linear(&last)
        })
    }
}

fn main() {
    let random = Random::new(0);
    let at = |stream, step| Address { stream, step, ..Address::default() };
    let draw = |step, shape: &[usize]| {
        let deviation = (1.0 / shape[1..].iter().product::<usize>() as f64).sqrt();
        let shape = Shape::of(shape).expect("at most four axes");
        (random.normal(at(0, step), shape, Device::Cpu) * deviation).variable()
    };
    let table = |value, channels: usize| Tensor::full(value, [channels], Device::Cpu).variable();
    let mut generator = Generator {
        weights: [draw(0, &[32 * 16, LATENT]), draw(1, &[16, 32, 3, 3]), draw(2, &[1, 16, 3, 3])],
        scales: [table(1.0, 32), table(1.0, 16)],
        shifts: [table(0.0, 32), table(0.0, 16)],
    };
    let spectral = |step, shape: &[usize]| Spectral { weight: draw(step, shape), vector: draw(step + 10, &[1, shape[0]]) };
    let mut critic = Critic { weights: [spectral(3, &[16, 1, 4, 4]), spectral(4, &[32, 16, 4, 4]), spectral(5, &[1, 512])] };
    let options = AdamOptions { beta1: 0.0, beta2: 0.9, ..AdamOptions::default() };
    let (mut for_generator, mut for_critic) = (Adam::new(options), Adam::new(options));

    let shapes = shapes();
    let latents = |step, count: usize| random.normal(at(1, step), [count, LATENT], Device::Cpu);
    for step in 1..=800 {
        let chosen = random.below(at(2, step), BATCH, shapes.len()).into_iter().flat_map(|i| shapes[i].clone()).collect();
        let real = Tensor::from_vec::<f64>(chosen, [BATCH, 1, SIDE, SIDE], Device::Cpu);
        let generated = generator.images(&latents(step, BATCH));
        let [on_real, on_generated] = critic.scores([&real, &generated.detach()]);
        let loss = (1.0 - on_real).relu().mean() + (1.0 + on_generated).relu().mean();
        let gradients = loss.gradients(&critic.weights.each_ref().map(|spectral| &spectral.weight));
        for_critic.step(1e-3, critic.weights.iter_mut().map(|spectral| &mut spectral.weight).collect(), &gradients);

        let [scores] = critic.scores([&generated]);
        let mut parameters = generator.parameters();
        let gradients = (-scores.mean()).gradients(&parameters.iter().map(|parameter| &**parameter).collect::<Vec<_>>());
        for_generator.step(1e-3, parameters, &gradients);
        if step % 100 == 0 {
            println!("step {step}: loss of the critic {:.3}", loss.item());
            report(&generator.images(&latents(0, 256)).to_vec(), &shapes);
        }
    }
}

fn report(images: &[f64], shapes: &[Vec<f64>]) {
    let mut counts = vec![0; shapes.len()];
    let mut sum = 0.0;
    for image in images.chunks_exact(SIDE * SIDE) {
        let error = |shape: &[f64]| shape.iter().zip(image).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / 256.0;
        let (nearest, error) =
            shapes.iter().map(|s| error(s)).enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).expect("shapes");
        counts[nearest] += 1;
        sum += error;
    }
    let distinct = counts.iter().filter(|&&c| c > 0).count();
    let discs: usize = counts.iter().step_by(2).sum();
    println!("error {:.3} distinct {distinct} discs {discs}", sum / 256.0);
    for row in images[..4 * SIDE * SIDE].chunks(SIDE).step_by(2) {
        let _line: String = row.iter().map(|&x| if x > 0.5 { '#' } else if x > -0.5 { '+' } else { '.' }).collect();
    }
}
