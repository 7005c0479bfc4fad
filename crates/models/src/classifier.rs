//! The classifier that scores generated images, trained on real ones as in the paper's evaluation: a multilayer perceptron
//! for grey digits and convolutions for colour and for larger images.
//!
//! The released graphs take pixels as integers up to 255 (in colour less the mean of ImageNet) and start from weights of
//! deviation 0.001; ours takes them scaled to [-1, 1] and starts as the other networks do, which reaches the same test
//! accuracy on digits in a tenth of the steps.

use std::convert::Infallible;
use std::path::Path;

use mergan_tensor::{Adam, AdamOptions, Address, Device, Pool2d, Random, Shape, Tensor, no_grad};
use ndarray::{Array2, Array4, ArrayBase, ArrayView1, ArrayView4, Axis, Data, Ix4};

use crate::declaration::Declaration;
use crate::forward::{Forward, LINEAR, RELU};
use crate::layers::{Kernel, Layers};
use crate::parameters::{Network, Parameter, Rows};
use crate::pixels;
use crate::weights::{Weights, WeightsError};

const CLASSIFIER_STREAM: u16 = 0x102;
const ORDER_STREAM: u16 = 0x103;
const DROPOUT_STREAM: u16 = 0x104;
/// Numbers of the images that one forward pass of a prediction takes; it bounds the memory, the result does not depend on
/// it.
const PREDICTION_NUMBERS: usize = 500 * 32 * 32;

/// The layers of a classifier.
#[derive(Debug)]
struct Layout {
    name: &'static str,
    /// Channels of 3x3 convolutions with rectifiers; each block ends in 2x2 max pooling.
    blocks: &'static [&'static [usize]],
    /// Linear layers with rectifiers. Behind convolutions the first loses half its numbers at random in training.
    hidden: &'static [usize],
}

/// Of MNIST in the paper.
const PERCEPTRON: Layout = Layout { name: "mlp-1024-512-256-128", blocks: &[], hidden: &[1024, 512, 256, 128] };
/// Of SVHN in the paper.
const SEVEN_CONVOLUTIONS: Layout = Layout {
    name: "cnn-2x32-2x64-3x128-512-128",
    blocks: &[&[32, 32], &[64, 64], &[128, 128, 128]],
    hidden: &[512, 128],
};
/// Of LSUN in the paper, VGG-16 with small linear layers, at a quarter of its width: on processors the whole would take
/// longer to train than a generator.
const THIRTEEN_CONVOLUTIONS: Layout = Layout {
    name: "cnn-2x16-2x32-3x64-3x128-3x128-256-128",
    blocks: &[&[16, 16], &[32, 32], &[64, 64, 64], &[128, 128, 128], &[128, 128, 128]],
    hidden: &[256, 128],
};

impl Layout {
    /// The layers for images of this shape, C, H and W.
    fn of([channels, height, width]: [usize; 3]) -> &'static Layout {
        match (channels, height.min(width)) {
            (_, 33..) => &THIRTEEN_CONVOLUTIONS,
            (1, _) => &PERCEPTRON,
            _ => &SEVEN_CONVOLUTIONS,
        }
    }

    /// The layers with the most convolutions that these weights have.
    fn in_weights(weights: &Weights) -> &'static Layout {
        let has = |convolution: usize| weights.axes(&format!("c{convolution}.weight")).is_some();
        let layouts = [&THIRTEEN_CONVOLUTIONS, &SEVEN_CONVOLUTIONS];
        layouts.into_iter().find(|layout| has(layout.blocks.concat().len())).unwrap_or(&PERCEPTRON)
    }

    /// The parameters, of images with so many channels, `inputs` numbers of which reach the first linear layer.
    fn declare(&self, channels: usize, inputs: usize, classes: usize) -> Declaration {
        let mut net = Declaration::new(classes);
        let mut maps = Shape::new(1, channels, 1, 1);
        for (&outputs, i) in self.blocks.iter().copied().flatten().zip(1..) {
            maps = net.conv(&maps, format_args!("c{i}"), Kernel::he(3, outputs));
        }
        let mut x = Shape::new(1, inputs, 1, 1);
        for (&outputs, i) in self.hidden.iter().zip(1..) {
            x = net.linear_layer(x, format_args!("l{i}"), outputs, Rows::Shared);
        }
        net.linear_layer(x, format_args!("l{}", self.hidden.len() + 1), classes, Rows::PerClass);
        net
    }

    /// How many numbers of an image of this shape, C, H and W, reach the first linear layer.
    fn inputs(&self, [channels, height, width]: [usize; 3]) -> usize {
        let halvings = self.blocks.len();
        let channels = self.blocks.last().and_then(|block| block.last()).copied().unwrap_or(channels);
        channels * (height >> halvings) * (width >> halvings)
    }
}

/// A classifier of images of a fixed size.
#[derive(Clone, Debug)]
pub struct Classifier {
    layout: &'static Layout,
    parameters: Vec<Parameter>,
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

impl FitOptions {
    /// Those for `count` images of this shape (C, H, W): large sets are not passed over as often, and large images come in
    /// smaller batches, whose activations take a few hundred megabytes.
    pub fn of_images([_, height, width]: [usize; 3], count: usize) -> Self {
        let usual = FitOptions::default();
        let epochs = (ENOUGH_IMAGES / count.max(1)).clamp(1, usual.epochs);
        let batch = (usual.batch * USUAL_PIXELS / (height * width).max(1)).clamp(1, usual.batch);
        FitOptions { epochs, batch, ..usual }
    }
}

/// As many images are enough to learn from, the same ones again or others.
const ENOUGH_IMAGES: usize = 400_000;
/// Pixels of an image up to which the usual batch is taken.
const USUAL_PIXELS: usize = 32 * 32;

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
    /// A classifier with fresh weights for images of this shape (C, H, W), which decides its layers, frozen.
    ///
    /// # Panics
    /// When the images are so small that its poolings leave nothing.
    pub fn new(shape: [usize; 3], classes: usize, random: Random, device: Device) -> Self {
        let layout = Layout::of(shape);
        let inputs = layout.inputs(shape);
        assert!(inputs > 0, "images of shape {shape:?} are too small for {}", layout.name);
        let parameters = layout.declare(shape[0], inputs, classes).fresh(random, CLASSIFIER_STREAM, device);
        Classifier { layout, parameters }
    }

    /// A classifier that knows of more classes, and never names one of those.
    pub fn grown(&self, shape: [usize; 3], classes: usize) -> Self {
        let mut larger = Classifier::new(shape, classes, Random::new(0), self.device());
        let [weight, bias] = larger.parameters.last_chunk_mut().expect("a classifier has layers");
        weight.value = weight.value.scale(0.0);
        bias.value = Tensor::full(f64::from(f32::MIN), bias.value.shape(), bias.value.device());
        larger.holding(self)
    }

    /// The classifier in a file of its weights, on the CPU.
    ///
    /// # Errors
    /// When the file cannot be read or holds another network.
    pub fn load(path: &Path) -> Result<Self, WeightsError> {
        Classifier::from_weights(&Weights::load(path, Device::Cpu)?, path)
    }

    /// The classifier in these weights, frozen; which layers it has, and of what sizes, is read off them. `path` names the
    /// file in errors.
    ///
    /// # Errors
    /// When a tensor is missing or does not fit the others: the weights are those of another network.
    pub fn from_weights(weights: &Weights, path: &Path) -> Result<Self, WeightsError> {
        let layout = Layout::in_weights(weights);
        // A length that is not there is 0, which the tensor then does not have.
        let length = |name: &str, axis: usize| weights.axes(name).and_then(|axes| axes.get(axis)).copied().unwrap_or(0);
        let classes = length(&format!("l{}.weight", layout.hidden.len() + 1), 0);
        let net = layout.declare(length("c1.weight", 1), length("l1.weight", 1), classes);
        Ok(Classifier { layout, parameters: net.read(path, weights)? })
    }

    /// How many classes it knows.
    pub fn classes(&self) -> usize {
        self.weight_length(self.layout.hidden.len() + 1, 0)
    }

    /// Whether it takes images of this shape (C, H, W).
    pub fn takes(&self, shape: [usize; 3]) -> bool {
        let is_for = self.layout.blocks.is_empty() || self.parameters[0].lengths()[1] == shape[0];
        Layout::of(shape).name == self.name() && is_for && self.layout.inputs(shape) == self.weight_length(1, 1)
    }

    /// The length of an axis of the weight of the linear layer with this number, counted from 1.
    fn weight_length(&self, layer: usize, axis: usize) -> usize {
        let name = format!("l{layer}.weight");
        let found = self.parameters.iter().find(|parameter| parameter.name == name);
        found.expect("a classifier has all its layers").lengths()[axis]
    }

    /// How many classes the classifier in these weights has, read off its last tensor.
    pub fn classes_of(weights: &Weights) -> Option<usize> {
        let biases = (1..).map(|layer| weights.axes(&format!("l{layer}.bias")));
        biases.map_while(|axes| axes?.first().copied()).last()
    }

    /// The name of its layers, as metric cards have it.
    pub fn name(&self) -> &'static str {
        self.layout.name
    }

    /// The name of the layers of a classifier for images of this shape (C, H, W).
    pub fn name_for(shape: [usize; 3]) -> &'static str {
        Layout::of(shape).name
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
        progress: impl FnMut(FitProgress),
    ) -> Self {
        let (count, channels, height, width) = images.dim();
        assert_eq!(count, labels.len(), "a label for every image");
        let read = |chosen: &[usize]| Ok::<_, Infallible>(images.select(Axis(0), chosen));
        let Ok(fitted) = Self::fit_from(read, [channels, height, width], labels, classes, options, random, progress);
        fitted
    }

    /// As [`Classifier::fit`], of images that need not be in memory at once: `read` is asked for those of each batch, by
    /// their indices, and gives them as n x C x H x W.
    ///
    /// # Errors
    /// What `read` fails with.
    ///
    /// # Panics
    /// When a label is not below `classes`, or `read` gives images of another shape.
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
            let address = Address { stream: ORDER_STREAM, iteration: epoch as u32, ..Address::default() };
            let order = random.permutation(address, count);
            // The last, smaller batch is dropped; another epoch's order brings its images back.
            for chosen in order.chunks_exact(batch) {
                let x = pixels::from_bytes(read(chosen)?.view(), Device::Cpu);
                let y: Vec<usize> = chosen.iter().map(|&i| labels[i]).collect();
                let address = Address { stream: DROPOUT_STREAM, iteration: step as u32, ..Address::default() };
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

    /// Images `[n, c, h, w]` in [-1, 1] to logits N x classes.
    pub fn logits(&self, images: &Tensor) -> Tensor {
        self.last(&self.features(images))
    }

    /// Images `[n, c, h, w]` in [-1, 1] to the activations of the last hidden layer, N x 128.
    pub fn features(&self, images: &Tensor) -> Tensor {
        self.through(images, |x| x)
    }

    /// As [`Classifier::features`], with this behind the first linear layer after convolutions.
    fn through(&self, images: &Tensor, drop: impl Fn(Tensor) -> Tensor) -> Tensor {
        let net = &mut Forward::new(&self.parameters);
        let mut maps = images.clone();
        for block in self.layout.blocks {
            for _ in *block {
                maps = net.conv_leaky_relu(&maps, 3, RELU);
            }
            maps = maps.max_pool2d(Pool2d::square(2, 2, 0));
        }
        let mut x = maps.flatten();
        for layer in 0..self.layout.hidden.len() {
            x = net.linear_leaky_relu(&x, RELU);
            if layer == 0 && !self.layout.blocks.is_empty() {
                x = drop(x);
            }
        }
        x
    }

    /// The last layer, of the activations before it.
    fn last(&self, features: &Tensor) -> Tensor {
        Forward::new(self.head()).linear_leaky_relu(features, LINEAR)
    }

    /// Weight and bias of the last layer.
    fn head(&self) -> &[Parameter; 2] {
        self.parameters.last_chunk().expect("a classifier has layers")
    }

    /// What the classifier makes of images (N, C, H, W), in one pass.
    pub fn read(&self, images: ArrayView4<u8>) -> Reading {
        let Ok(reading) = self.read_from([Ok::<_, Infallible>(images)]);
        reading
    }

    /// As [`Classifier::read`], of images that need not be in memory at once.
    ///
    /// # Errors
    /// The first error among the parts.
    pub fn read_from<S: Data<Elem = u8>, E>(
        &self,
        parts: impl IntoIterator<Item = Result<ArrayBase<S, Ix4>, E>>,
    ) -> Result<Reading, E> {
        let (mut features, mut logits) = (Vec::new(), Vec::new());
        for images in parts {
            let images = images?;
            let (_, channels, height, width) = images.dim();
            let batch = PREDICTION_NUMBERS / (channels * height * width).clamp(1, PREDICTION_NUMBERS);
            no_grad(|| {
                for batch in images.axis_chunks_iter(Axis(0), batch) {
                    let hidden = self.features(&pixels::from_bytes(batch, Device::Cpu));
                    logits.extend(self.last(&hidden).to_vec::<f32>());
                    features.extend(hidden.to_vec::<f32>());
                }
            });
        }
        let Shape { n: classes, c: width, .. } = self.head()[0].value.shape();
        let rows = |values: Vec<f32>, columns| {
            let array = Array2::from_shape_vec((values.len() / columns, columns), values);
            array.expect("every image has a row")
        };
        Ok(Reading { features: rows(features, width), logits: rows(logits, classes) })
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
        self.read(images).accuracy(labels)
    }
}

/// Half of the numbers at random, doubled, and 0 in place of the others.
fn dropped(x: Tensor, random: Random, address: Address) -> Tensor {
    let kept = random.below(address, x.shape().len(), 2).into_iter().map(|kept| 2.0 * kept as f32).collect();
    &x * &Tensor::from_vec(kept, x.shape(), x.device())
}

impl Reading {
    /// The likeliest class of every image.
    pub fn labels(&self) -> Vec<usize> {
        let likeliest =
            |row: ArrayView1<f32>| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or_default();
        self.logits.rows().into_iter().map(likeliest).collect()
    }

    /// The share of images whose likeliest class is their label.
    ///
    /// # Panics
    /// When there is not one label for every image.
    pub fn accuracy(&self, labels: &[usize]) -> f64 {
        let found = self.labels();
        assert_eq!(found.len(), labels.len(), "a label for every image");
        let right = found.iter().zip(labels).filter(|(found, label)| found == label).count();
        right as f64 / labels.len() as f64
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
    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut [Parameter] {
        &mut self.parameters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array4;

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
        // The bright quarter says the class.
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
    fn classes_that_were_added_are_never_named() {
        let small = Classifier::new([1, 8, 8], 3, Random::new(1), Device::Cpu);
        let images = Array4::from_shape_fn((50, 1, 8, 8), |(n, _, y, x)| (n * 37 + y * 11 + x * 5) as u8);
        let large = small.grown([1, 8, 8], 5);
        assert_eq!(large.read(images.view()).logits.ncols(), 5);
        assert_eq!(large.predict(images.view()), small.predict(images.view()));
    }

    #[test]
    fn a_file_says_what_layers_its_classifier_has() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("classifier.safetensors");
        let shapes = [[1, 16, 16], [3, 16, 20], [3, 64, 64]];
        for shape in shapes {
            let classifier = Classifier::new(shape, 3, Random::new(1), Device::Cpu);
            let mut weights = Weights::default();
            weights.insert_network("", &classifier);
            weights.save(&path).unwrap();
            let read = Classifier::load(&path).unwrap();
            assert_eq!((read.name(), read.classes()), (classifier.name(), 3));
            for (here, there) in classifier.values().iter().zip(read.values()) {
                assert_eq!((here.shape(), here.to_vec::<f32>()), (there.shape(), there.to_vec::<f32>()));
            }
            for other in shapes.into_iter().chain([[1, 16, 15], [1, 32, 32], [3, 24, 24], [4, 16, 20], [3, 96, 64]]) {
                assert_eq!(read.takes(other), other == shape, "{other:?} by {}", read.name());
            }
            // A tensor that does not fit its neighbours.
            weights.insert_as("l2.weight", &[2, 2], &Tensor::zeros([2, 2, 1, 1], Device::Cpu));
            let error = Classifier::from_weights(&weights, &path).unwrap_err().to_string();
            assert!(error.contains("`l2.weight`") && error.contains("classifier.safetensors"), "{error}");
        }
        let error = Classifier::from_weights(&Weights::default(), &path).unwrap_err();
        assert!(error.to_string().contains("holds no tensor `l1.weight`"), "{error}");
    }

    #[test]
    fn dropout_halves_the_numbers_and_keeps_their_mean() {
        let ones = Tensor::full(1.0, [100, 100, 1, 1], Device::Cpu);
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
