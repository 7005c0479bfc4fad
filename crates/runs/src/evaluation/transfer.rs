//! The input to forward transfer: the accuracy on classes before they are learned.

use mergan_models::Generator;
use mergan_record::TaskScores;
use mergan_record::metric::{INITIAL_ACCURACY, NEXT_ACCURACY};
use mergan_tensor::{Device, Random};

use super::{Evaluation, Measure, Scored, accuracies};
use crate::error::Error;

/// Measures the accuracy on the classes of the next task and, once after the first task, that of the untrained
/// generator on all classes. A generator that is always asked for the same class makes the same images for all of
/// them.
pub(super) struct Transfer;

impl Measure for Transfer {
    fn measure(&self, evaluation: &Evaluation, scored: &Scored, scores: &mut TaskScores) -> Result<(), Error> {
        let mut score = |metric, generator: &Generator, classes: &[usize]| {
            // The networks before an extension have no condition for its class.
            let known = generator.config().classes;
            let classes: Vec<_> = classes.iter().copied().filter(|&class| class < known).collect();
            if classes.is_empty() {
                return;
            }
            let only = scored.trained.sampler.only_condition();
            let asked: Vec<_> = classes.iter().map(|&class| only.unwrap_or(class)).collect();
            let images = scored.sampling.images(generator, &asked, scored.samples);
            scores.record(metric, &accuracies(&classes, &evaluation.read(&images)), &evaluation.card(scored));
        };
        let (generator, tasks) = (&scored.trained.generator, &evaluation.tasks);
        if let Some(next) = tasks.tasks().get(scored.task) {
            score(NEXT_ACCURACY, generator, next);
        }
        if scored.task == 1 {
            let untrained = Generator::new(generator.config(), Random::new(evaluation.config.seed), Device::Cpu);
            score(INITIAL_ACCURACY, &untrained, &tasks.classes_seen(tasks.tasks().len()));
        }
        Ok(())
    }
}
