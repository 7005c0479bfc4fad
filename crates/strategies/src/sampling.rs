//! Images of a trained generator, as they are scored and shown.
//!
//! Batch norm uses the statistics of the batch it is given, so a sample depends on its batch-mates; samples are made in
//! the batches that training used: class-pure ones, or mixed ones for a generator that was trained on those. With standing
//! statistics, measured on such batches, each image is made by itself.

use mergan_models::{Conditions, Generator, Network, Standing, to_bytes};
use mergan_tensor::{Random, Tensor, no_grad};
use ndarray::{Array4, Axis, concatenate};

use crate::batches::Grouping;
use crate::draws::{Draws, Purpose};
use crate::sampler::{ClassConditional, Sampler};

/// What images are drawn from: a generator, and what knows how to draw from it.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// G.
    pub generator: &'a Generator,
    /// See [`Strategy::sampler`](crate::Strategy::sampler).
    pub sampler: &'a dyn Sampler,
    /// What normalises the images; without it the statistics of their batch do.
    pub standing: Option<&'a Standing>,
}

/// One that can be asked for a class.
impl<'a> From<&'a Generator> for Source<'a> {
    fn from(generator: &'a Generator) -> Self {
        Source { generator, sampler: &ClassConditional, standing: None }
    }
}

impl Source<'_> {
    /// The images of these latents (N x latent) under these conditions, in (-1, 1).
    ///
    /// # Panics
    /// As [`Generator::forward`].
    pub fn generate(&self, latents: &Tensor, conditions: &Conditions) -> Tensor {
        no_grad(|| match self.standing {
            None => self.generator.forward(latents, conditions),
            Some(standing) => self.generator.forward_standing(latents, conditions, standing),
        })
    }

    /// The same as bytes, N x C x H x W.
    ///
    /// # Panics
    /// As [`Generator::forward`].
    pub fn bytes(&self, latents: &Tensor, conditions: &Conditions) -> Array4<u8> {
        to_bytes(&self.generate(latents, conditions))
    }
}

/// Batches of each class that standing statistics are measured on.
pub(crate) const STANDING_BATCHES: usize = 20;

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
    /// What the statistics of samples of this source are called on a metric card.
    pub fn statistics<'a>(&self, source: impl Into<Source<'a>>) -> String {
        match source.into().standing {
            None => format!("batch of {}", self.batch),
            Some(_) => format!("standing, of {STANDING_BATCHES} batches of {}", self.batch),
        }
    }

    /// How classes share a batch in normalisation. What is always asked for the same class makes images of all of them in one
    /// batch.
    pub fn grouping_of<'a>(&self, source: impl Into<Source<'a>>) -> Grouping {
        match source.into().sampler.only_condition() {
            None => self.grouping,
            Some(_) => Grouping::Mixed,
        }
    }

    /// Standing statistics of `classes`, measured on the batches that samples are made in.
    pub fn standing<'a>(&self, source: impl Into<Source<'a>>, classes: &[usize]) -> Standing {
        let Source { generator, sampler, .. } = source.into();
        let latents = |class, i| self.latents(generator, Purpose::Standing, class, i, self.batch);
        let pure = |class: usize| (0..STANDING_BATCHES).map(move |i| (Conditions::pure(&[class]), latents(class, i)));
        match (sampler.only_condition(), self.grouping) {
            (Some(class), _) => Standing::measure(generator, pure(class)),
            (None, Grouping::Pure) => Standing::measure(generator, classes.iter().flat_map(|&class| pure(class))),
            (None, Grouping::Mixed) => {
                let batches = (0..STANDING_BATCHES).map(|i| (Conditions::mixed(&self.turn(classes, i)), latents(0, i)));
                Standing::measure(generator, batches)
            }
        }
    }

    /// `count` images of each of `classes`, class by class: bytes, N x C x H x W each. There are fewer of a class that the
    /// generator cannot be asked for and makes too seldom, down to none.
    pub fn images<'a>(&self, source: impl Into<Source<'a>>, classes: &[usize], count: usize) -> Vec<Array4<u8>> {
        let source = source.into();
        source.sampler.images(self, Purpose::Evaluation, source, classes, count)
    }

    /// Sample grids: `columns` images of each of `classes`, the same latents in every row and after every task. A row is
    /// black where there are no more images of its class.
    pub fn grid<'a>(&self, source: impl Into<Source<'a>>, classes: &[usize], columns: usize) -> Vec<Array4<u8>> {
        let source = source.into();
        source.sampler.grid(self, source, classes, columns)
    }

    /// The labels of a mixed batch: the classes in turn, batch after batch.
    pub(crate) fn turn(&self, classes: &[usize], batch: usize) -> Vec<usize> {
        (0..self.batch).map(|j| classes[(batch * self.batch + j) % classes.len()]).collect()
    }

    /// Latents (n x latent) of a seed of this, a purpose, a class and a number of the batch.
    pub fn latents(&self, generator: &Generator, purpose: Purpose, class: usize, index: usize, n: usize) -> Tensor {
        let noise = Random::new(self.seed);
        let latent = generator.config().latent;
        let draws =
            Draws { noise: &noise, device: generator.device(), latent, task: class, iteration: index, inner: 0 };
        draws.latents(purpose, n)
    }
}

/// The first `count` images, or all where there are fewer.
pub(crate) fn first(batches: &[Array4<u8>], count: usize) -> Array4<u8> {
    let images = joined(batches);
    let count = count.min(images.len_of(Axis(0)));
    images.slice_axis(Axis(0), (..count).into()).to_owned()
}

/// All images in one array.
pub(crate) fn joined(batches: &[Array4<u8>]) -> Array4<u8> {
    let views: Vec<_> = batches.iter().map(|batch| batch.view()).collect();
    concatenate(Axis(0), &views).expect("images of one generator have one size")
}
