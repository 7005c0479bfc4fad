//! Training of classifiers.

use std::convert::Infallible;

use mergan_nn::Network;
use mergan_tensor::{Adam, AdamOptions, Address, Device, Random, Tensor};
use ndarray::{Array4, ArrayView4, Axis};

use super::Classifier;
use crate::pixels;

const ORDER_STREAM: u16 = 0x103;
const DROPOUT_STREAM: u16 = 0x104;

/// The options of training a classifier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitOptions {
    /// The number of passes over the images.
    pub epochs: usize,
    /// The number of images per step.
    pub batch: usize,
    /// Adam's learning rate at the first step; it decreases linearly to 0.
    pub rate: f64,
}

impl Default for FitOptions {
    fn default() -> Self {
        FitOptions { epochs: 5, batch: 256, rate: 1e-3 }
    }
}

impl FitOptions {
    /// Returns the options for `count` images of this shape (C, H, W): large datasets get fewer epochs, and large
    /// images get smaller batches, so that activations take only a few hundred megabytes.
    pub fn of_images([_, height, width]: [usize; 3], count: usize) -> Self {
        let usual = FitOptions::default();
        let epochs = (ENOUGH_IMAGES / count.max(1)).clamp(1, usual.epochs);
        let batch = (usual.batch * USUAL_PIXELS / (height * width).max(1)).clamp(1, usual.batch);
        FitOptions { epochs, batch, ..usual }
    }
}

/// The number of training images, counted with repetition, that is enough.
const ENOUGH_IMAGES: usize = 400_000;
/// The number of pixels up to which the default batch size is used.
const USUAL_PIXELS: usize = 32 * 32;

/// The progress of training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitProgress {
    /// The number of steps done.
    pub step: usize,
    /// The total number of steps.
    pub steps: usize,
    /// The mean cross-entropy of the step's batch.
    pub loss: f64,
}

impl Classifier {
    /// Trains a classifier on these images (N, C, H, W) and labels with Adam. Batches are drawn from `random`.
    ///
    /// # Panics
    /// Panics if there is not one label below `classes` for every image.
    pub fn fit(
        images: ArrayView4<u8>,
        labels: &[usize],
        classes: usize,
        options: FitOptions,
        random: Random,
        progress: impl FnMut(FitProgress),
    ) -> Self {
        let (count, channels, height, width) = images.dim();
        assert_eq!(count, labels.len(), "a label for every image");
        let read = |chosen: &[usize]| Ok::<_, Infallible>(images.select(Axis(0), chosen));
        let Ok(fitted) = Self::fit_from(read, [channels, height, width], labels, classes, options, random, progress);
        fitted
    }

    /// Does the same as [`Classifier::fit`] for images that need not be in memory at once: `read` is called with the
    /// indices of each batch and returns its images as n x C x H x W.
    ///
    /// # Errors
    /// Returns the first error of `read`.
    ///
    /// # Panics
    /// Panics if a label is not below `classes`, or if `read` returns images of another shape.
    pub fn fit_from<E>(
        mut read: impl FnMut(&[usize]) -> Result<Array4<u8>, E>,
        shape: [usize; 3],
        labels: &[usize],
        classes: usize,
        options: FitOptions,
        random: Random,
        mut progress: impl FnMut(FitProgress),
    ) -> Result<Self, E> {
        let count = labels.len();
        let mut classifier = Classifier::new(shape, classes, random, Device::Cpu).trainable();
        let mut adam = Adam::new(AdamOptions { beta1: 0.5, beta2: 0.999, epsilon: 1e-8 });
        let batch = options.batch.min(count);
        let steps = options.epochs * (count / batch);
        let mut step = 0;
        for epoch in 0..options.epochs {
            let address = Address { stream: ORDER_STREAM, step: epoch as u32, ..Address::default() };
            let order = random.permutation(address, count);
            // The last, incomplete batch is dropped; its images are used in other epochs, whose order differs.
            for chosen in order.chunks_exact(batch) {
                let x = pixels::from_bytes(read(chosen)?.view(), Device::Cpu);
                let y: Vec<usize> = chosen.iter().map(|&i| labels[i]).collect();
                let address = Address { stream: DROPOUT_STREAM, step: step as u32, ..Address::default() };
                let features = classifier.through(&x, |x| dropped(x, random, address));
                let loss = classifier.last(&features).cross_entropy(&y);
                let rate = options.rate * (1.0 - step as f64 / steps as f64);
                classifier.descend(&loss, &mut adam, rate);
                step += 1;
                progress(FitProgress { step, steps, loss: loss.item() });
            }
        }
        Ok(classifier.frozen())
    }
}

/// Applies dropout: a random half of the numbers is doubled, and the others become 0.
fn dropped(x: Tensor, random: Random, address: Address) -> Tensor {
    let kept = random.below(address, x.shape().len(), 2).into_iter().map(|kept| 2.0 * kept as f32).collect();
    &x * Tensor::from_vec(kept, x.shape(), x.device())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_passed_over_as_usual_and_large_sets_of_large_images_once_in_small_batches() {
        let usual = FitOptions::default();
        assert_eq!(FitOptions::of_images([1, 32, 32], 55_000), usual);
        assert_eq!(FitOptions::of_images([3, 64, 64], 400_000), FitOptions { epochs: 1, batch: 64, ..usual });
        assert_eq!(FitOptions::of_images([3, 64, 64], 0).epochs, 5);
        assert_eq!(FitOptions::of_images([3, 9999, 9999], 1).batch, 1);
    }

    #[test]
    fn convolutions_learn_where_colour_images_differ() {
        // The position of the bright quarter determines the class.
        for (side, epochs) in [(32, 6), (64, 6)] {
            let images = Array4::from_shape_fn((60, 3, side, side), |(n, c, y, x)| {
                let bright = (n % 2 == 0) == (y < side / 2) && x < side / 2;
                (usize::from(bright) * 100 + (n * 7 + y * 5 + x * 3 + c * 11) % 100) as u8
            });
            let labels: Vec<usize> = (0..60).map(|n| n % 2).collect();
            let options = FitOptions { epochs, batch: 10, rate: 1e-3 };
            let classifier = Classifier::fit(images.view(), &labels, 2, options, Random::new(0), |_| ());
            assert!(classifier.accuracy(images.view(), &labels) > 0.95, "{}", classifier.name());
            assert_eq!(classifier.read(images.view()).features.ncols(), 128);
        }
    }

    #[test]
    fn dropout_halves_the_numbers_and_keeps_their_mean() {
        let ones = Tensor::full(1.0, [100, 100], Device::Cpu);
        let dropped = dropped(ones, Random::new(0), Address::default()).to_vec::<f32>();
        let kept = dropped.iter().filter(|&&x| x == 2.0).count();
        assert!((4800..5200).contains(&kept) && dropped.iter().all(|&x| x == 0.0 || x == 2.0), "{kept}");
    }

    #[test]
    fn it_learns_to_tell_bright_from_dark() {
        let images =
            Array4::from_shape_fn((200, 1, 8, 8), |(n, _, y, x)| ((n % 2) * 150 + (n * 7 + y * 5 + x) % 100) as u8);
        let labels: Vec<usize> = (0..200).map(|n| n % 2).collect();
        let options = FitOptions { epochs: 3, batch: 20, rate: 1e-3 };
        let mut losses = Vec::new();
        let classifier =
            Classifier::fit(images.view(), &labels, 2, options, Random::new(0), |progress| losses.push(progress.loss));
        assert_eq!(losses.len(), 30);
        assert!(classifier.accuracy(images.view(), &labels) > 0.99);

        let reading = classifier.read(images.view());
        assert_eq!((reading.features.dim(), reading.logits.dim()), ((200, 128), (200, 2)));
        assert_eq!(reading.labels(), labels);
        let [dark, bright] = [0, 1].map(|class| reading.probabilities(class));
        assert!(dark.iter().zip(&bright).all(|(dark, bright)| (dark + bright - 1.0).abs() < 1e-9));
        assert!(dark.iter().zip(&labels).all(|(&dark, &label)| (dark > 0.5) == (label == 0)));
        let logits = classifier.logits(&pixels::from_bytes(images.view(), Device::Cpu)).to_vec::<f32>();
        assert_eq!(logits, reading.logits.iter().copied().collect::<Vec<_>>());
    }
}
