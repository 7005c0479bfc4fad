//! The seam between a generator and those who want images of a class from it: who scores, shows or exports a generator asks
//! its sampler, and knows no strategy.

use std::fmt::Debug;

use mergan_models::{Conditions, Generator, Weights};
use ndarray::{Array4, Axis};

use crate::batches::Grouping;
use crate::draws::Purpose;
use crate::sampling::{Sampling, Source, first};

/// How images of classes are drawn from a generator. Every method but the first three has the default of a generator that
/// can be asked for a class.
pub trait Sampler: Debug + Send + Sync {
    /// See [`Sampling::images`], here at the latents of a purpose. There may be fewer images of a class than asked for, down to
    /// none, where the generator hardly ever makes one.
    fn images(
        &self,
        sampling: &Sampling,
        purpose: Purpose,
        source: Source,
        classes: &[usize],
        count: usize,
    ) -> Vec<Array4<u8>>;

    /// See [`Sampling::grid`].
    fn grid(&self, sampling: &Sampling, source: Source, classes: &[usize], columns: usize) -> Vec<Array4<u8>>;

    /// The same with an owner of its own.
    fn boxed(&self) -> Box<dyn Sampler>;

    /// What each of these generators makes of the same latents, class by class. There are `count` latents for each of
    /// `classes`, and no more are drawn, whichever class they turn out to be of; the images of the first generator decide
    /// that for all.
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

    /// The class that the generator is asked for whichever is wanted; `None` where it is asked for the one that is wanted.
    fn only_condition(&self) -> Option<usize> {
        None
    }

    /// What says which class an image is of, as a noun for messages.
    fn namer(&self) -> &'static str {
        "request"
    }

    /// Puts what the sampler consists of beside the generator into its file, for
    /// [`FromOptions::restore_sampler`](crate::FromOptions::restore_sampler).
    fn save(&self, _weights: &mut Weights) {}
}

/// Asks the generator for the classes that are wanted, in the batches that training used.
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

    /// In class-pure batches whatever the grouping: a grid shows what a class looks like when it is asked for.
    fn grid(&self, sampling: &Sampling, source: Source, classes: &[usize], columns: usize) -> Vec<Array4<u8>> {
        // The shown images are the first of a batch as large as the scored ones.
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

/// Every batch holds all classes in turn.
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
