//! DGR, deep generative replay (Shin et al., 2017; paper section 4.1): an unconditional WGAN-GP that learns the mixture of
//! real and replayed images, and a classifier, the solver, that says which class a generated image is of.
//!
//! Unconditional means that the generator is asked for one and the same class always, and every image carries that
//! label, so the class term is as trivial as it is in the released code's tasks of one class. Real and replayed images
//! share the critic's batch by their numbers of classes; all that the generator makes is normalised together. After each task a new solver is trained on the
//! task's real images with their labels and on replayed ones with the labels that the old solver gives them. A class that
//! the solver never names is lost.

use std::path::Path;

use documented::DocumentedFieldsOpt;
use mergan_models::{Classifier, Conditions, FitOptions, Generator, Weights, WeightsError};
use mergan_tensor::{Device, Random, Tensor, no_grad};
use serde::Deserialize;

use crate::batches::Batch;
use crate::draws::Purpose;
use crate::error::Error;
use crate::sampling::{Solver, Source, joined};
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

const SOLVER: &str = "strategy.solver.";

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
                let current = real.images.shape().n;
                let latents = step.replay_latents(step.round.images - current);
                let replayed = no_grad(|| old.generator.forward(&latents, &Conditions::pure(&[condition])));
                Tensor::concat(&[&replayed, &real.images])
            }
        };
        let labels = vec![condition; images.shape().n];
        Batch { images, labels }
    }

    fn end_task(&mut self, end: &TaskEnd) -> Result<(), Error> {
        let per_class = if end.rehearsal { end.batch } else { self.options.solver_images };
        let real = end.images(per_class);
        let (mut images, mut labels) = (vec![real.images()?.into_owned()], real.labels().to_vec());
        let learned = end.learned();
        if let (Some(old), Some(solver)) = (end.old, &self.solver) {
            let count = per_class * (learned.len() - end.classes().len());
            let latents = |i| end.draws(i).latents(Purpose::Solver, end.batch);
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

    fn solver(&self) -> Option<&Solver> {
        self.solver.as_ref()
    }

    fn grow(&mut self, generator: &Generator) {
        let sizes = generator.config();
        if let Some(solver) = &mut self.solver {
            solver.classifier = solver.classifier.grown(sizes.image_shape(), sizes.classes);
        }
    }

    fn save(&self, weights: &mut Weights) {
        if let Some(solver) = &self.solver {
            weights.insert_network(SOLVER, &solver.classifier);
        }
    }

    fn restore(
        &mut self,
        path: &Path,
        weights: &Weights,
        generator: &Generator,
        learned: &[usize],
    ) -> Result<(), WeightsError> {
        if learned.is_empty() {
            return Ok(());
        }
        let sizes = generator.config();
        let like = Classifier::new(sizes.image_shape(), sizes.classes, Random::new(0), Device::Cpu);
        let classifier = weights.network(path, SOLVER, &like)?;
        self.solver = Some(Solver { classifier, classes: learned.to_vec() });
        Ok(())
    }
}

impl FromOptions for DeepGenerativeReplay {
    type Options = Options;
    const NAME: &'static str = "dgr";
    fn about(option: &str) -> Option<&'static str> {
        Options::get_field_docs(option).ok()
    }
    fn from_options(options: Options) -> Result<Self, String> {
        if options.solver_images == 0 || options.solver_epochs == 0 {
            return Err("solver_images and solver_epochs must be at least 1".into());
        }
        Ok(DeepGenerativeReplay { options, solver: None })
    }
}
