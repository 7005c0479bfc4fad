//! The interface between a generator and the code that needs images of a class from it. Scoring, sample grids and
//! exports call a generator's sampler, so they need not know which strategy trained the generator.

use std::fmt::Debug;

use mergan_models::{Conditions, Generator, Weights};
use ndarray::{Array4, Axis};

use crate::batches::Grouping;
use crate::draws::Purpose;
use crate::sampling::{Sampling, Source, first};

/// A way to draw images of given classes from a generator. The default implementations are those of a generator that
/// can be conditioned on a class.
pub trait Sampler: Debug + Send + Sync {
    /// Draws images as [`Sampling::images`] does, at the latents of this purpose. A class may have fewer images than
    /// were asked for, or none, if the generator hardly ever makes one.
    fn images(
        &self,
        sampling: &Sampling,
        purpose: Purpose,
        source: Source,
        classes: &[usize],
        count: usize,
    ) -> Vec<Array4<u8>>;

    /// Draws sample grids as [`Sampling::grid`] does.
    fn grid(&self, sampling: &Sampling, source: Source, classes: &[usize], columns: usize) -> Vec<Array4<u8>>;

    /// Clones the sampler into a box.
    fn boxed(&self) -> Box<dyn Sampler>;

    /// Returns the images that each of these generators makes from the same latents, class by class. `count` latents
    /// are drawn for each of `classes`, and no more, whatever classes the images turn out to have; the classes of the
    /// first generator's images apply to all generators.
    fn at_same_latents(
        &self,
        sampling: &Sampling,
        purpose: Purpose,
        generators: &[&Generator],
        classes: &[usize],
        count: usize,
    ) -> Vec<Vec<Array4<u8>>> {
        generators.iter().map(|&generator| self.images(sampling, purpose, generator.into(), classes, count)).collect()
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

    /// Adds what the sampler consists of, apart from the generator, to the generator's file, where
    /// [`FromOptions::restore_sampler`](crate::FromOptions::restore_sampler) finds it.
    fn save(&self, _weights: &mut Weights) {}
}

/// The sampler that conditions the generator on the requested classes, in batches grouped as in training.
#[derive(Clone, Copy, Debug)]
pub struct ClassConditional;

impl Sampler for ClassConditional {
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

    /// Draws class-pure batches whatever the grouping, because a grid shows what the generator makes when it is
    /// conditioned on one class.
    fn grid(&self, sampling: &Sampling, source: Source, classes: &[usize], columns: usize) -> Vec<Array4<u8>> {
        // The batch is as large as a scored one, because its size affects batch normalisation; only its first images
        // are shown.
        let latents = sampling.latents(source.generator, Purpose::Grid, 0, 0, sampling.batch.max(columns));
        let rows = classes.iter().map(|&class| first(&[source.bytes(&latents, &Conditions::pure(&[class]))], columns));
        rows.collect()
    }

    fn boxed(&self) -> Box<dyn Sampler> {
        Box::new(*self)
    }
}

fn of_class(sampling: &Sampling, purpose: Purpose, source: Source, class: usize, count: usize) -> Array4<u8> {
    let batches: Vec<_> = (0..count.div_ceil(sampling.batch))
        .map(|i| {
            let latents = sampling.latents(source.generator, purpose, class, i, sampling.batch);
            source.bytes(&latents, &Conditions::pure(&[class]))
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
