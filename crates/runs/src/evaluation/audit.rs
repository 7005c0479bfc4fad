//! The replay audit: the quality of the previous task's generator, from which the past was replayed, and how far the
//! new generator moved from it.

use mergan_record::TaskScores;
use mergan_record::metric::{REPLAY_ACCURACY, REPLAY_CONFIDENCE, REPLAY_SHIFT};
use mergan_strategies::{Grouping, Purpose};
use ndarray::{Array4, ArrayView3};

use super::{Evaluation, Measure, Scored, accuracies, warn_of_few};
use crate::error::Error;
use crate::trained::Trained;

/// For each past class, how confidently the scoring classifier recognises the old generator's images, and how much
/// the new generator's images differ from them at the same latents.
pub(super) struct ReplayAudit;

impl Measure for ReplayAudit {
    fn measure(&self, evaluation: &Evaluation, scored: &Scored, scores: &mut TaskScores) -> Result<(), Error> {
        if scored.task == 1 {
            return Ok(());
        }
        let old = Trained::load_with(&scored.run.generator(scored.task - 1), &evaluation.strategies)?;
        let past = &old.usage.classes;
        let (before, after) = images(scored, &old, past);
        let readings = evaluation.read(&before);
        let by_class = |value: &dyn Fn(usize) -> Option<f64>| -> Vec<(usize, f64)> {
            past.iter().enumerate().filter_map(|(i, &class)| Some((class, value(i)?))).collect()
        };
        // A class that the generator never makes counts as not recognised, and it has no images that could have
        // moved.
        let confidence = by_class(&|i| Some(mean(&readings[i].probabilities(past[i])).unwrap_or(0.0)));
        let shift = by_class(&|i| mean(&squared_differences(&before[i], &after[i])));
        let card = evaluation.card(scored);
        scores.record(REPLAY_CONFIDENCE, &confidence, &card);
        scores.record(REPLAY_ACCURACY, &accuracies(past, &readings), &card);
        scores.record(REPLAY_SHIFT, &shift, &card);
        let metrics = [REPLAY_CONFIDENCE, REPLAY_ACCURACY, REPLAY_SHIFT];
        warn_of_few(scores, &metrics, &before, scored.samples, old.sampler.namer());
        Ok(())
    }
}

/// Returns the images of each past class by the old generator, and by the new one at the same latents.
fn images(scored: &Scored, old: &Trained, past: &[usize]) -> (Vec<Array4<u8>>, Vec<Array4<u8>>) {
    let sampling = &scored.sampling;
    let made =
        |sources: &[_]| old.sampler.at_same_latents(sampling, Purpose::Evaluation, sources, past, scored.samples);
    // In pure batches the same latents yield the same images of a class whatever other classes are requested, so the
    // images already scored can be reused; in mixed batches they do not.
    if sampling.grouping_of(old.source()) == Grouping::Pure {
        return (made(&[old.source()]).remove(0), scored.images[..past.len()].to_vec());
    }
    let mut both = made(&[old.source(), scored.trained.source()]);
    let after = both.remove(1);
    (both.remove(0), after)
}

/// Returns the mean, or `None` for no values.
fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Returns, for every image, the mean squared difference of its pixels, which range from -1 to 1.
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
