//! Images of a trained generator, as they are scored and shown.
//!
//! Batch norm uses the statistics of the batch it is given, so a sample depends on its batch-mates; samples are made in
//! the batches that training used: class-pure ones, or mixed ones for a generator that was trained on those.

use mergan_models::{Conditions, Generator, to_bytes};
use mergan_tensor::{Device, Random, Tensor, no_grad};
use ndarray::{Array4, Axis, concatenate};

use crate::draws::{Draws, Purpose};
use crate::learner::Grouping;

/// How samples are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Images normalised together.
    pub batch: usize,
    /// Whether they are of one class.
    pub grouping: Grouping,
    /// The seed of the latents.
    pub seed: u64,
}

impl Sampling {
    /// What these samples' statistics are called on a metric card.
    pub fn statistics(&self) -> String {
        format!("batch of {}", self.batch)
    }

    /// `count` images of each of `classes`, class by class: bytes, N x C x H x W each.
    pub fn images(&self, generator: &Generator, classes: &[usize], count: usize) -> Vec<Array4<u8>> {
        match self.grouping {
            Grouping::Pure => classes.iter().map(|&class| self.of_class(generator, class, count)).collect(),
            Grouping::Mixed => self.of_all(generator, classes, count),
        }
    }

    /// Sample grids: `columns` images of each of `classes`, the same latents in every row and after every task. They are
    /// made in class-pure batches whatever the grouping: a grid shows what a class looks like when it is asked for.
    pub fn grid(&self, generator: &Generator, classes: &[usize], columns: usize) -> Vec<Array4<u8>> {
        // The shown images are the first of a batch as large as the scored ones.
        let latents = self.latents(generator, Purpose::Grid, 0, 0, self.batch.max(columns));
        let rows = classes.iter().map(|&class| {
            let images = generate(generator, &latents, &Conditions::pure(&[class]));
            images.slice_axis(Axis(0), (..columns).into()).to_owned()
        });
        rows.collect()
    }

    fn of_class(&self, generator: &Generator, class: usize, count: usize) -> Array4<u8> {
        let batches: Vec<_> = (0..count.div_ceil(self.batch))
            .map(|i| {
                let latents = self.latents(generator, Purpose::Evaluation, class, i, self.batch);
                generate(generator, &latents, &Conditions::pure(&[class]))
            })
            .collect();
        first(&batches, count)
    }

    /// Every batch holds all classes in turn.
    fn of_all(&self, generator: &Generator, classes: &[usize], count: usize) -> Vec<Array4<u8>> {
        let mut collected: Vec<Vec<Array4<u8>>> = vec![Vec::new(); classes.len()];
        let batches = (count * classes.len()).div_ceil(self.batch) + 1;
        for i in 0..batches {
            let labels: Vec<usize> = (0..self.batch).map(|j| classes[(i * self.batch + j) % classes.len()]).collect();
            let latents = self.latents(generator, Purpose::Evaluation, 0, i, self.batch);
            let images = generate(generator, &latents, &Conditions::mixed(&labels));
            for (collected, &class) in collected.iter_mut().zip(classes) {
                let of_class: Vec<usize> = (0..self.batch).filter(|&j| labels[j] == class).collect();
                collected.push(images.select(Axis(0), &of_class));
            }
        }
        collected.iter().map(|batches| first(batches, count)).collect()
    }

    fn latents(&self, generator: &Generator, purpose: Purpose, class: usize, index: usize, n: usize) -> Tensor {
        let noise = Random::new(self.seed);
        let latent = generator.config().latent;
        let draws = Draws { noise: &noise, device: Device::Cpu, latent, task: class, iteration: index, inner: 0 };
        draws.latents(purpose, n)
    }
}

fn generate(generator: &Generator, latents: &Tensor, conditions: &Conditions) -> Array4<u8> {
    to_bytes(&no_grad(|| generator.forward(latents, conditions)))
}

fn first(batches: &[Array4<u8>], count: usize) -> Array4<u8> {
    let views: Vec<_> = batches.iter().map(|batch| batch.view()).collect();
    let images = concatenate(Axis(0), &views).expect("images of one generator have one size");
    images.slice_axis(Axis(0), (..count).into()).to_owned()
}
