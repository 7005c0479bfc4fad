//! The layers, one file each. Their parameters have PyTorch's names, shapes and first values.

mod batch_norm;
mod conv2d;
mod dropout;
mod embedding;
mod layer_norm;
mod linear;
mod spectral_norm;
#[cfg(test)]
mod tests;

pub use batch_norm::{BatchNorm2d, ConditionalBatchNorm2d, RunningStatistics};
pub use conv2d::{Conv2d, ConvTranspose2d};
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use spectral_norm::{SpectralNorm, Weighted};

use mergan_tensor::Tensor;

use crate::network::Parameter;

/// The slope of a layer without rectifier.
const LINEAR: f64 = 1.0;
/// What the normalisations add to variances before their root is divided by.
const EPSILON: f64 = 1e-5;

/// Refuses a tensor whose channels are not as many as the layer with this parameter takes.
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

/// A weight and, perhaps, a bias, as a list of parameters.
fn listed(weight: &Parameter, bias: &Option<Parameter>) -> Vec<Parameter> {
    [weight].into_iter().chain(bias).cloned().collect()
}

fn listed_mut<'p>(weight: &'p mut Parameter, bias: &'p mut Option<Parameter>) -> Vec<&'p mut Parameter> {
    [weight].into_iter().chain(bias).collect()
}
