//! Real and generated images side by side in the plane, as in figure 4 of the paper, by t-SNE of the scoring
//! classifier's features.

use bhtsne::tSNE;
use mergan_record::{Embedding, Point};

use super::{Evaluation, Scored};
use crate::error::Error;

/// The number of images of each class on either side.
const IMAGES: usize = 25;
/// The effective number of neighbours of an image.
const PERPLEXITY: f32 = 20.0;

impl Evaluation<'_> {
    /// Embeds the images after a task. Returns `None` if there are too few images to have neighbours.
    pub(super) fn embedding(&self, scored: &Scored) -> Result<Option<Embedding>, Error> {
        let classes = scored.trained.usage.classes.iter();
        let mut images = Vec::new();
        for (&class, reading) in classes.zip(&scored.readings) {
            let real = self.data.test.indices_of(class);
            let real = self.data.test.select(&real[..IMAGES.min(real.len())]);
            let real = self.scorer.classifier().read(real.images()?.view());
            for (is_real, reading) in [(true, &real), (false, reading)] {
                let features = reading.features.outer_iter().take(IMAGES);
                images.extend(features.map(|features| (class, is_real, features.to_vec())));
            }
        }
        // t-SNE requires more points than this.
        if (images.len() as f32) <= 3.0 * PERPLEXITY + 1.0 {
            return Ok(None);
        }
        let features: Vec<&[f32]> = images.iter().map(|(.., features)| features.as_slice()).collect();
        let points = images.iter().zip(place(&features)?);
        let points = points.map(|(&(class, real, _), [x, y])| Point { class, real, x, y });
        Ok(Some(Embedding { network: self.card(scored).network, perplexity: PERPLEXITY, points: points.collect() }))
    }
}

/// Places the features in the plane, deterministically.
fn place(features: &[&[f32]]) -> Result<Vec<[f32; 2]>, Error> {
    // The start depends on nothing but the number of images. It is a spiral so small that it has no lasting
    // influence.
    let start = (0..features.len()).flat_map(|i| {
        let turn = 2.4 * i as f32;
        let radius = 1e-4 * (i as f32 / features.len() as f32).sqrt();
        [radius * turn.cos(), radius * turn.sin()]
    });
    let start: Vec<f32> = start.collect();
    let squared = |a: &&[f32], b: &&[f32]| a.iter().zip(*b).map(|(a, b)| (a - b) * (a - b)).sum();
    // t-SNE sums in the order of its threads, and a single thread has a fixed order.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let places = pool.install(|| {
        let mut tsne: tSNE<f32, &[f32]> = tSNE::new(features);
        tsne.perplexity(PERPLEXITY).initial_embedding(start).exact(squared).embedding()
    });
    Ok(places.as_chunks().0.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_alike_lies_together_and_always_in_the_same_place() {
        let features: Vec<[f32; 3]> =
            (0..80).map(|i| [(i % 2) as f32 * 10.0, (i * 7 % 13) as f32 / 13.0, (i * 5 % 11) as f32 / 11.0]).collect();
        let features: Vec<&[f32]> = features.iter().map(|features| features.as_slice()).collect();
        let places = place(&features).unwrap();
        assert_eq!(places, place(&features).unwrap());
        let distance = |a: [f32; 2], b: [f32; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
        let mean = |other: usize| {
            let sum: f32 = (0..80).map(|i| distance(places[i], places[(i + other) % 80])).sum();
            sum / 80.0
        };
        assert!(mean(1) > 2.0 * mean(2), "{} {}", mean(1), mean(2));
    }
}
