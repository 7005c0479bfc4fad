//! The classifier that scores generated images: a multilayer perceptron trained on real ones, as in the paper's
//! evaluation of MNIST (1024-512-256-128 hidden units, rectifiers, no dropout).
//!
//! The released graph takes pixels as integers up to 255 and starts from weights of deviation 0.001; ours takes them
//! scaled to [-1, 1] and starts as the other networks do, which reaches the same test accuracy in a tenth of the steps.

use mergan_tensor::{Adam, AdamOptions, Address, Device, Random, Shape, Tensor, no_grad};
use ndarray::{Array2, ArrayView1, ArrayView4, Axis};

use crate::layers::{Initialiser, Linear};
use crate::parameters::{Network, Parameter};
use crate::pixels;

const HIDDEN: [usize; 4] = [1024, 512, 256, 128];
const CLASSIFIER_STREAM: u16 = 0x102;
const ORDER_STREAM: u16 = 0x103;
/// Images that one forward pass of a prediction takes; it bounds the memory, the result does not depend on it.
const PREDICTION_BATCH: usize = 500;

/// A classifier of images of a fixed size.
#[derive(Clone, Debug)]
pub struct Classifier {
    layers: Vec<Linear>,
}

/// What a classifier makes of images.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The activations of the last hidden layer, N x 128.
    pub features: Array2<f32>,
    /// N x classes.
    pub logits: Array2<f32>,
}

/// How a classifier is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitOptions {
    /// Passes over the images.
    pub epochs: usize,
    /// Images a step.
    pub batch: usize,
    /// Adam's rate at the first step; it falls linearly to 0.
    pub rate: f64,
}

impl Default for FitOptions {
    fn default() -> Self {
        FitOptions { epochs: 5, batch: 256, rate: 1e-3 }
    }
}

/// Where a training stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitProgress {
    /// Steps done.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// Mean cross-entropy of the step's batch.
    pub loss: f64,
}

impl Classifier {
    /// A classifier with fresh weights for images of `pixels` numbers (C x H x W), frozen.
    pub fn new(pixels: usize, classes: usize, random: Random, device: Device) -> Self {
        let init = &mut Initialiser::new(random, CLASSIFIER_STREAM, device);
        let sizes: Vec<usize> = [pixels].into_iter().chain(HIDDEN).chain([classes]).collect();
        Classifier { layers: sizes.windows(2).map(|pair| Linear::new(init, pair[0], pair[1])).collect() }
    }

    /// A classifier trained on these images (N, C, H, W) and labels with Adam, the batches drawn from `random`.
    ///
    /// # Panics
    /// When there is not one label below `classes` for every image.
    pub fn fit(
        images: ArrayView4<u8>,
        labels: &[usize],
        classes: usize,
        options: FitOptions,
        random: Random,
        mut progress: impl FnMut(FitProgress),
    ) -> Self {
        let (count, channels, height, width) = images.dim();
        assert_eq!(count, labels.len(), "a label for every image");
        let mut classifier = Classifier::new(channels * height * width, classes, random, Device::Cpu).trainable();
        let mut adam = Adam::new(AdamOptions { beta1: 0.5, beta2: 0.999, epsilon: 1e-8 });
        let batch = options.batch.min(count);
        let steps = options.epochs * (count / batch);
        let mut step = 0;
        for epoch in 0..options.epochs {
            let address = Address { stream: ORDER_STREAM, iteration: epoch as u32, ..Address::default() };
            let order = random.permutation(address, count);
            // The last, smaller batch is dropped; another epoch's order brings its images back.
            for chosen in order.chunks_exact(batch) {
                let x = pixels::from_bytes(images.select(Axis(0), chosen).view(), Device::Cpu);
                let y: Vec<usize> = chosen.iter().map(|&i| labels[i]).collect();
                let loss = classifier.logits(&x).cross_entropy(&y);
                let rate = options.rate * (1.0 - step as f64 / steps as f64);
                classifier.descend(&loss, &mut adam, rate);
                step += 1;
                progress(FitProgress { step, steps, loss: loss.item() });
            }
        }
        classifier.frozen()
    }

    /// Images `[n, c, h, w]` in [-1, 1] to logits N x classes.
    pub fn logits(&self, images: &Tensor) -> Tensor {
        self.last().forward(&self.features(images))
    }

    /// Images `[n, c, h, w]` in [-1, 1] to the activations of the last hidden layer, N x 128.
    pub fn features(&self, images: &Tensor) -> Tensor {
        let hidden = &self.layers[..self.layers.len() - 1];
        hidden.iter().fold(images.flatten(), |x, layer| layer.forward_relu(&x))
    }

    /// What the classifier makes of images (N, C, H, W), in one pass.
    pub fn read(&self, images: ArrayView4<u8>) -> Reading {
        let (mut features, mut logits) = (Vec::new(), Vec::new());
        no_grad(|| {
            for batch in images.axis_chunks_iter(Axis(0), PREDICTION_BATCH) {
                let hidden = self.features(&pixels::from_bytes(batch, Device::Cpu));
                logits.extend(self.last().forward(&hidden).to_vec::<f32>());
                features.extend(hidden.to_vec::<f32>());
            }
        });
        let Shape { n: classes, c: width, .. } = self.last().weight.shape();
        let rows = |values, columns| {
            let array = Array2::from_shape_vec((images.len_of(Axis(0)), columns), values);
            array.expect("every image has a row")
        };
        Reading { features: rows(features, width), logits: rows(logits, classes) }
    }

    /// The likeliest class of every image (N, C, H, W).
    pub fn predict(&self, images: ArrayView4<u8>) -> Vec<usize> {
        self.read(images).labels()
    }

    /// The share of images whose likeliest class is their label.
    ///
    /// # Panics
    /// When there is not one label for every image.
    pub fn accuracy(&self, images: ArrayView4<u8>, labels: &[usize]) -> f64 {
        assert_eq!(images.len_of(Axis(0)), labels.len(), "a label for every image");
        let right = self.predict(images).iter().zip(labels).filter(|(a, b)| a == b).count();
        right as f64 / labels.len() as f64
    }

    fn last(&self) -> &Linear {
        self.layers.last().expect("a classifier has layers")
    }
}

impl Reading {
    /// The likeliest class of every image.
    pub fn labels(&self) -> Vec<usize> {
        let likeliest =
            |row: ArrayView1<f32>| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or_default();
        self.logits.rows().into_iter().map(likeliest).collect()
    }

    /// The probability that the classifier gives `class`, for every image.
    ///
    /// # Panics
    /// When there is no such class.
    pub fn probabilities(&self, class: usize) -> Vec<f64> {
        let probability = |row: ArrayView1<f32>| {
            let others = row.iter().map(|&logit| f64::from(logit - row[class]).exp());
            1.0 / others.sum::<f64>()
        };
        self.logits.rows().into_iter().map(probability).collect()
    }
}

impl Network for Classifier {
    fn parameters_mut(&mut self) -> Vec<Parameter<'_>> {
        let layers = self.layers.iter_mut().zip(1..);
        layers.flat_map(|(layer, i)| layer.parameters_mut(&format!("l{i}"))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array4;

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
