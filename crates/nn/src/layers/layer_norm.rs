//! Layer normalisation (Ba et al., 2016).

use mergan_tensor::Tensor;

use super::{EPSILON, LINEAR, require_channels};
use crate::init::Init;
use crate::network::{Layer, Network, Parameter};
use crate::scope::Scope;

/// Normalises each image or row by the mean and the variance of its own numbers, then applies a scale and a shift for
/// each channel. No image depends on the others in its batch, as a critic under a gradient penalty requires.
///
/// For rows it is PyTorch's `LayerNorm(channels)`. For images it is PyTorch's `GroupNorm(1, channels)`, whose
/// parameters have the same names and shapes; PyTorch's `LayerNorm` has a scale and a shift for every pixel.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    /// The scale, `[channels]`.
    pub weight: Parameter,
    /// The shift, `[channels]`.
    pub bias: Parameter,
    /// The number added to a variance before its square root: 1e-5, as in PyTorch.
    pub epsilon: f64,
}

impl LayerNorm {
    /// Creates a layer with scale 1 and shift 0.
    pub fn new(at: &Scope, channels: usize) -> Self {
        LayerNorm {
            weight: at.parameter("weight", [channels], Init::Constant(1.0)),
            bias: at.parameter("bias", [channels], Init::Constant(0.0)),
            epsilon: EPSILON,
        }
    }
}

impl Network for LayerNorm {
    fn parameters(&self) -> Vec<Parameter> {
        vec![self.weight.clone(), self.bias.clone()]
    }

    fn parameters_mut(&mut self) -> Vec<&mut Parameter> {
        vec![&mut self.weight, &mut self.bias]
    }
}

impl Layer for LayerNorm {
    /// Maps images `[n, channels, h, w]` or rows `[n, channels]` to the same shape.
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        require_channels(&self.weight, self.weight.value.shape()[0], x);
        x.layer_norm_leaky_relu(&self.weight.value, &self.bias.value, self.epsilon, LINEAR)
    }
}
