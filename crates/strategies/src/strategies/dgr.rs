//! DGR, deep generative replay (Shin et al., 2017; paper section 4.1): an unconditional WGAN-GP that learns the mixture
//! of real and replayed images, and a classifier, the solver, that decides the class of a generated image.
//!
//! To make the generator unconditional, it is always conditioned on the same class, and every image carries that label,
//! so the class term is as trivial as it is in the released code's tasks of one class. Real and replayed images share
//! the critic's batch in proportion to their numbers of classes, and all images that the generator makes are normalised
//! together. After each task, a new solver is trained on the task's real images with their labels and on replayed
//! images with the labels that the old solver assigns to them. The solver is also the strategy's sampler. A class that
//! it never assigns is lost.

use std::path::Path;

use documented::DocumentedFieldsOpt;
use mergan_models::{Classifier, Conditions, FitOptions, Generator, Network, Weights, WeightsError};
use mergan_tensor::{Device, Random, Tensor, no_grad};
use ndarray::{Array4, Axis};
use serde::Deserialize;

use crate::batches::Batch;
use crate::draws::Purpose;
use crate::error::Error;
use crate::sampler::{ClassConditional, Sampler};
use crate::sampling::{Sampling, Source, first, joined};
use crate::step::Step;
use crate::strategy::{FromOptions, Kept, Learned, Strategy, TaskEnd};

/// Replays images from an unconditional generator.
pub struct DeepGenerativeReplay {
    options: Options,
    solver: Option<Solver>,
}

#[derive(Deserialize, DocumentedFieldsOpt)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The number of images of each class that a solver is trained on.
    solver_images: usize,
    /// The number of epochs for which a solver is trained.
    solver_epochs: usize,
}

/// A classifier that decides the classes of an unconditional generator's images.
#[derive(Clone, Debug)]
struct Solver {
    /// The classifier of generated images.
    classifier: Classifier,
    /// The classes that it distinguishes, in the order in which they were learned. The generator is always conditioned
    /// on the first.
    classes: Vec<usize>,
}

/// The prefix of a solver's tensors in the file of a generator.
const SOLVER: &str = "solver.";
/// The prefix of a solver's tensors in a checkpoint.
const REMEMBERED: &str = "strategy.solver.";
/// The limit on the number of images drawn, as a multiple of those needed if a solver assigned all classes equally
/// often.
const PATIENCE: usize = 2;
/// The number of batches that are drawn at least before a class is given up.
const FEWEST: usize = 50;

impl Strategy for DeepGenerativeReplay {
    fn mixes_in(&self, past: usize) -> usize {
        past
    }

    fn conditions(&self, batch: &[usize]) -> Vec<usize> {
        // Past classes come first in a batch, so this is always the first class that was learned.
        batch[..1].to_vec()
    }

    fn needs_snapshot(&self, _task: usize) -> bool {
        true
    }

    fn batch(&self, step: &Step, real: Batch) -> Batch {
        let [condition] = step.conditions[..] else {
            unreachable!("an unconditional generator is asked for one class")
        };
        let images = match step.inputs.old {
            None => real.images,
            Some(old) => {
                let current = real.images.shape()[0];
                let latents = step.replay_latents(step.images - current);
                let replayed = no_grad(|| old.generator.forward(&latents, &Conditions::pure(&[condition])));
                Tensor::concat(0, &[&replayed, &real.images])
            }
        };
        let labels = vec![condition; images.shape()[0]];
        Batch { images, labels }
    }

    fn end_task(&mut self, end: &TaskEnd) -> Result<(), Error> {
        let per_class = if end.rehearsal { end.batch } else { self.options.solver_images };
        let real = end.images(per_class);
        let (mut images, mut labels) = (vec![real.images()?.into_owned()], real.labels().to_vec());
        let learned = end.learned();
        if let (Some(old), Some(solver)) = (end.old, &self.solver) {
            let count = per_class * (learned.len() - end.classes().len());
            let latents = |i| end.draws(i).latents(Purpose::EndReplay, end.batch);
            let made = |i| Source::from(&old.generator).bytes(&latents(i), &solver.conditions());
            let batches = (0..count.div_ceil(end.batch)).map(made);
            let replayed = joined(&batches.collect::<Vec<_>>());
            labels.extend(solver.classifier.predict(replayed.view()));
            images.push(replayed);
        }
        // These random numbers must be independent of those of the scoring classifier, which has the same layers.
        let random = end.random.split(1 + end.task as u64);
        let usual = FitOptions::of_images(real.image_shape(), labels.len());
        let options = FitOptions { epochs: self.options.solver_epochs, ..usual };
        let classes = end.generator.config().classes;
        let classifier = Classifier::fit(joined(&images).view(), &labels, classes, options, random, |_| {});
        self.solver = Some(Solver { classifier, classes: learned });
        Ok(())
    }

    fn sampler(&self) -> &dyn Sampler {
        match &self.solver {
            Some(solver) => solver,
            None => &ClassConditional,
        }
    }

    fn kept(&self, learned: &Learned) -> Kept {
        Kept {
            generator_parameters: learned.generator.parameter_count(),
            classifier_parameters: self.solver.as_ref().map_or(0, |solver| solver.classifier.parameter_count()),
            ..Kept::default()
        }
    }

    fn grow(&mut self, generator: &Generator) {
        let sizes = generator.config();
        if let Some(solver) = &mut self.solver {
            solver.classifier = solver.classifier.grown(sizes.image_shape(), sizes.classes);
        }
    }

    fn save(&self, weights: &mut Weights) {
        if let Some(solver) = &self.solver {
            weights.insert_network(REMEMBERED, &solver.classifier);
        }
    }

    fn restore(
        &mut self,
        path: &Path,
        weights: &Weights,
        generator: &Generator,
        learned: &[usize],
    ) -> Result<(), WeightsError> {
        if !learned.is_empty() {
            self.solver = Some(Solver::restore(path, weights, REMEMBERED, generator, learned)?);
        }
        Ok(())
    }
}

/// Draws images until the solver has assigned enough of them to each class. A batch is normalised as a whole, because
/// its classes are known only after it has been generated.
impl Sampler for Solver {
    /// Gives up after a limited number of batches, because the generator may hardly ever make images of some class.
    fn images(
        &self,
        sampling: &Sampling,
        purpose: Purpose,
        source: Source,
        classes: &[usize],
        count: usize,
    ) -> Vec<Array4<u8>> {
        let most = (PATIENCE * (count * self.classes.len()).div_ceil(sampling.batch)).max(FEWEST);
        let mut collected: Vec<Vec<Array4<u8>>> = vec![Vec::new(); classes.len()];
        let mut found = vec![0; classes.len()];
        for i in 0..most {
            let latents = sampling.latents(source.generator, purpose, self.condition(), i, sampling.batch);
            let images = source.bytes(&latents, &self.conditions());
            let named = self.sorted(&images, classes);
            for ((collected, found), places) in collected.iter_mut().zip(&mut found).zip(named) {
                *found += places.len();
                // The first batch is kept even if it is empty, because it determines the shape of the images.
                if i == 0 || !places.is_empty() {
                    collected.push(images.select(Axis(0), &places));
                }
            }
            if found.iter().all(|&found| found >= count) {
                break;
            }
        }
        collected.iter().map(|batches| first(batches, count)).collect()
    }

    /// Shows in each row the images that the solver assigns to the class, followed by black ones if there are too few.
    fn grid(&self, sampling: &Sampling, source: Source, classes: &[usize], columns: usize) -> Vec<Array4<u8>> {
        let rows = self.images(sampling, Purpose::Grid, source, classes, columns);
        rows.into_iter().map(|row| filled(&row, columns)).collect()
    }

    fn boxed(&self) -> Box<dyn Sampler> {
        Box::new(self.clone())
    }

    fn at_same_latents(
        &self,
        sampling: &Sampling,
        purpose: Purpose,
        sources: &[Source],
        classes: &[usize],
        count: usize,
    ) -> Vec<Vec<Array4<u8>>> {
        let all = |source: &Source| {
            let only = [self.condition()];
            ClassConditional.images(sampling, purpose, *source, &only, count * classes.len()).remove(0)
        };
        let made: Vec<_> = sources.iter().map(all).collect();
        // The solver's classes of the first source's images apply to all sources.
        let named = made.first().map_or_else(Vec::new, |images| self.sorted(images, classes));
        made.iter().map(|images| named.iter().map(|places| images.select(Axis(0), places)).collect()).collect()
    }

    fn only_condition(&self) -> Option<usize> {
        Some(self.condition())
    }

    fn namer(&self) -> &'static str {
        "solver"
    }

    fn save(&self, weights: &mut Weights) {
        weights.insert_network(SOLVER, &self.classifier);
    }
}

impl Solver {
    /// Reads the solver whose tensors have this prefix. It distinguishes the classes that have been learned.
    fn restore(
        path: &Path,
        weights: &Weights,
        prefix: &str,
        generator: &Generator,
        learned: &[usize],
    ) -> Result<Self, WeightsError> {
        let sizes = generator.config();
        let like = Classifier::new(sizes.image_shape(), sizes.classes, Random::new(0), Device::Cpu);
        Ok(Solver { classifier: weights.network(path, prefix, &like)?, classes: learned.to_vec() })
    }

    /// Returns the class that the unconditional generator is always conditioned on.
    fn condition(&self) -> usize {
        self.classes[0]
    }

    fn conditions(&self) -> Conditions {
        Conditions::pure(&[self.condition()])
    }

    /// Returns the indices of the images that the solver assigns to each of `classes`.
    fn sorted(&self, images: &Array4<u8>, classes: &[usize]) -> Vec<Vec<usize>> {
        let names = self.classifier.predict(images.view());
        classes.iter().map(|class| (0..names.len()).filter(|&i| names[i] == *class).collect()).collect()
    }
}

impl FromOptions for DeepGenerativeReplay {
    type Options = Options;
    const NAME: &'static str = "dgr";
    fn about(option: &str) -> Option<&'static str> {
        Options::get_field_docs(option).ok()
    }
    fn restore_sampler(
        path: &Path,
        weights: &Weights,
        generator: &Generator,
        learned: &[usize],
    ) -> Result<Option<Box<dyn Sampler>>, WeightsError> {
        if !weights.names().any(|name| name.starts_with(SOLVER)) {
            return Ok(None);
        }
        Ok(Some(Box::new(Solver::restore(path, weights, SOLVER, generator, learned)?)))
    }
    fn from_options(options: Options) -> Result<Self, String> {
        if options.solver_images == 0 || options.solver_epochs == 0 {
            return Err("solver_images and solver_epochs must be at least 1".into());
        }
        Ok(DeepGenerativeReplay { options, solver: None })
    }
}

/// Pads the images with black ones to `count` images.
fn filled(images: &Array4<u8>, count: usize) -> Array4<u8> {
    let (found, c, h, w) = images.dim();
    joined(&[images.clone(), Array4::zeros((count - found, c, h, w))])
}
