//! The accuracy of images under a classifier trained on real ones (paper section 4.1).

use mergan_models::Classifier;

use super::{Images, ImagesError};
use crate::{FeatureError, class_accuracy};

/// Returns the share of images, from 0 to 1, that the classifier recognises as `class`. For images of that class made
/// by a generator, it measures their quality. [`pictures_of`](mergan_datasets::pictures_of) brings pictures to the
/// size and channels that the classifier takes, and its images can be passed here.
///
/// # Errors
/// When there are no images or no such class, and when images cannot be read or do not have the size that the
/// classifier was trained on.
pub fn accuracy(classifier: &Classifier, images: impl Into<Images>, class: usize) -> Result<f64, ImagesError> {
    let classes = classifier.classes();
    if class >= classes {
        return Err(ImagesError::UnknownClass { class, classes });
    }
    let batches = images.into().into_iter().map(|batch| {
        let batch = batch?;
        let (_, channels, height, width) = batch.dim();
        let shape = [channels, height, width];
        if classifier.takes(shape) {
            return Ok(batch);
        }
        let takes = format!("images like those that {} was trained on", classifier.name());
        Err(ImagesError::Shape { shape, takes })
    });
    let labels = classifier.read_from(batches)?.labels();
    class_accuracy(&labels, class).ok_or(FeatureError::TooFewSamples { count: 0, least: 1 }.into())
}
