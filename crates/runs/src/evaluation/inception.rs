//! FID, KID, precision, recall, density and coverage of generated against real test images, class by class and over
//! all. The paper's FID for LSUN is the mean over the categories.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use mergan_datasets::Dataset;
use mergan_metrics::{Distance, Family, FeatureError, FeatureNetwork, FeatureSet, Subsets, distances, if_enough};
use mergan_record::{Card, ClassScore, Score, TaskScores};
use ndarray::{ArrayView4, Axis};

use super::{Evaluation, Measure, Scored};
use crate::error::{Error, While};
use crate::observer::{Progress, Work};

/// The number of images that the network reads between two updates of the progress bar.
const SLAB: usize = 256;

/// The metrics that use Inception.
pub struct InceptionScores {
    network: FeatureNetwork,
    families: Vec<Family>,
    /// The features of each class's real test images, computed on demand; `None` for a class that has too few.
    real: RefCell<BTreeMap<usize, Option<Rc<FeatureSet>>>>,
}

impl InceptionScores {
    /// Measures these metrics on the features of this network.
    pub fn new(network: FeatureNetwork, families: &[Family]) -> Self {
        InceptionScores { network, families: families.to_vec(), real: RefCell::default() }
    }

    fn sample(&self, images: ArrayView4<u8>, progress: &mut Progress) -> Result<Option<Rc<FeatureSet>>, Error> {
        let features = images.axis_chunks_iter(Axis(0), SLAB).map(|images| {
            let features = self.network.read(images);
            progress.advance(images.dim().0 as u64);
            Ok::<_, FeatureError>(features)
        });
        Ok(if_enough(FeatureSet::gather(self.network.dimension(), &self.families, features))?.map(Rc::new))
    }
}

/// Measures the distances of each class and their mean, and those over all classes at once.
impl Measure for InceptionScores {
    fn needs_real_images(&self) -> bool {
        true
    }

    fn measure(&self, evaluation: &Evaluation, scored: &Scored, scores: &mut TaskScores) -> Result<(), Error> {
        let classes = &scored.trained.usage.classes;
        let count: usize = scored.images.iter().map(|images| images.dim().0).sum();
        let mut progress = Progress::begin(evaluation.observer, Work::ReadingFeatures, count as u64);
        let (mut samples, mut left_out) = (Vec::new(), Vec::new());
        for (&class, images) in classes.iter().zip(&scored.images) {
            let generated = self.sample(images.view(), &mut progress)?;
            match self.real_sample(evaluation.data, class, &mut progress)?.zip(generated) {
                Some((real, generated)) => samples.push((class, real, generated)),
                None => left_out.push(class.to_string()),
            }
        }
        let card = Card {
            network: self.network.name().into(),
            sha256: Some(self.network.sha256().into()),
            test_accuracy: None,
            real_images: Some("all test images".into()),
            resize: Some(self.network.resize().into()),
            ..evaluation.card(scored)
        };
        let measure = |real: &FeatureSet, generated: &FeatureSet| {
            let subsets = Subsets { seed: evaluation.config.seed, ..Subsets::default() };
            distances(&self.families, real, generated, subsets)
        };
        let by_class = samples.iter().map(|(class, real, generated)| {
            let found = measure(real, generated).while_(|| format!("the images of class {class}"))?;
            Ok((*class, found))
        });
        record(&by_class.collect::<Result<Vec<_>, Error>>()?, &left_out, self, &card, scores);
        let joined = samples.iter().map(|(_, real, generated)| (real, generated));
        let pooled = joined.fold(None, |pooled: Option<[Rc<FeatureSet>; 2]>, (real, generated)| {
            Some(match pooled {
                None => [real.clone(), generated.clone()],
                Some([reals, others]) => [Rc::new(reals.joined(real)), Rc::new(others.joined(generated))],
            })
        });
        let Some([real, generated]) = pooled else { return Ok(()) };
        for Distance { metric, value, estimator, warning } in measure(&real, &generated)? {
            let metric = self.network.metric(&format!("{metric}_pooled"));
            let card = Card { estimator: Some(estimator), ..card.clone() };
            scores.scores.push(ClassScore { class: None, score: Score { metric, value, warning, card } });
        }
        Ok(())
    }
}

impl InceptionScores {
    fn real_sample(
        &self,
        data: &Dataset,
        class: usize,
        progress: &mut Progress,
    ) -> Result<Option<Rc<FeatureSet>>, Error> {
        if let Some(known) = self.real.borrow().get(&class) {
            return Ok(known.clone());
        }
        let sample = self.sample(data.test.of_class(class).images()?.view(), progress)?;
        self.real.borrow_mut().insert(class, sample.clone());
        Ok(sample)
    }
}

/// Records each metric: a row for each class, and their mean with a warning that names the classes left out.
fn record(
    by_class: &[(usize, Vec<Distance>)],
    left_out: &[String],
    inception: &InceptionScores,
    card: &Card,
    scores: &mut TaskScores,
) {
    let Some((_, first)) = by_class.first() else { return };
    for (i, Distance { metric, estimator, .. }) in first.iter().enumerate() {
        let metric = inception.network.metric(metric);
        let values: Vec<_> = by_class.iter().map(|(class, found)| (*class, found[i].value)).collect();
        scores.record(&metric, &values, &Card { estimator: Some(estimator.clone()), ..card.clone() });
        let warned = by_class.iter().filter_map(|(class, found)| Some((*class, found[i].warning.clone()?)));
        let warned: Vec<_> = warned.collect();
        let of_mean =
            (!left_out.is_empty()).then(|| format!("left out for too few images: class {}", left_out.join(", ")));
        let of_mean: Vec<_> = of_mean.into_iter().chain(warned.first().map(|(_, text)| text.clone())).collect();
        if !of_mean.is_empty() {
            scores.warn(&metric, None, of_mean.join("; "));
        }
        for (class, text) in warned {
            scores.warn(&metric, Some(class), text);
        }
    }
}
