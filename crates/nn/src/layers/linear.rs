//! Linear layers.

use mergan_tensor::Tensor;

use super::{LINEAR, Weighted, listed, listed_mut};
use crate::network::{Layer, Network, Parameter};
use crate::scope::Scope;

/// A linear layer: `y = x W^T + b`, like PyTorch's `Linear`.
///
/// ```
/// use mergan_nn::{Layer, Linear, Scope};
/// use mergan_tensor::{Device, Random, Tensor};
///
/// let layer = Linear::new(&Scope::new(Random::new(0), Device::Cpu), 8, 4);
/// assert_eq!(layer.forward(&Tensor::zeros([16, 8], Device::Cpu)).shape(), [16, 4]);
/// ```
#[derive(Clone, Debug)]
pub struct Linear {
    /// The weight, `[outputs, inputs]`.
    pub weight: Parameter,
    /// The bias, `[outputs]`, if there is one.
    pub bias: Option<Parameter>,
}

impl Linear {
    /// Creates a layer with new weights from the scope.
    pub fn new(at: &Scope, inputs: usize, outputs: usize) -> Self {
        let weight = at.weight([outputs, inputs]);
        let bias = at.bias(outputs, weight.value.shape());
        Linear { weight, bias: Some(bias) }
    }

    /// Removes the bias.
    pub fn without_bias(self) -> Self {
        Linear { bias: None, ..self }
    }
}

impl Network for Linear {
    fn parameters(&self) -> Vec<Parameter> {
        listed(&self.weight, &self.bias)
    }

    fn parameters_mut(&mut self) -> Vec<&mut Parameter> {
        listed_mut(&mut self.weight, &mut self.bias)
    }
}

impl Layer for Linear {
    /// Maps a tensor `[.., inputs]` to `[.., outputs]`: the layer is applied along the last axis.
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let [outputs, inputs] = self.weight.value.shape().dims();
        let shape = x.shape();
        assert!(
            shape.axes().last() == Some(&inputs),
            "the layer of `{}` takes rows of {inputs} numbers, not a tensor of shape {shape:?}",
            self.weight.name
        );
        let rows = x.reshape([shape.len() / inputs.max(1), inputs]);
        let rows = match &self.bias {
            Some(bias) => rows.linear_leaky_relu(&self.weight.value, &bias.value, LINEAR),
            None => rows.linear(&self.weight.value),
        };
        rows.reshape(shape.with(shape.rank() - 1, outputs))
    }
}

impl Weighted for Linear {
    fn weight(&self) -> &Parameter {
        &self.weight
    }

    fn weight_mut(&mut self) -> &mut Parameter {
        &mut self.weight
    }
}
