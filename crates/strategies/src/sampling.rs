//! Images of a trained generator, as they are scored and shown.
//!
//! Batch norm uses the statistics of the batch it is given, so a sample depends on its batch-mates; samples are made in
//! the batches that training used: class-pure ones, or mixed ones for a generator that was trained on those.

use mergan_models::{Conditions, Generator, to_bytes};
use mergan_tensor::{Device, Random, Tensor, no_grad};
use ndarray::{Array4, Axis, concatenate};

use crate::dgr::Solver;
use crate::draws::{Draws, Purpose};
use crate::learner::Grouping;

/// What images are drawn from: a generator, and what names its images where it knows no classes.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// G.
    pub generator: &'a Generator,
    /// See [`Strategy::solver`](crate::Strategy::solver).
    pub solver: Option<&'a Solver>,
}

impl<'a> From<&'a Generator> for Source<'a> {
    fn from(generator: &'a Generator) -> Self {
        Source { generator, solver: None }
    }
}

/// How many times as many images are drawn as would do if a solver named all classes equally often.
const PATIENCE: usize = 2;
/// Batches after which a class may be given up at the earliest.
const FEWEST: usize = 50;

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

    /// `count` images of each of `classes`, class by class: bytes, N x C x H x W each. Where a solver names the classes
    /// there are fewer of those that it names too seldom, down to none.
    pub fn images<'a>(&self, source: impl Into<Source<'a>>, classes: &[usize], count: usize) -> Vec<Array4<u8>> {
        self.images_at(Purpose::Evaluation, source, classes, count)
    }

    /// As [`images`](Sampling::images), at the latents of another purpose.
    pub fn images_at<'a>(
        &self,
        purpose: Purpose,
        source: impl Into<Source<'a>>,
        classes: &[usize],
        count: usize,
    ) -> Vec<Array4<u8>> {
        let Source { generator, solver } = source.into();
        match (solver, self.grouping) {
            (Some(solver), _) => self.named_by(solver, generator, purpose, classes, count),
            (None, Grouping::Pure) => {
                classes.iter().map(|&class| self.of_class(purpose, generator, class, count)).collect()
            }
            (None, Grouping::Mixed) => self.of_all(purpose, generator, classes, count),
        }
    }

    /// Sample grids: `columns` images of each of `classes`, the same latents in every row and after every task. They are
    /// made in class-pure batches whatever the grouping: a grid shows what a class looks like when it is asked for. Where
    /// a solver names the classes, a row shows what it names so, and is black where there is nothing left.
    pub fn grid<'a>(&self, source: impl Into<Source<'a>>, classes: &[usize], columns: usize) -> Vec<Array4<u8>> {
        let Source { generator, solver } = source.into();
        if let Some(solver) = solver {
            let rows = self.named_by(solver, generator, Purpose::Grid, classes, columns);
            return rows.into_iter().map(|row| filled(&row, columns)).collect();
        }
        // The shown images are the first of a batch as large as the scored ones.
        let latents = self.latents(generator, Purpose::Grid, 0, 0, self.batch.max(columns));
        let rows = classes.iter().map(|&class| {
            let images = generate(generator, &latents, &Conditions::pure(&[class]));
            images.slice_axis(Axis(0), (..columns).into()).to_owned()
        });
        rows.collect()
    }

    /// Images of a generator that knows no classes, drawn until there are `count` of each of `classes`, or until it is
    /// plain that some class hardly ever comes.
    fn named_by(
        &self,
        solver: &Solver,
        generator: &Generator,
        purpose: Purpose,
        classes: &[usize],
        count: usize,
    ) -> Vec<Array4<u8>> {
        let most = (PATIENCE * (count * solver.classes.len()).div_ceil(self.batch)).max(FEWEST);
        let mut collected: Vec<Vec<Array4<u8>>> = vec![Vec::new(); classes.len()];
        let mut found = vec![0; classes.len()];
        for i in 0..most {
            let images = solver.images(generator, &self.latents(generator, purpose, solver.classes[0], i, self.batch));
            let names = solver.classifier.predict(images.view());
            for ((collected, found), class) in collected.iter_mut().zip(&mut found).zip(classes) {
                let of_class: Vec<usize> = (0..names.len()).filter(|&j| names[j] == *class).collect();
                *found += of_class.len();
                // The first batch also says how large the images are.
                if i == 0 || !of_class.is_empty() {
                    collected.push(images.select(Axis(0), &of_class));
                }
            }
            if found.iter().all(|&found| found >= count) {
                break;
            }
        }
        collected.iter().map(|batches| first(batches, count)).collect()
    }

    fn of_class(&self, purpose: Purpose, generator: &Generator, class: usize, count: usize) -> Array4<u8> {
        let batches: Vec<_> = (0..count.div_ceil(self.batch))
            .map(|i| {
                let latents = self.latents(generator, purpose, class, i, self.batch);
                generate(generator, &latents, &Conditions::pure(&[class]))
            })
            .collect();
        first(&batches, count)
    }

    /// Every batch holds all classes in turn.
    fn of_all(&self, purpose: Purpose, generator: &Generator, classes: &[usize], count: usize) -> Vec<Array4<u8>> {
        let mut collected: Vec<Vec<Array4<u8>>> = vec![Vec::new(); classes.len()];
        let batches = (count * classes.len()).div_ceil(self.batch) + 1;
        for i in 0..batches {
            let labels: Vec<usize> = (0..self.batch).map(|j| classes[(i * self.batch + j) % classes.len()]).collect();
            let latents = self.latents(generator, purpose, 0, i, self.batch);
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

/// The first `count` images, or all where there are fewer.
fn first(batches: &[Array4<u8>], count: usize) -> Array4<u8> {
    let images = joined(batches);
    let count = count.min(images.len_of(Axis(0)));
    images.slice_axis(Axis(0), (..count).into()).to_owned()
}

/// The images with black ones behind them, `count` in all.
fn filled(images: &Array4<u8>, count: usize) -> Array4<u8> {
    let (found, c, h, w) = images.dim();
    joined(&[images.clone(), Array4::zeros((count - found, c, h, w))])
}

/// All images in one array.
pub(crate) fn joined(batches: &[Array4<u8>]) -> Array4<u8> {
    let views: Vec<_> = batches.iter().map(|batch| batch.view()).collect();
    concatenate(Axis(0), &views).expect("images of one generator have one size")
}
