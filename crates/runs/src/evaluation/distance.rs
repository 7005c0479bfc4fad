//! The Frechet distance of generated from real test images, on the features of the scoring classifier.
//!
//! Test images are used because the classifier was trained on the others.

use std::collections::BTreeMap;

use mergan_metrics::{FeatureError, FeatureStatistics, FeatureStream, frechet_distance, frechet_warning, if_enough};
use mergan_models::Reading;
use mergan_record::metric::frechet_metrics;
use mergan_record::{Card, ClassScore, Score, TaskScores};

use super::{Evaluation, Measure, Scored};
use crate::error::{Error, While};
use crate::scorer::read_all;

/// The statistics of features, by class.
pub(super) type Features = BTreeMap<usize, FeatureStatistics>;

/// Measures the distance of each class and their mean, and the distance over all classes at once.
pub(super) struct Distance;

impl Measure for Distance {
    fn needs_real_images(&self) -> bool {
        true
    }

    fn measure(&self, evaluation: &Evaluation, scored: &Scored, scores: &mut TaskScores) -> Result<(), Error> {
        let real = evaluation.real_features()?;
        let card = Card { real_images: Some("all test images".into()), ..evaluation.card(scored) };
        let classes = scored.trained.usage.classes.iter().zip(&scored.readings);
        let generated = classes.map(|(&class, reading)| Ok((class, statistics(reading)?)));
        let generated = generated
            .collect::<Result<Vec<_>, FeatureError>>()
            .while_(|| "the features of the generated images".into())?;
        let [of_class, over_all] = frechet_metrics(&card.network);
        record_classes(of_class, &generated, real, &card, scores)?;
        // A class that was forgotten is missing only from the generated images, so the distance over all classes
        // shows it.
        let mut pooled: [Option<FeatureStatistics>; 2] = [None, None];
        for (class, generated) in &generated {
            for (pooled, one) in pooled.iter_mut().zip([generated.as_ref(), real.get(class)]) {
                *pooled = match (pooled.take(), one) {
                    (Some(pooled), Some(one)) => Some(pooled.merged(one)),
                    (pooled, one) => pooled.or(one.cloned()),
                };
            }
        }
        if let [Some(generated), Some(real)] = pooled {
            let value = frechet_distance(&generated, &real)?;
            let warning = frechet_warning(&real, &generated);
            let score = Score { metric: over_all.into(), value, warning, card };
            scores.scores.push(ClassScore { class: None, score });
        }
        Ok(())
    }
}

impl Evaluation<'_> {
    /// Returns the features of the real test images of every class that has enough images for a covariance.
    fn real_features(&self) -> Result<&Features, Error> {
        if let Some(features) = self.real.get() {
            return Ok(features);
        }
        let mut features = Features::new();
        for class in 0..self.data.class_names.len() {
            let reading = read_all(self.scorer.classifier(), &self.data.test.of_class(class))?;
            features.extend(
                statistics(&reading).while_(|| "the features of the test images".into())?.map(|found| (class, found)),
            );
        }
        Ok(self.real.get_or_init(|| features))
    }
}

/// Records the distance of each class that has enough images on both sides, and their mean with a warning that names
/// the classes left out.
fn record_classes(
    metric: &str,
    generated: &[(usize, Option<FeatureStatistics>)],
    real: &Features,
    card: &Card,
    scores: &mut TaskScores,
) -> Result<(), FeatureError> {
    let (mut values, mut warnings, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    for (class, generated) in generated {
        let (Some(generated), Some(real)) = (generated, real.get(class)) else {
            left_out.push(class.to_string());
            continue;
        };
        values.push((*class, frechet_distance(generated, real)?));
        warnings.extend(frechet_warning(real, generated).map(|text| (*class, text)));
    }
    scores.record(metric, &values, card);
    let left_out = match left_out.as_slice() {
        [] => None,
        [class] => Some(format!("class {class} is left out: too few images")),
        classes => Some(format!("classes {} are left out: too few images", classes.join(", "))),
    };
    let of_mean: Vec<_> = left_out.into_iter().chain(warnings.first().map(|(_, text)| text.clone())).collect();
    if !of_mean.is_empty() {
        scores.warn(metric, None, of_mean.join("; "));
    }
    for (class, text) in warnings {
        scores.warn(metric, Some(class), text);
    }
    Ok(())
}

/// Returns `None` for fewer than two images.
fn statistics(reading: &Reading) -> Result<Option<FeatureStatistics>, FeatureError> {
    let mut stream = FeatureStream::new(reading.features.ncols());
    stream.extend(reading.features.view());
    if_enough(stream.finish())
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn the_mean_says_which_classes_it_leaves_out() {
        // Features of three numbers that no lower-dimensional affine subspace contains.
        let of = |count: usize| {
            let features = Array2::from_shape_fn((count, 3), |(i, j)| ((3 * i + 7 * j * j * i + j) % 11) as f32);
            let mut stream = FeatureStream::new(3);
            stream.extend(features.view());
            stream.finish().ok()
        };
        let real: Features = (0..4).map(|class| (class, of(20).unwrap())).collect();
        let warnings = |counts: &[usize]| {
            let generated: Vec<_> = counts.iter().map(|&count| of(count)).enumerate().collect();
            let mut scores = TaskScores { task: 1, classes: vec![], class_names: vec![], scores: vec![] };
            record_classes("fd", &generated, &real, &crate::evaluation::tests::card(), &mut scores).unwrap();
            scores.scores.into_iter().map(|row| (row.class, row.score.warning.unwrap_or_default())).collect::<Vec<_>>()
        };
        let small =
            "generated images: 3 samples of 3 features: the covariance is singular, and the distance is too large";
        let left_out = "classes 2, 3 are left out: too few images";
        assert_eq!(warnings(&[20, 20]), [(Some(0), "".into()), (Some(1), "".into()), (None, "".into())]);
        // The class with few images comes first, but the empty classes are named before it.
        assert_eq!(
            warnings(&[3, 20, 0, 1]),
            [(Some(0), small.into()), (Some(1), "".into()), (None, format!("{left_out}; {small}"))]
        );
        assert_eq!(warnings(&[20, 0]), [(Some(0), "".into()), (None, "class 1 is left out: too few images".into())]);
    }
}
