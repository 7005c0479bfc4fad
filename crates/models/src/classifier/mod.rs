//! The classifier that scores generated images, trained on real images as in the paper's evaluation: a multilayer
//! perceptron for grey digits, and convolutions for colour images and for larger ones.
//!
//! The released graphs use pixels as integers up to 255 (minus the mean of ImageNet for colour images), and initial
//! weights with standard deviation 0.001. Ours uses pixels scaled to [-1, 1] and the same initialisation as the other
//! networks, which reaches the same test accuracy on digits in a tenth of the steps.

mod fit;
mod layout;
mod reading;

use std::convert::Infallible;
use std::path::Path;

use mergan_nn::{Network, Parameter, Weights, WeightsError};
use mergan_tensor::{Device, Pool2d, Random, Tensor, no_grad};
use ndarray::{Array2, ArrayBase, ArrayView4, Axis, Data, Ix4};

use crate::forward::{Forward, LINEAR, RELU};
use crate::pixels;
use layout::Layout;

pub use fit::{FitOptions, FitProgress};
pub use reading::Reading;

const CLASSIFIER_STREAM: u16 = 0x102;
/// The size of the images in one forward pass of a prediction, in numbers. It limits the memory; the result does not
/// depend on it.
const PREDICTION_NUMBERS: usize = 500 * 32 * 32;

/// A classifier of images of a fixed size.
#[derive(Clone, Debug)]
pub struct Classifier {
    layout: &'static Layout,
    parameters: Vec<Parameter>,
}

impl Classifier {
    /// Creates a classifier with new weights for images of this shape (C, H, W), which determines its layers. Its
    /// parameters are constants.
    ///
    /// # Panics
    /// Panics if the images are so small that pooling leaves no pixels.
    pub fn new(shape: [usize; 3], classes: usize, random: Random, device: Device) -> Self {
        let layout = Layout::of(shape);
        let inputs = layout.inputs(shape);
        assert!(inputs > 0, "images of shape {shape:?} are too small for {}", layout.name);
        let parameters = layout.declare(shape[0], inputs, classes).fresh(random, CLASSIFIER_STREAM, device);
        Classifier { layout, parameters }
    }

    /// Returns a classifier with more classes, which never predicts the new ones.
    pub fn grown(&self, shape: [usize; 3], classes: usize) -> Self {
        let mut larger = Classifier::new(shape, classes, Random::new(0), self.device());
        let [weight, bias] = larger.parameters.last_chunk_mut().expect("a classifier has layers");
        weight.value = &weight.value * 0.0;
        bias.value = Tensor::full(f64::from(f32::MIN), bias.value.shape(), bias.value.device());
        larger.holding(self)
    }

    /// Loads a classifier from a file of weights, on the CPU.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or contains another network.
    pub fn load(path: &Path) -> Result<Self, WeightsError> {
        Classifier::from_weights(path, &Weights::load(path, Device::Cpu)?)
    }

    /// Creates a classifier from weights, with constants as parameters. Its layers and their sizes are determined from
    /// the tensors. `path` names the file in errors.
    ///
    /// # Errors
    /// Returns an error if a tensor is missing or does not fit the others, because the weights belong to another
    /// network.
    pub fn from_weights(path: &Path, weights: &Weights) -> Result<Self, WeightsError> {
        let layout = Layout::in_weights(weights);
        // A missing length is taken as 0, which then does not match the tensor.
        let length = |name: &str, axis: usize| weights.length(name, axis).unwrap_or(0);
        let classes = length(&format!("l{}.weight", layout.hidden.len() + 1), 0);
        let net = layout.declare(length("c1.weight", 1), length("l1.weight", 1), classes);
        Ok(Classifier { layout, parameters: net.read(path, weights)? })
    }

    /// Returns the number of classes.
    pub fn classes(&self) -> usize {
        self.weight_length(self.layout.hidden.len() + 1, 0)
    }

    /// Returns whether the classifier accepts images of this shape (C, H, W).
    pub fn takes(&self, shape: [usize; 3]) -> bool {
        let is_for = self.layout.blocks.is_empty() || self.parameters[0].value.shape()[1] == shape[0];
        Layout::of(shape).name == self.name() && is_for && self.layout.inputs(shape) == self.weight_length(1, 1)
    }

    /// Returns the length of an axis of a linear layer's weight. Layers are numbered from 1.
    fn weight_length(&self, layer: usize, axis: usize) -> usize {
        let name = format!("l{layer}.weight");
        let found = self.parameters.iter().find(|parameter| parameter.name == name);
        found.expect("a classifier has all its layers").value.shape()[axis]
    }

    /// Returns the name of its layers, as metric cards show it.
    pub fn name(&self) -> &'static str {
        self.layout.name
    }

    /// Returns the name of the layers of a classifier for images of this shape (C, H, W).
    pub fn name_for(shape: [usize; 3]) -> &'static str {
        Layout::of(shape).name
    }

    /// Computes logits N x classes from images `[n, c, h, w]` in [-1, 1].
    pub fn logits(&self, images: &Tensor) -> Tensor {
        self.last(&self.features(images))
    }

    /// Computes the activations of the last hidden layer, N x 128, from images `[n, c, h, w]` in [-1, 1].
    pub fn features(&self, images: &Tensor) -> Tensor {
        self.through(images, |x| x)
    }

    /// Does the same as [`Classifier::features`], with `drop` applied after the first linear layer that follows
    /// convolutions.
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

    /// Applies the last layer to the activations before it.
    fn last(&self, features: &Tensor) -> Tensor {
        Forward::new(self.head()).linear_leaky_relu(features, LINEAR)
    }

    /// Returns the weight and the bias of the last layer.
    fn head(&self) -> &[Parameter; 2] {
        self.parameters.last_chunk().expect("a classifier has layers")
    }

    /// Returns the classifier's outputs for images (N, C, H, W), in one pass.
    pub fn read(&self, images: ArrayView4<u8>) -> Reading {
        let Ok(reading) = self.read_from([Ok::<_, Infallible>(images)]);
        reading
    }

    /// Does the same as [`Classifier::read`] for images that need not be in memory at once.
    ///
    /// # Errors
    /// Returns the first error among the parts.
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
        let [classes, width] = self.head()[0].value.shape().dims();
        let rows = |values: Vec<f32>, columns| {
            let array = Array2::from_shape_vec((values.len() / columns, columns), values);
            array.expect("every image has a row")
        };
        Ok(Reading { features: rows(features, width), logits: rows(logits, classes) })
    }

    /// Returns the most likely class of every image (N, C, H, W).
    pub fn predict(&self, images: ArrayView4<u8>) -> Vec<usize> {
        self.read(images).labels()
    }

    /// Returns the fraction of images whose most likely class is their label.
    ///
    /// # Panics
    /// Panics if there is not one label for every image.
    pub fn accuracy(&self, images: ArrayView4<u8>, labels: &[usize]) -> f64 {
        self.read(images).accuracy(labels)
    }
}

impl Network for Classifier {
    fn parameters(&self) -> Vec<Parameter> {
        self.parameters.clone()
    }

    fn parameters_mut(&mut self) -> Vec<&mut Parameter> {
        self.parameters.iter_mut().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array4;

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
            // This tensor does not fit its neighbours.
            weights.insert("l2.weight", &Tensor::zeros([2, 2], Device::Cpu));
            let error = Classifier::from_weights(&path, &weights).unwrap_err().to_string();
            assert!(error.contains("`l2.weight`") && error.contains("classifier.safetensors"), "{error}");
        }
        // The lengths of an empty tensor are ignored.
        let mut weights = Weights::default();
        weights.insert("l1.weight", &Tensor::zeros([0, usize::MAX], Device::Cpu));
        let error = Classifier::from_weights(&path, &weights).unwrap_err().to_string();
        assert!(error.contains("`l1.weight`") && error.contains("[1024, 0]"), "{error}");
        let error = Classifier::from_weights(&path, &Weights::default()).unwrap_err();
        assert!(error.to_string().contains("holds no tensor `l1.weight`"), "{error}");
    }
}
