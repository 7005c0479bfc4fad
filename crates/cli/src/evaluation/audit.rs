//! The replay audit: what the previous task's generator, from which the past was replayed, was worth, and how far the new
//! one moved from it.

use mergan_metrics::{REPLAY_ACCURACY, REPLAY_CONFIDENCE, REPLAY_SHIFT, TaskScores};
use mergan_strategies::Grouping;
use ndarray::Array4;

use super::{Evaluation, Scored, accuracies};
use crate::generator::Trained;

impl Evaluation<'_> {
    /// Records, for each class of the past, how surely the scoring classifier recognises the old generator's images, and
    /// how much the new generator's images differ from them at the same latents.
    pub(super) fn audit(&self, scored: &Scored, old: &Trained, scores: &mut TaskScores) {
        let past = &old.usage.classes;
        let images_of = |trained: &Trained| scored.sampling.images(&trained.generator, past, scored.samples);
        let before = images_of(old);
        // The same latents give a class its images whatever other classes are asked for, but not in mixed batches.
        let mixed = (scored.sampling.grouping == Grouping::Mixed).then(|| images_of(scored.trained));
        let after = mixed.as_ref().unwrap_or(&scored.images);

        let readings: Vec<_> = before.iter().map(|images| self.scorer.classifier().read(images.view())).collect();
        let by_class = |value: &dyn Fn(usize) -> f64| -> Vec<(usize, f64)> {
            past.iter().enumerate().map(|(position, &class)| (class, value(position))).collect()
        };
        let confidence = by_class(&|i| {
            let probabilities = readings[i].probabilities(past[i]);
            probabilities.iter().sum::<f64>() / probabilities.len() as f64
        });
        let shift = by_class(&|i| squared_difference(&before[i], &after[i]));
        let card = self.card(scored);
        scores.record(REPLAY_CONFIDENCE, &confidence, &card);
        scores.record(REPLAY_ACCURACY, &accuracies(past, &readings), &card);
        scores.record(REPLAY_SHIFT, &shift, &card);
    }
}

/// The mean squared difference of pixels from -1 to 1.
fn squared_difference(left: &Array4<u8>, right: &Array4<u8>) -> f64 {
    let squares = left.iter().zip(right).map(|(&left, &right)| (f64::from(left) - f64::from(right)).powi(2));
    squares.sum::<f64>() / (127.5 * 127.5 * left.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn black_and_white_differ_by_two() {
        let [black, white] = [0, 255].map(|byte| Array4::from_elem((3, 1, 2, 2), byte));
        assert_eq!(squared_difference(&black, &black), 0.0);
        assert_eq!(squared_difference(&black, &white), 4.0);
    }
}
