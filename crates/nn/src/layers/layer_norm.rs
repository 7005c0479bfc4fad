//! Layer normalisation (Ba et al., 2016).

use mergan_tensor::Tensor;

use super::{EPSILON, LINEAR, require_channels};
use crate::init::Init;
use crate::network::{Layer, Network, Parameter};
use crate::scope::Scope;

/// Normalisation of each image or row by the mean and the variance of its own numbers, and a scale and a shift for each
/// channel. So no image depends on those beside it, as a critic under a gradient penalty needs.
///
/// Of rows it is PyTorch's `LayerNorm(channels)`. Of images it is PyTorch's `GroupNorm(1, channels)`, whose parameters have the
/// same names and shapes; PyTorch's `LayerNorm` has a scale and a shift for every pixel.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    /// The scale, `[channels]`.
    pub weight: Parameter,
    /// The shift, `[channels]`.
    pub bias: Parameter,
    /// Added to variances before their root is divided by: 1e-5, as PyTorch's.
    pub epsilon: f64,
}

impl LayerNorm {
    /// A layer that only normalises as yet: the scale is 1, the shift 0.
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
    /// Images `[n, channels, h, w]` or rows `[n, channels]`, which keep their shape.
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        require_channels(&self.weight, self.weight.value.shape()[0], x);
        x.layer_norm_leaky_relu(&self.weight.value, &self.bias.value, self.epsilon, LINEAR)
    }
}
