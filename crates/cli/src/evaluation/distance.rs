//! The Frechet distance of generated from real test images, on the features of the scoring classifier.
//!
//! Test images are taken because the classifier was trained on the others.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use mergan_metrics::{
    Card, ClassScore, FRECHET, FRECHET_POOLED, FeatureStatistics, FeatureStream, FrechetError, Score, TaskScores,
    frechet_distance,
};
use mergan_models::Reading;

use super::{Evaluation, Scored};

/// Statistics of features, by class.
pub(super) type Features = BTreeMap<usize, FeatureStatistics>;

impl Evaluation<'_> {
    /// Records the distance of each class and their mean, and the distance over all classes at once.
    pub(super) fn distances(&self, scored: &Scored, scores: &mut TaskScores) -> Result<()> {
        let real = self.real_features()?;
        let card = Card { real_images: Some("all test images".into()), ..self.card(scored) };
        let (mut values, mut warnings) = (Vec::new(), Vec::new());
        // Over all classes at once, a class that is lost is missing on one side only.
        let mut pooled: [Option<FeatureStatistics>; 2] = [None, None];
        for (&class, reading) in scored.trained.usage.classes.iter().zip(&scored.readings) {
            let generated = statistics(reading).context("the features of the generated images")?;
            let real = real.get(&class);
            for (pooled, one) in pooled.iter_mut().zip([generated.as_ref(), real]) {
                *pooled = match (pooled.take(), one) {
                    (Some(pooled), Some(one)) => Some(pooled.merged(one)),
                    (pooled, one) => pooled.or(one.cloned()),
                };
            }
            let (Some(generated), Some(real)) = (&generated, real) else {
                warnings.push((class, format!("class {class} has too few images for a distance and is left out")));
                continue;
            };
            values.push((class, frechet_distance(generated, real)?));
            warnings.extend(warning(generated, real).map(|text| (class, text)));
        }
        scores.record(FRECHET, &values, &card);
        if let Some((_, text)) = warnings.first() {
            scores.warn(FRECHET, None, text.clone());
        }
        for (class, text) in warnings {
            scores.warn(FRECHET, Some(class), text);
        }
        if let [Some(generated), Some(real)] = pooled {
            let value = frechet_distance(&generated, &real)?;
            let warning = warning(&generated, &real);
            let score = Score { metric: FRECHET_POOLED.into(), value, warning, card };
            scores.scores.push(ClassScore { class: None, score });
        }
        Ok(())
    }

    /// Of the real test images of every class that has enough for a covariance.
    fn real_features(&self) -> Result<&Features> {
        if let Some(features) = self.real.get() {
            return Ok(features);
        }
        let mut features = Features::new();
        for class in 0..self.data.class_names.len() {
            let reading = self.scorer.classifier().read(self.data.test.of_class(class).images());
            features
                .extend(statistics(&reading).context("the features of the test images")?.map(|found| (class, found)));
        }
        Ok(self.real.get_or_init(|| features))
    }
}

/// None of fewer than two images.
fn statistics(reading: &Reading) -> Result<Option<FeatureStatistics>, FrechetError> {
    let mut stream = FeatureStream::new(reading.features.ncols());
    stream.extend(reading.features.view());
    match stream.finish() {
        Err(FrechetError::TooFewSamples { .. }) => Ok(None),
        finished => finished.map(Some),
    }
}

/// What there is to say against a distance.
fn warning(generated: &FeatureStatistics, real: &FeatureStatistics) -> Option<String> {
    let sides = [("generated", generated), ("real", real)];
    let texts = sides.map(|(side, statistics)| statistics.warning().map(|text| format!("{side} images: {text}")));
    let texts: Vec<_> = texts.into_iter().flatten().collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}
