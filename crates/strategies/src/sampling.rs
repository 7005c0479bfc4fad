//! Draws images from a trained generator for scoring and display.
//!
//! Batch normalisation uses the statistics of the batch, so a sample depends on the other images of its batch. Samples
//! are therefore drawn in the batches that training used: class-pure ones, or mixed ones for a generator that was
//! trained on those. With standing statistics, which are measured on such batches, images do not depend on each other.

use mergan_models::{Conditions, Generator, Network, Standing, to_bytes};
use mergan_tensor::{Random, Tensor, no_grad};
use ndarray::{Array4, Axis, concatenate};

use crate::batches::Grouping;
use crate::draws::{Draws, Purpose};
use crate::sampler::{ClassConditional, Sampler};

/// A generator with the sampler that draws images from it.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The generator.
    pub generator: &'a Generator,
    /// The sampler; see [`Strategy::sampler`](crate::Strategy::sampler).
    pub sampler: &'a dyn Sampler,
    /// The statistics that normalise the images. Without them, the statistics of the batch are used.
    pub standing: Option<&'a Standing>,
}

/// A source whose generator can be conditioned on a class.
impl<'a> From<&'a Generator> for Source<'a> {
    fn from(generator: &'a Generator) -> Self {
        Source { generator, sampler: &ClassConditional, standing: None }
    }
}

impl Source<'_> {
    /// Returns the images of a class that are made from these latents `[n, latent]` in one batch, with values in
    /// (-1, 1), by the generator that makes this class.
    ///
    /// # Panics
    /// Panics if the class is out of range.
    pub fn generate_class(&self, latents: &Tensor, class: usize) -> Tensor {
        let [(_, generator)] = &self.sampler.generators(self.generator, &[class])[..] else {
            unreachable!("one class is made by one generator")
        };
        Source { generator, ..*self }.generate(latents, &Conditions::pure(&[class]))
    }

    /// Returns the images that the generator makes from these latents `[n, latent]` under these conditions, with values
    /// in (-1, 1).
    ///
    /// # Panics
    /// Panics under the conditions of [`Generator::forward`].
    pub fn generate(&self, latents: &Tensor, conditions: &Conditions) -> Tensor {
        no_grad(|| match self.standing {
            None => self.generator.forward(latents, conditions),
            Some(standing) => self.generator.forward_standing(latents, conditions, standing),
        })
    }

    /// Returns the same images as bytes, `[n, c, h, w]`.
    ///
    /// # Panics
    /// Panics under the conditions of [`Generator::forward`].
    pub fn bytes(&self, latents: &Tensor, conditions: &Conditions) -> Array4<u8> {
        to_bytes(&self.generate(latents, conditions))
    }
}

/// The number of batches of each class that standing statistics are measured on.
pub(crate) const STANDING_BATCHES: usize = 20;

/// The settings with which samples are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// The number of images that are normalised together.
    pub batch: usize,
    /// Whether the images of a batch are all of one class.
    pub grouping: Grouping,
    /// The seed of the latents.
    pub seed: u64,
}

impl Sampling {
    /// Returns the name of the normalisation statistics of this source's samples for a metric card.
    pub fn statistics<'a>(&self, source: impl Into<Source<'a>>) -> String {
        match source.into().standing {
            None => format!("batch of {}", self.batch),
            Some(_) => format!("standing, of {STANDING_BATCHES} batches of {}", self.batch),
        }
    }

    /// Returns how classes share a batch in normalisation. A generator that is always conditioned on the same class
    /// makes images of all classes in one batch.
    pub fn grouping_of<'a>(&self, source: impl Into<Source<'a>>) -> Grouping {
        match source.into().sampler.only_condition() {
            None => self.grouping,
            Some(_) => Grouping::Mixed,
        }
    }

    /// Measures standing statistics of `classes` on batches like those in which samples are drawn.
    pub fn standing<'a>(&self, source: impl Into<Source<'a>>, classes: &[usize]) -> Standing {
        let Source { generator, sampler, .. } = source.into();
        let latents = |class, i| self.latents(generator, Purpose::Standing, class, i, self.batch);
        let pure = |class: usize| (0..STANDING_BATCHES).map(move |i| (Conditions::pure(&[class]), latents(class, i)));
        match (sampler.only_condition(), self.grouping) {
            (Some(class), _) => Standing::measure(generator, pure(class)),
            (None, Grouping::Pure) => {
                let batches = sampler.generators(generator, classes).into_iter().flat_map(|(classes, made)| {
                    let batches = classes.into_iter().flat_map(pure);
                    batches.map(move |(conditions, latents)| (made.clone(), conditions, latents))
                });
                Standing::measure_each(generator, batches)
            }
            (None, Grouping::Mixed) => {
                let batches = (0..STANDING_BATCHES).map(|i| (Conditions::mixed(&self.turn(classes, i)), latents(0, i)));
                Standing::measure(generator, batches)
            }
        }
    }

    /// Draws `count` images of each of `classes` and returns them class by class, as bytes `[n, c, h, w]`. A class has
    /// fewer images, or none, if the generator cannot be conditioned on it and makes it too rarely.
    pub fn images<'a>(&self, source: impl Into<Source<'a>>, classes: &[usize], count: usize) -> Vec<Array4<u8>> {
        let source = source.into();
        source.sampler.images(self, Purpose::Evaluation, source, classes, count)
    }

    /// Draws sample grids: `columns` images of each of `classes`, at the same latents in every row and after every
    /// task. A row is padded with black images if the generator makes too few images of its class.
    pub fn grid<'a>(&self, source: impl Into<Source<'a>>, classes: &[usize], columns: usize) -> Vec<Array4<u8>> {
        let source = source.into();
        source.sampler.grid(self, source, classes, columns)
    }

    /// Returns the labels of a mixed batch: the classes in turn, continued from batch to batch.
    pub(crate) fn turn(&self, classes: &[usize], batch: usize) -> Vec<usize> {
        (0..self.batch).map(|j| classes[(batch * self.batch + j) % classes.len()]).collect()
    }

    /// Draws latents `[n, latent]` that depend on the seed, the purpose, the class and the index of the batch.
    pub fn latents(&self, generator: &Generator, purpose: Purpose, class: usize, index: usize, n: usize) -> Tensor {
        let noise = Random::new(self.seed);
        let latent = generator.config().latent;
        let draws =
            Draws { noise: &noise, device: generator.device(), latent, task: class, iteration: index, inner: 0 };
        draws.latents(purpose, n)
    }
}

/// Returns the first `count` images, or all of them if there are fewer.
pub(crate) fn first(batches: &[Array4<u8>], count: usize) -> Array4<u8> {
    let images = joined(batches);
    let count = count.min(images.len_of(Axis(0)));
    images.slice_axis(Axis(0), (..count).into()).to_owned()
}

/// Joins the batches into one array.
pub(crate) fn joined(batches: &[Array4<u8>]) -> Array4<u8> {
    let views: Vec<_> = batches.iter().map(|batch| batch.view()).collect();
    concatenate(Axis(0), &views).expect("images of one generator have one size")
}
