//! InceptionV3 as FID uses it: features of images, forward only.
//!
//! Batch normalisation uses fixed statistics, so it is folded into the convolutions when weights are loaded. On the CPU
//! an image's features are bitwise the same whatever batch it is in.

mod layout;
mod resize;

use std::path::Path;

use mergan_nn::{Weights, WeightsError, fold_statistics};
use mergan_tensor::{Address, Device, FrozenConv2d, Pool2d, Random, Shape, Tensor, no_grad};
use ndarray::{Array2, ArrayView4};

use layout::{INPUTS, OUTPUTS, Part};

pub use resize::Resize;

/// The number that batch normalisation adds to variances.
const EPSILON: f64 = 1e-3;
/// The side of the network's input images in pixels.
const SIDE: usize = 299;

/// A point in the network where maps, averaged over pixels, are used as features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tap {
    /// The 64 channels after the first pooling.
    First = 0,
    /// The 192 channels after the second pooling.
    Second = 1,
    /// The 768 channels at the position of the auxiliary classifier.
    Auxiliary = 2,
    /// The 2048 channels before the classifier, which FID uses.
    Last = 3,
}

impl Tap {
    /// All taps, from the first to the last.
    pub const ALL: [Tap; 4] = [Tap::First, Tap::Second, Tap::Auxiliary, Tap::Last];

    /// Returns the number of features of an image at this tap.
    pub fn features(self) -> usize {
        [64, 192, 768, 2048][self as usize]
    }
}

/// The InceptionV3 network.
pub struct Inception {
    parts: Vec<Built>,
    device: Device,
}

/// A [`Part`] with its weights.
enum Built {
    Conv(FrozenConv2d),
    MaxPool(Pool2d),
    AveragePool(Pool2d),
    Branches(Vec<Vec<Built>>),
    Tap,
}

impl Inception {
    /// Creates the network from weights, on their device. They are named as in torchvision
    /// (`Mixed_5b.branch1x1.conv.weight`, `Mixed_5b.branch1x1.bn.running_mean`, ..., `fc.weight`), and `path` names
    /// their file in errors.
    ///
    /// # Errors
    /// Returns an error if a tensor is missing or has another shape, because the weights belong to another network.
    pub fn new(weights: &Weights, path: &Path) -> Result<Self, WeightsError> {
        let file = File { weights, path };
        let (parts, channels) = file.sequence(layout::network(), INPUTS)?;
        // The classifier is not used, but its shape distinguishes this network from one trained on other classes.
        let classifier = file.tensor("fc.weight", &[OUTPUTS, channels])?;
        Ok(Inception { parts, device: classifier.device() })
    }

    /// Returns the names and shapes of all tensors of the network, except those of the unused classifier.
    pub fn tensors() -> Vec<(String, Vec<usize>)> {
        let mut tensors = Vec::new();
        list(&layout::network(), INPUTS, &mut tensors);
        tensors
    }

    /// Creates random weights of a scale that preserves the scale of activations. They serve to time the network and to
    /// compare devices when the real weights are not available.
    pub fn noise(random: Random, device: Device) -> Weights {
        let mut weights = Weights::default();
        let classifier = ("fc.weight".to_string(), vec![OUTPUTS, Tap::Last.features()]);
        for ((name, axes), stream) in Inception::tensors().into_iter().chain([classifier]).zip(0..) {
            let shape = Shape::of(&axes).expect("tensors have one, two or four axes");
            let unit = random.uniform(Address { stream, ..Address::default() }, shape, Device::Cpu);
            let tensor = match axes.len() {
                4 => (unit - 0.5) * (24.0 / (shape.len() / axes[0]) as f64).sqrt(),
                _ => unit + 0.5,
            };
            weights.insert(name, &tensor.to_device(device));
        }
        weights
    }

    /// Returns the features of images `[n, 3, 299, 299]` in [-1, 1] at each of `taps`, `[n, features]`. Layers after
    /// the last tap are not computed.
    ///
    /// # Panics
    /// Panics if the images do not have three channels, or are so small that a convolution does not fit.
    pub fn features(&self, images: &Tensor, taps: &[Tap]) -> Vec<Tensor> {
        let wanted = taps.iter().map(|&tap| tap as usize).max().map_or(0, |last| last + 1);
        let mut found = Vec::with_capacity(wanted);
        no_grad(|| {
            let mut parts = self.parts.iter();
            let mut maps = images.detach();
            while found.len() < wanted {
                match parts.next().expect("the network ends with a tap") {
                    Built::Tap => found.push(maps.mean_axes(&[2, 3])),
                    part => maps = part.forward(&maps),
                }
            }
        });
        taps.iter().map(|&tap| found[tap as usize].clone()).collect()
    }

    /// Returns the features of byte images (N, C, H, W) at `tap`, one row per image. Grey images are repeated to three
    /// channels.
    ///
    /// # Panics
    /// Panics if the images have neither one nor three channels.
    pub fn read(&self, images: ArrayView4<u8>, resize: Resize, tap: Tap) -> Array2<f32> {
        let count = images.dim().0;
        let images = resize.apply(images, [SIDE; 2]).to_device(self.device);
        let features = self.features(&images, &[tap]).remove(0);
        let rows = Array2::from_shape_vec((count, tap.features()), features.to_vec::<f32>());
        rows.expect("every image has its features")
    }
}

impl Built {
    fn forward(&self, maps: &Tensor) -> Tensor {
        match self {
            Built::Conv(layer) => layer.forward(maps),
            Built::MaxPool(pool) => maps.max_pool2d(*pool),
            Built::AveragePool(pool) => maps.avg_pool2d(*pool),
            Built::Branches(branches) => {
                let through = |branch: &Vec<Built>| branch.iter().fold(maps.clone(), |maps, part| part.forward(&maps));
                let ends: Vec<Tensor> = branches.iter().map(through).collect();
                Tensor::concat(1, &ends.iter().collect::<Vec<_>>())
            }
            Built::Tap => maps.clone(),
        }
    }
}

/// Returns the names and shapes of the tensors of a convolution with batch normalisation.
fn tensors_of(name: &str, outputs: usize, inputs: usize, kernel: [usize; 2]) -> Vec<(String, Vec<usize>)> {
    let of_channels = ["weight", "bias", "running_mean", "running_var"];
    let kernel = (format!("{name}.conv.weight"), vec![outputs, inputs, kernel[0], kernel[1]]);
    [kernel].into_iter().chain(of_channels.map(|part| (format!("{name}.bn.{part}"), vec![outputs]))).collect()
}

/// Adds the tensors of a sequence to the list and returns its number of output channels.
fn list(parts: &[Part], inputs: usize, tensors: &mut Vec<(String, Vec<usize>)>) -> usize {
    parts.iter().fold(inputs, |channels, part| match part {
        Part::Conv { name, outputs, kernel, .. } => {
            tensors.extend(tensors_of(name, *outputs, channels, *kernel));
            *outputs
        }
        Part::Branches(branches) => branches.iter().map(|branch| list(branch, channels, tensors)).sum(),
        Part::MaxPool(_) | Part::AveragePool(_) | Part::Tap => channels,
    })
}

/// The source of the weights.
struct File<'a> {
    weights: &'a Weights,
    path: &'a Path,
}

impl File<'_> {
    /// Builds a sequence with its weights, and returns its number of output channels.
    fn sequence(&self, parts: Vec<Part>, inputs: usize) -> Result<(Vec<Built>, usize), WeightsError> {
        let mut channels = inputs;
        let built = parts.into_iter().map(|part| {
            let (part, outputs) = self.part(part, channels)?;
            channels = outputs;
            Ok(part)
        });
        Ok((built.collect::<Result<_, _>>()?, channels))
    }

    fn part(&self, part: Part, inputs: usize) -> Result<(Built, usize), WeightsError> {
        Ok(match part {
            Part::Conv { name, outputs, kernel, conv } => {
                let tensors = tensors_of(&name, outputs, inputs, kernel);
                let tensors =
                    tensors.iter().map(|(name, axes)| self.tensor(name, axes)).collect::<Result<Vec<_>, _>>()?;
                (Built::Conv(folded(&tensors, conv)), outputs)
            }
            Part::MaxPool(pool) => (Built::MaxPool(pool), inputs),
            Part::AveragePool(pool) => (Built::AveragePool(pool), inputs),
            Part::Tap => (Built::Tap, inputs),
            Part::Branches(branches) => {
                let branches = branches.into_iter().map(|branch| self.sequence(branch, inputs));
                let (branches, outputs): (Vec<_>, Vec<_>) =
                    branches.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
                (Built::Branches(branches), outputs.iter().sum())
            }
        })
    }

    fn tensor(&self, name: &str, axes: &[usize]) -> Result<Tensor, WeightsError> {
        self.weights.require(self.path, name, Shape::of(axes).expect("tensors have one, two or four axes"))
    }
}

/// Folds batch normalisation into a convolution: w g / sqrt(v + eps), and b - m g / sqrt(v + eps).
fn folded(tensors: &[Tensor], conv: mergan_tensor::Conv2d) -> FrozenConv2d {
    // The computation is in f64, so that the folded weights are rounded only once.
    let device = tensors[0].device();
    let wide: Vec<Tensor> = tensors.iter().map(|tensor| tensor.to_device(Device::Reference)).collect();
    let [weight, scale, shift, mean, variance] = wide.as_slice() else { unreachable!("the tensors of a layer") };
    let [scale, bias] = fold_statistics([scale, shift], [mean, variance], EPSILON);
    // Output channels are the first axis of the kernel.
    let weight = weight * scale.reshape([scale.shape().len(), 1, 1, 1]);
    FrozenConv2d::new(&weight.to_device(device), &bias.to_device(device), conv, 0.0)
}
