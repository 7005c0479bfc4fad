//! The interface between a generator and the code that needs images of a class from it. Scoring, sample grids and
//! exports call a generator's sampler, so they need not know which strategy trained the generator.

use std::fmt::Debug;

use mergan_models::{Conditions, Generator, Weights, to_bytes};
use mergan_tensor::Device;
use ndarray::{Array4, Axis};

use crate::batches::Grouping;
use crate::draws::Purpose;
use crate::sampling::{Sampling, Source, first};

/// A way to draw images of given classes from a generator. The default implementations are those of a generator that
/// can be conditioned on a class.
pub trait Sampler: Debug + Send + Sync {
    /// Returns the generators that make images of these classes, each with the classes that it makes. `newest` is the
    /// generator that is being trained or was trained last. It makes all classes unless a sampler keeps other
    /// generators of the same sizes.
    fn generators(&self, newest: &Generator, classes: &[usize]) -> Vec<(Vec<usize>, Generator)> {
        vec![(classes.to_vec(), newest.clone())]
    }

    /// Draws images as [`Sampling::images`] does, at the latents of this purpose. A class may have fewer images than
    /// were asked for, or none, if the generator hardly ever makes one.
    ///
    /// Batches are grouped as in training. A generator that is trained on mixed batches makes all of their classes.
    fn images(
        &self,
        sampling: &Sampling,
        purpose: Purpose,
        source: Source,
        classes: &[usize],
        count: usize,
    ) -> Vec<Array4<u8>> {
        match sampling.grouping {
            Grouping::Pure => classes.iter().map(|&class| of_class(sampling, purpose, source, class, count)).collect(),
            Grouping::Mixed => of_all(sampling, purpose, source, classes, count),
        }
    }

    /// Draws sample grids as [`Sampling::grid`] does: class-pure batches whatever the grouping, because a grid shows
    /// what the generator makes when it is conditioned on one class.
    fn grid(&self, sampling: &Sampling, source: Source, classes: &[usize], columns: usize) -> Vec<Array4<u8>> {
        // The batch is as large as a scored one, because its size affects batch normalisation; only its first images
        // are shown.
        let latents = sampling.latents(source.generator, Purpose::Grid, 0, 0, sampling.batch.max(columns));
        let rows = classes.iter().map(|&class| first(&[to_bytes(&source.generate_class(&latents, class))], columns));
        rows.collect()
    }

    /// Clones the sampler into a box.
    fn boxed(&self) -> Box<dyn Sampler>;

    /// Returns the images that each of these sources makes from the same latents, class by class. `count` latents are
    /// drawn for each of `classes`, and no more, whatever classes the images turn out to have; the classes of the first
    /// source's images apply to all sources.
    fn at_same_latents(
        &self,
        sampling: &Sampling,
        purpose: Purpose,
        sources: &[Source],
        classes: &[usize],
        count: usize,
    ) -> Vec<Vec<Array4<u8>>> {
        let images = |source: &Source| source.sampler.images(sampling, purpose, *source, classes, count);
        sources.iter().map(images).collect()
    }

    /// Returns the class that the generator is always conditioned on, or `None` if it is conditioned on the requested
    /// class.
    fn only_condition(&self) -> Option<usize> {
        None
    }

    /// Returns what decides the class of an image, as a noun for messages.
    fn namer(&self) -> &'static str {
        "request"
    }

    /// Moves the sampler's networks that generate images to another device.
    fn move_to(&mut self, _device: Device) {}

    /// Adds what the sampler consists of, apart from the generator, to the generator's file, where
    /// [`FromOptions::restore_sampler`](crate::FromOptions::restore_sampler) finds it.
    fn save(&self, _weights: &mut Weights) {}
}

/// The sampler that conditions the generator on the requested classes, in batches grouped as in training.
#[derive(Clone, Copy, Debug)]
pub struct ClassConditional;

impl Sampler for ClassConditional {
    fn boxed(&self) -> Box<dyn Sampler> {
        Box::new(*self)
    }
}

fn of_class(sampling: &Sampling, purpose: Purpose, source: Source, class: usize, count: usize) -> Array4<u8> {
    let batches: Vec<_> = (0..count.div_ceil(sampling.batch))
        .map(|i| {
            let latents = sampling.latents(source.generator, purpose, class, i, sampling.batch);
            to_bytes(&source.generate_class(&latents, class))
        })
        .collect();
    first(&batches, count)
}

/// Draws mixed batches, in which the classes alternate.
fn of_all(sampling: &Sampling, purpose: Purpose, source: Source, classes: &[usize], count: usize) -> Vec<Array4<u8>> {
    let mut collected: Vec<Vec<Array4<u8>>> = vec![Vec::new(); classes.len()];
    let batches = (count * classes.len()).div_ceil(sampling.batch) + 1;
    for i in 0..batches {
        let labels = sampling.turn(classes, i);
        let latents = sampling.latents(source.generator, purpose, 0, i, sampling.batch);
        let images = source.bytes(&latents, &Conditions::mixed(&labels));
        for (collected, &class) in collected.iter_mut().zip(classes) {
            let of_class: Vec<usize> = (0..sampling.batch).filter(|&j| labels[j] == class).collect();
            collected.push(images.select(Axis(0), &of_class));
        }
    }
    collected.iter().map(|batches| first(batches, count)).collect()
}
