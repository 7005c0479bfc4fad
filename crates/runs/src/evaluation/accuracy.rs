//! The accuracy: the share of a class's images that the scoring classifier recognises. It is measured with images
//! normalised as in training, and with images made one by one, as by a deployed generator.

use mergan_record::metric::{ACCURACY, STANDING_ACCURACY};
use mergan_record::{Card, TaskScores};

use super::{Evaluation, Measure, Scored, accuracies, warn_of_few};
use crate::error::Error;

/// The accuracy on images that are normalised with their batch.
pub(super) struct Accuracy;

impl Measure for Accuracy {
    fn measure(&self, evaluation: &Evaluation, scored: &Scored, scores: &mut TaskScores) -> Result<(), Error> {
        let Scored { trained, images, readings, samples, .. } = scored;
        scores.record(ACCURACY, &accuracies(&trained.usage.classes, readings), &evaluation.card(scored));
        warn_of_few(scores, &[ACCURACY], images, *samples, trained.sampler.namer());
        Ok(())
    }
}

/// The accuracy on images that are made one by one, at the same latents.
pub(super) struct StandingAccuracy;

impl Measure for StandingAccuracy {
    fn measure(&self, evaluation: &Evaluation, scored: &Scored, scores: &mut TaskScores) -> Result<(), Error> {
        let Scored { trained, sampling, samples, .. } = scored;
        let (classes, source) = (&trained.usage.classes, trained.standing_source());
        let images = sampling.images(source, classes, *samples);
        let card = Card { statistics: sampling.statistics(source), ..evaluation.card(scored) };
        scores.record(STANDING_ACCURACY, &accuracies(classes, &evaluation.read(&images)), &card);
        warn_of_few(scores, &[STANDING_ACCURACY], &images, *samples, trained.sampler.namer());
        Ok(())
    }
}
