//! A GAN with the hinge loss and spectral normalisation: a generator learns to draw discs and squares.
//!
//! A generator turns random numbers into images, and a critic learns to score real images above 1 and generated ones
//! below -1. A critic whose scores jump between similar images teaches the generator nothing. Spectral normalisation
//! (Miyato et al., 2018) holds them down: each weight of the critic, read as a matrix, is divided by its largest
//! singular value. This is found by power iteration, one round a step: a vector is multiplied by the matrix and by its
//! transpose in turn. It depends on the weight, so the gradient of the loss flows through the division too.

use mergan_tensor::{Adam, AdamOptions, Address, Conv2d, Device, Random, Tensor, no_grad};

const BATCH: usize = 32;
const SIDE: usize = 16;
const LATENT: usize = 16;
const HALVE: Conv2d = Conv2d::square(2, 1);

/// Discs (even numbers) and squares (odd numbers) of two sizes at 25 places: light (1) on dark ground (-1).
fn shape(number: usize) -> Vec<f64> {
    let (square, place, size) = (number % 2 == 1, number / 2 % 25, number / 50);
    let far = |pixel: usize, place: usize| (pixel as f64 - place as f64 - 5.5).abs();
    let light = |pixel: usize| {
        let (dy, dx) = (far(pixel / SIDE, place / 5), far(pixel % SIDE, place % 5));
        let distance = if square { dy.max(dx) } else { dy.hypot(dx) };
        (8.0 + 2.0 * size as f64 - 2.0 * distance).clamp(-1.0, 1.0)
    };
    (0..SIDE * SIDE).map(light).collect()
}

/// The images of latents `[n, 16, 1, 1]`. Of the parameters, three are weights; two pairs are scales and shifts of batch norms.
fn images(p: &[Tensor], latents: &Tensor) -> Tensor {
    let small = latents.conv_transpose2d(&p[0], Conv2d::POINT, [4, 4]);
    let small = small.batch_norm_leaky_relu(&p[3], &p[4], 1, 1e-5, 0.0);
    let middle = small.conv_transpose2d(&p[1], HALVE, [8, 8]).batch_norm_leaky_relu(&p[5], &p[6], 1, 1e-5, 0.0);
    middle.conv_transpose2d(&p[2], HALVE, [SIDE, SIDE]).tanh()
}

/// The scores of images `[n, 1, 16, 16]` under the critic's normalised weights.
fn scores(weights: &[Tensor], images: &Tensor) -> Tensor {
    let halved = images.conv2d(&weights[0], HALVE).leaky_relu(0.1);
    halved.conv2d(&weights[1], HALVE).leaky_relu(0.1).conv2d(&weights[2], Conv2d::POINT)
}

/// The weight over its largest singular value. The power iteration goes on from `vector` `[1, rows]`.
fn normalised(weight: &Tensor, vector: &mut Tensor) -> Tensor {
    let rows = weight.shape()[0];
    let matrix = weight.reshape([rows, weight.shape().len() / rows]);
    let unit = |x: Tensor| &x / x.square().sum().sqrt();
    let right = no_grad(|| unit(vector.matmul(&matrix)));
    *vector = no_grad(|| unit(right.linear(&matrix)));
    weight / (right.linear(&matrix) * &*vector).sum()
}

fn main() {
    let random = Random::new(0);
    let at = |stream, step| Address { stream, step, ..Address::default() };
    let latents = |step, count: usize| random.normal(at(0, step), [count, LATENT, 1, 1], Device::Cpu);
    let weight = |stream, shape: [usize; 4]| (random.normal(at(stream, 0), shape, Device::Cpu) * 0.1).variable();
    let table = |(value, channels): (f64, usize)| Tensor::full(value, [channels], Device::Cpu).variable();
    let tables = [(1.0, 32), (0.0, 32), (1.0, 16), (0.0, 16)].map(table);
    let weights = [weight(1, [LATENT, 32, 4, 4]), weight(2, [32, 16, 4, 4]), weight(3, [16, 1, 4, 4])];
    let mut generator: Vec<Tensor> = weights.into_iter().chain(tables).collect();
    let mut critic = [weight(4, [16, 1, 4, 4]), weight(5, [32, 16, 4, 4]), weight(6, [1, 32, 4, 4])];
    let mut vectors = [16, 32, 1].map(|rows| Tensor::full(1.0, [1, rows], Device::Cpu));
    let options = AdamOptions { beta1: 0.0, beta2: 0.9, ..AdamOptions::default() };
    let [mut generator_adam, mut critic_adam] = [Adam::new(options), Adam::new(options)];

    for step in 1..=600 {
        let numbers = random.below(at(7, step), BATCH, 100);
        let real = Tensor::from_vec(numbers.into_iter().flat_map(shape).collect(), [BATCH, 1, SIDE, SIDE], Device::Cpu);
        let generated = images(&generator, &latents(step, BATCH));
        let weights: Vec<Tensor> = critic.iter().zip(&mut vectors).map(|(w, v)| normalised(w, v)).collect();
        let on_generated = scores(&weights, &generated.detach());
        let loss = (1.0 - scores(&weights, &real)).relu().mean() + (1.0 + on_generated).relu().mean();
        let gradients = loss.gradients(&critic.iter().collect::<Vec<_>>());
        critic_adam.step(1e-3, critic.iter_mut().collect(), &gradients);

        let weights: Vec<Tensor> = weights.iter().map(Tensor::detach).collect();
        let gradients = (-scores(&weights, &generated).mean()).gradients(&generator.iter().collect::<Vec<_>>());
        generator_adam.step(1e-3, generator.iter_mut().collect(), &gradients);
    }

    // Each sample is compared with the most similar of the hundred shapes.
    let samples: Vec<f64> = images(&generator, &latents(0, 200)).to_vec();
    for row in (0..SIDE).step_by(2) {
        let pixels = (0..6).flat_map(|sample| &samples[(sample * SIDE + row) * SIDE..][..SIDE]);
        println!("{}", pixels.map(|&pixel| if pixel > 0.0 { '#' } else { '.' }).collect::<String>());
    }
    let (mut counts, mut sum) = ([0; 100], 0.0);
    for sample in samples.chunks_exact(SIDE * SIDE) {
        let error = |number| shape(number).iter().zip(sample).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / 256.0;
        let nearest = (0..100).map(error).enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).expect("a hundred shapes");
        counts[nearest.0] += 1;
        sum += nearest.1;
    }
    let (error, discs): (f64, usize) = (sum / 200.0, counts.iter().step_by(2).sum());
    let distinct = counts.iter().filter(|&&count| count > 0).count();
    println!("200 samples: {discs} discs, {distinct} different shapes, mean squared error {error:.3}");
    assert!(error < 0.25, "the samples should differ from shapes by less than a pixel's width");
    assert!((40..160).contains(&discs) && distinct > 40, "discs and squares of many sizes and places should be drawn");
}
