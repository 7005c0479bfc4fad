//! The layers, one file each. Their parameters have PyTorch's names, shapes and initial values.

mod batch_norm;
mod conv2d;
mod dropout;
mod embedding;
mod layer_norm;
mod linear;
mod spectral_norm;
#[cfg(test)]
mod tests;

pub use batch_norm::{BatchNorm2d, ConditionalBatchNorm2d, RunningStatistics, fold_statistics};
pub use conv2d::{Conv2d, ConvTranspose2d};
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use spectral_norm::{SpectralNorm, Weighted};

use mergan_tensor::Tensor;

use crate::network::Parameter;

/// The slope of a leaky ReLU that changes nothing, for layers without activation.
const LINEAR: f64 = 1.0;
/// The number that normalisation layers add to a variance before its square root.
const EPSILON: f64 = 1e-5;

/// Panics if `x` is not a batch of images or rows with the number of channels that the layer with this parameter takes.
#[track_caller]
fn require_channels(parameter: &Parameter, channels: usize, x: &Tensor) {
    let shape = x.shape();
    let found = shape.axes().get(1);
    assert!(
        matches!(shape.rank(), 2 | 4) && found == Some(&channels),
        "the layer of `{}` takes images [n, {channels}, h, w] or rows [n, {channels}], not a tensor of shape {shape:?}",
        parameter.name
    );
}

/// Lists a weight and an optional bias as parameters.
fn listed(weight: &Parameter, bias: &Option<Parameter>) -> Vec<Parameter> {
    [weight].into_iter().chain(bias).cloned().collect()
}

fn listed_mut<'p>(weight: &'p mut Parameter, bias: &'p mut Option<Parameter>) -> Vec<&'p mut Parameter> {
    [weight].into_iter().chain(bias).collect()
}
