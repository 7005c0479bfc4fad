//! DGR, deep generative replay (Shin et al., 2017; paper section 4.1): an unconditional WGAN-GP that learns the mixture of
//! real and replayed images, and a classifier, the solver, that says which class a generated image is of.
//!
//! Unconditional means that the generator is asked for one and the same class always, and every image carries that
//! label, so the class term is as trivial as it is in the released code's tasks of one class. Real and replayed images
//! share the critic's batch by their numbers of classes; all that the generator makes is normalised together. After each
//! task a new solver is trained on the task's real images with their labels and on replayed ones with the labels that the
//! old solver gives them. The solver is also the strategy's sampler. A class that it never names is lost.

use std::path::Path;

use documented::DocumentedFieldsOpt;
use mergan_models::{Classifier, Conditions, FitOptions, Generator, Weights, WeightsError};
use mergan_tensor::{Device, Random, Tensor, no_grad};
use ndarray::{Array4, Axis};
use serde::Deserialize;

use crate::batches::Batch;
use crate::draws::Purpose;
use crate::error::Error;
use crate::sampler::{ClassConditional, Sampler};
use crate::sampling::{Sampling, Source, first, joined};
use crate::step::Step;
use crate::strategy::{FromOptions, Strategy, TaskEnd};

/// Replays images that have no class of their own.
pub struct DeepGenerativeReplay {
    options: Options,
    solver: Option<Solver>,
}

#[derive(Deserialize, DocumentedFieldsOpt)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Images of each class that a solver is trained on.
    solver_images: usize,
    /// Passes over them.
    solver_epochs: usize,
}

/// What names the classes of an unconditional generator's images.
#[derive(Clone, Debug)]
struct Solver {
    /// The classifier of generated images.
    classifier: Classifier,
    /// The classes that it names, in the order they were learned. The generator is always asked for the first.
    classes: Vec<usize>,
}

/// What the names of a solver's tensors begin with in the file of a generator.
const SOLVER: &str = "solver.";
/// And in a checkpoint.
const REMEMBERED: &str = "strategy.solver.";
/// How many times as many images are drawn as would do if a solver named all classes equally often.
const PATIENCE: usize = 2;
/// Batches after which a class may be given up at the earliest.
const FEWEST: usize = 50;

impl Strategy for DeepGenerativeReplay {
    fn mixes_in_past(&self) -> bool {
        true
    }

    fn conditions(&self, batch: &[usize]) -> Vec<usize> {
        // Past classes come first, so this is always the first class that was learned.
        batch[..1].to_vec()
    }

    fn needs_snapshot(&self) -> bool {
        true
    }

    fn batch(&self, step: &Step, real: Batch) -> Batch {
        let &[condition] = step.round.conditions else {
            unreachable!("an unconditional generator is asked for one class")
        };
        let images = match step.round.old {
            None => real.images,
            Some(old) => {
                let current = real.images.shape()[0];
                let latents = step.replay_latents(step.round.images - current);
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
        // Nothing that the classifier which scores, of the same layers, has in common with it.
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

/// Draws until the solver has named enough images of each class. All are normalised together: they are named after they
/// were made.
impl Sampler for Solver {
    /// Gives up when it is plain that some class hardly ever comes.
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
                // The first batch also says how large the images are.
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

    /// A row shows what the solver names so, and is black where there is nothing left.
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
        generators: &[&Generator],
        classes: &[usize],
        count: usize,
    ) -> Vec<Vec<Array4<u8>>> {
        let all = |generator: &Generator| {
            let only = [self.condition()];
            ClassConditional.images(sampling, purpose, generator.into(), &only, count * classes.len()).remove(0)
        };
        let made: Vec<_> = generators.iter().map(|&generator| all(generator)).collect();
        // Those that the solver names so of the first, whatever it would name the others.
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
    /// The solver whose tensors' names begin with `prefix`, and which names the classes that have been learned.
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

    /// What the unconditional generator is asked for.
    fn condition(&self) -> usize {
        self.classes[0]
    }

    fn conditions(&self) -> Conditions {
        Conditions::pure(&[self.condition()])
    }

    /// Where the images are that it names each of `classes`.
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

/// The images with black ones behind them, `count` in all.
fn filled(images: &Array4<u8>, count: usize) -> Array4<u8> {
    let (found, c, h, w) = images.dim();
    joined(&[images.clone(), Array4::zeros((count - found, c, h, w))])
}
