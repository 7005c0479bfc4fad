//! The replay audit: what the previous task's generator, from which the past was replayed, was worth, and how far the new
//! one moved from it.

use mergan_metrics::{REPLAY_ACCURACY, REPLAY_CONFIDENCE, REPLAY_SHIFT, TaskScores};
use mergan_models::Generator;
use mergan_strategies::{Grouping, Solver};
use ndarray::{Array4, ArrayView3};

use super::{Evaluation, Scored, accuracies, positions};
use crate::generator::Trained;

impl Evaluation<'_> {
    /// Records, for each class of the past, how surely the scoring classifier recognises the old generator's images, and
    /// how much the new generator's images differ from them at the same latents.
    pub(super) fn audit(&self, scored: &Scored, old: &Trained, scores: &mut TaskScores) {
        let past = &old.usage.classes;
        let before = scored.sampling.images(old.source(), past, scored.samples);
        let readings = self.read(&before);
        let confidence: Vec<_> = past
            .iter()
            .zip(&readings)
            .map(|(&class, reading)| (class, mean(&reading.probabilities(class)).unwrap_or(0.0)))
            .collect();
        let shift = match &old.solver {
            None => shift(scored, past, &before),
            Some(solver) => named_shift(scored, &old.generator, solver, past),
        };
        let card = self.card(scored);
        scores.record(REPLAY_CONFIDENCE, &confidence, &card);
        scores.record(REPLAY_ACCURACY, &accuracies(past, &readings), &card);
        scores.record(REPLAY_SHIFT, &shift, &card);
    }
}

/// How far the images of each class moved.
fn shift(scored: &Scored, past: &[usize], before: &[Array4<u8>]) -> Vec<(usize, f64)> {
    // The same latents give a class its images whatever other classes are asked for, but not in mixed batches.
    let mixed = (scored.sampling.grouping == Grouping::Mixed)
        .then(|| scored.sampling.images(&scored.trained.generator, past, scored.samples));
    let after = mixed.as_ref().unwrap_or(&scored.images);
    let moved = |(before, after): (&Array4<u8>, &Array4<u8>)| mean(&squared_differences(before, after)).unwrap_or(0.0);
    past.iter().copied().zip(before.iter().zip(after).map(moved)).collect()
}

/// The same where a solver names the classes: the images that the old solver names, where it names any, and what became
/// of them at the same latents, whatever they are named now.
fn named_shift(scored: &Scored, old: &Generator, solver: &Solver, past: &[usize]) -> Vec<(usize, f64)> {
    let count = scored.samples * past.len();
    let images_of = |generator| scored.sampling.images(generator, &[solver.condition], count).remove(0);
    let (before, after) = (images_of(old), images_of(&scored.trained.generator));
    let names = solver.classifier.predict(before.view());
    let moved = squared_differences(&before, &after);
    let of_class = |class| mean(&positions(&names, class).into_iter().map(|i| moved[i]).collect::<Vec<_>>());
    past.iter().filter_map(|&class| Some((class, of_class(class)?))).collect()
}

/// None of nothing.
fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// For every image, the mean squared difference of its pixels, from -1 to 1.
fn squared_differences(left: &Array4<u8>, right: &Array4<u8>) -> Vec<f64> {
    let of_image = |(left, right): (ArrayView3<u8>, ArrayView3<u8>)| {
        let squares = left.iter().zip(&right).map(|(&left, &right)| (f64::from(left) - f64::from(right)).powi(2));
        squares.sum::<f64>() / (127.5 * 127.5 * left.len() as f64)
    };
    left.outer_iter().zip(right.outer_iter()).map(of_image).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn black_and_white_differ_by_two() {
        let [black, white] = [0, 255].map(|byte| Array4::from_elem((3, 1, 2, 2), byte));
        assert_eq!(squared_differences(&black, &black), [0.0; 3]);
        assert_eq!(squared_differences(&black, &white), [4.0; 3]);
        assert_eq!((mean(&[1.0, 3.0]), mean(&[])), (Some(2.0), None));
    }
}
