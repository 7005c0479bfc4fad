//! Reverse accuracy (paper section 4.2): a classifier is trained on generated images and tested on real ones.
//!
//! A generator that makes one good image of each class over and over has a high accuracy, but no classifier learns
//! from it to recognise the real images.

use mergan_datasets::Labelled;
use mergan_metrics::class_accuracy;
use mergan_models::{Classifier, FitOptions, FitProgress};
use mergan_record::metric::REVERSE_ACCURACY;
use mergan_record::{Card, TaskScores};
use mergan_tensor::Random;
use ndarray::{ArrayView4, Axis, concatenate};

use super::{Evaluation, Measure, Scored, warn_of_few};
use crate::error::Error;
use crate::observer::{Progress, Work};
use crate::scorer::read_all;

/// Measures the reverse accuracy where it is due. As it takes as long as training the scoring classifier, only the
/// last task and those that the paper measured have it. It is skipped for a single class, which every classifier gets
/// right.
pub(super) struct ReverseAccuracy;

impl Measure for ReverseAccuracy {
    fn needs_real_images(&self) -> bool {
        true
    }

    fn measure(&self, evaluation: &Evaluation, scored: &Scored, scores: &mut TaskScores) -> Result<(), Error> {
        let classes = &scored.trained.usage.classes;
        let samples = evaluation.config.evaluation.reverse_samples.min(scored.samples);
        if !evaluation.is_milestone(scored.task)
            || samples == 0
            || classes.len() < 2
            || scored.images.iter().all(|images| images.is_empty())
        {
            return Ok(());
        }
        let generated: Vec<_> = classes
            .iter()
            .zip(&scored.images)
            // A class that the generator makes too seldom has fewer images.
            .map(|(&class, images)| (class, images.slice_axis(Axis(0), (..samples.min(images.dim().0)).into())))
            .collect();
        let mut bar = Progress::begin(evaluation.observer, Work::TrainingReverse, 0);
        let progress = |fit: FitProgress| {
            bar.set_total(fit.steps as u64);
            bar.update(fit.step as u64, || format!("step {} of {}, loss {:.3}", fit.step, fit.steps, fit.loss));
        };
        let (names, count) =
            (evaluation.data.class_names.len(), generated.iter().map(|(_, images)| images.dim().0).sum());
        let options = FitOptions::of_images(evaluation.data.train.image_shape(), count);
        let values = reverse_accuracies(&generated, &evaluation.data.test, names, options, progress)?;
        let card = evaluation.card(scored);
        // The network on the card is not the scorer, and it is discarded after this measurement.
        let card = Card {
            network: format!(
                "{} trained on the generated images, {} epochs in batches of {}",
                card.network, options.epochs, options.batch
            ),
            sha256: None,
            test_accuracy: None,
            samples_per_class: Some(samples),
            real_images: Some("all test images".into()),
            ..card
        };
        scores.record(REVERSE_ACCURACY, &values, &card);
        warn_of_few(scores, &[REVERSE_ACCURACY], &scored.images, samples, scored.trained.sampler.namer());
        Ok(())
    }
}

/// Returns the share of each class's real images recognised by a classifier that is trained on generated ones,
/// labelled by the requested classes; `classes` counts all classes of the dataset.
fn reverse_accuracies(
    generated: &[(usize, ArrayView4<u8>)],
    real: &Labelled,
    classes: usize,
    options: FitOptions,
    progress: impl FnMut(FitProgress),
) -> Result<Vec<(usize, f64)>, Error> {
    let views: Vec<_> = generated.iter().map(|(_, images)| images.view()).collect();
    let images = concatenate(Axis(0), &views).expect("images of one generator have one size");
    let labels: Vec<usize> =
        generated.iter().flat_map(|(class, images)| vec![*class; images.len_of(Axis(0))]).collect();
    let classifier = Classifier::fit(images.view(), &labels, classes, options, Random::new(0), progress);
    let mut recognised = Vec::new();
    for &(class, _) in generated {
        let labels = read_all(&classifier, &real.of_class(class))?.labels();
        recognised.extend(class_accuracy(&labels, class).map(|share| (class, share)));
    }
    Ok(recognised)
}

#[cfg(test)]
mod tests {
    use mergan_datasets::load;
    use ndarray::Array4;

    use super::*;

    #[test]
    fn a_collapsed_generator_has_high_accuracy_and_low_reverse_accuracy() {
        const CLASSES: usize = 5;
        let shapes = load("shapes", &Default::default()).unwrap();
        let options = FitOptions { epochs: 20, batch: 20, ..FitOptions::default() };
        let (images, labels) = (shapes.train.images().unwrap(), shapes.train.labels());
        let scorer = Classifier::fit(images.view(), labels, 10, options, Random::new(0), |_| ());
        let accuracy = |generated: &[(usize, Array4<u8>)]| {
            let share =
                |(class, images): &(usize, Array4<u8>)| class_accuracy(&scorer.predict(images.view()), *class).unwrap();
            generated.iter().map(share).sum::<f64>() / generated.len() as f64
        };
        let reverse = |generated: &[(usize, Array4<u8>)]| {
            let views: Vec<_> = generated.iter().map(|(class, images)| (*class, images.view())).collect();
            let found = reverse_accuracies(&views, &shapes.test, 10, options, |_| ()).unwrap();
            assert_eq!(found.len(), CLASSES);
            found.iter().map(|(_, share)| share).sum::<f64>() / found.len() as f64
        };

        // One generator is perfect; the other makes the same good image of each class over and over.
        let of_class = |class| (class, shapes.train.of_class(class).images().unwrap().into_owned());
        let perfect: Vec<_> = (0..CLASSES).map(of_class).collect();
        let repeat = |(class, images): &(usize, Array4<u8>)| (*class, images.select(Axis(0), &[0; 40]));
        let collapsed: Vec<_> = perfect.iter().map(repeat).collect();
        let found = [&perfect, &collapsed].map(|generated| (accuracy(generated), reverse(generated)));
        assert!(found[0].0 > 0.95 && found[0].1 > 0.9, "{found:?}");
        assert!(found[1].0 > 0.95 && found[1].1 < 0.7, "{found:?}");
    }
}
