//! Images of a trained generator, as they are scored and shown.
//!
//! Batch norm uses the statistics of the batch it is given, so a sample depends on its batch-mates; samples are made in
//! the batches that training used: class-pure ones, or mixed ones for a generator that was trained on those. With standing
//! statistics, measured on such batches, each image is made by itself.

use mergan_models::{Classifier, Conditions, Generator, Network, Standing, to_bytes};
use mergan_tensor::{Random, Tensor, no_grad};
use ndarray::{Array4, Axis, concatenate};

use crate::batches::Grouping;
use crate::draws::{Draws, Purpose};

/// What names the classes of an unconditional generator's images.
#[derive(Clone, Debug)]
pub struct Solver {
    /// The classifier of generated images.
    pub classifier: Classifier,
    /// The classes that it names, in the order they were learned. The generator is always asked for the first.
    pub classes: Vec<usize>,
}

/// What images are drawn from: a generator, and what names its images where it knows no classes.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// G.
    pub generator: &'a Generator,
    /// See [`Strategy::solver`](crate::Strategy::solver).
    pub solver: Option<&'a Solver>,
    /// What normalises the images; without it the statistics of their batch do.
    pub standing: Option<&'a Standing>,
}

impl Solver {
    /// What the unconditional generator is asked for.
    pub(crate) fn conditions(&self) -> Conditions {
        Conditions::pure(&self.classes[..1])
    }
}

impl<'a> From<&'a Generator> for Source<'a> {
    fn from(generator: &'a Generator) -> Self {
        Source { generator, solver: None, standing: None }
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
    pub(crate) fn bytes(&self, latents: &Tensor, conditions: &Conditions) -> Array4<u8> {
        to_bytes(&self.generate(latents, conditions))
    }
}

/// How many times as many images are drawn as would do if a solver named all classes equally often.
const PATIENCE: usize = 2;
/// Batches after which a class may be given up at the earliest.
const FEWEST: usize = 50;
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

    /// Standing statistics of `classes`, measured on the batches that samples are made in.
    pub fn standing<'a>(&self, source: impl Into<Source<'a>>, classes: &[usize]) -> Standing {
        let Source { generator, solver, .. } = source.into();
        let latents = |class, i| self.latents(generator, Purpose::Standing, class, i, self.batch);
        let pure = |class: usize| (0..STANDING_BATCHES).map(move |i| (Conditions::pure(&[class]), latents(class, i)));
        match (solver, self.grouping) {
            (Some(solver), _) => Standing::measure(generator, pure(solver.classes[0])),
            (None, Grouping::Pure) => Standing::measure(generator, classes.iter().flat_map(|&class| pure(class))),
            (None, Grouping::Mixed) => {
                let batches = (0..STANDING_BATCHES).map(|i| (Conditions::mixed(&self.turn(classes, i)), latents(0, i)));
                Standing::measure(generator, batches)
            }
        }
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
        let source = source.into();
        match (source.solver, self.grouping) {
            (Some(solver), _) => self.named_by(solver, source, purpose, classes, count),
            (None, Grouping::Pure) => {
                classes.iter().map(|&class| self.of_class(purpose, source, class, count)).collect()
            }
            (None, Grouping::Mixed) => self.of_all(purpose, source, classes, count),
        }
    }

    /// Sample grids: `columns` images of each of `classes`, the same latents in every row and after every task. They are
    /// made in class-pure batches whatever the grouping: a grid shows what a class looks like when it is asked for. Where
    /// a solver names the classes, a row shows what it names so, and is black where there is nothing left.
    pub fn grid<'a>(&self, source: impl Into<Source<'a>>, classes: &[usize], columns: usize) -> Vec<Array4<u8>> {
        let source = source.into();
        if let Some(solver) = source.solver {
            let rows = self.named_by(solver, source, Purpose::Grid, classes, columns);
            return rows.into_iter().map(|row| filled(&row, columns)).collect();
        }
        // The shown images are the first of a batch as large as the scored ones.
        let latents = self.latents(source.generator, Purpose::Grid, 0, 0, self.batch.max(columns));
        let rows = classes.iter().map(|&class| {
            let images = source.bytes(&latents, &Conditions::pure(&[class]));
            images.slice_axis(Axis(0), (..columns).into()).to_owned()
        });
        rows.collect()
    }

    /// Images of a generator that knows no classes, drawn until there are `count` of each of `classes`, or until it is
    /// plain that some class hardly ever comes.
    fn named_by(
        &self,
        solver: &Solver,
        source: Source,
        purpose: Purpose,
        classes: &[usize],
        count: usize,
    ) -> Vec<Array4<u8>> {
        let most = (PATIENCE * (count * solver.classes.len()).div_ceil(self.batch)).max(FEWEST);
        let mut collected: Vec<Vec<Array4<u8>>> = vec![Vec::new(); classes.len()];
        let mut found = vec![0; classes.len()];
        for i in 0..most {
            let latents = self.latents(source.generator, purpose, solver.classes[0], i, self.batch);
            let images = source.bytes(&latents, &solver.conditions());
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

    fn of_class(&self, purpose: Purpose, source: Source, class: usize, count: usize) -> Array4<u8> {
        let batches: Vec<_> = (0..count.div_ceil(self.batch))
            .map(|i| {
                let latents = self.latents(source.generator, purpose, class, i, self.batch);
                source.bytes(&latents, &Conditions::pure(&[class]))
            })
            .collect();
        first(&batches, count)
    }

    /// Every batch holds all classes in turn.
    fn of_all(&self, purpose: Purpose, source: Source, classes: &[usize], count: usize) -> Vec<Array4<u8>> {
        let mut collected: Vec<Vec<Array4<u8>>> = vec![Vec::new(); classes.len()];
        let batches = (count * classes.len()).div_ceil(self.batch) + 1;
        for i in 0..batches {
            let labels = self.turn(classes, i);
            let latents = self.latents(source.generator, purpose, 0, i, self.batch);
            let images = source.bytes(&latents, &Conditions::mixed(&labels));
            for (collected, &class) in collected.iter_mut().zip(classes) {
                let of_class: Vec<usize> = (0..self.batch).filter(|&j| labels[j] == class).collect();
                collected.push(images.select(Axis(0), &of_class));
            }
        }
        collected.iter().map(|batches| first(batches, count)).collect()
    }

    /// The labels of a mixed batch: the classes in turn, batch after batch.
    fn turn(&self, classes: &[usize], batch: usize) -> Vec<usize> {
        (0..self.batch).map(|j| classes[(batch * self.batch + j) % classes.len()]).collect()
    }

    fn latents(&self, generator: &Generator, purpose: Purpose, class: usize, index: usize, n: usize) -> Tensor {
        let noise = Random::new(self.seed);
        let latent = generator.config().latent;
        let draws =
            Draws { noise: &noise, device: generator.device(), latent, task: class, iteration: index, inner: 0 };
        draws.latents(purpose, n)
    }
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
