//! Adam with decoupled weight decay (Loshchilov and Hutter, 2019).

use super::Optimizer;
use crate::adam::{Adam, AdamOptions};
use crate::autograd::no_grad;
use crate::tensor::Tensor;

/// Adam that also shrinks every parameter by the fraction `rate * weight_decay` before each step, like PyTorch's
/// `AdamW`.
///
/// The decay does not enter Adam's moments, so all parameters shrink by the same fraction, however large their
/// gradients are.
#[derive(Clone, Debug)]
pub struct AdamW {
    /// The optimiser that takes the steps, with its state.
    pub adam: Adam,
    /// The fraction that is subtracted from a parameter in each step, divided by the learning rate.
    pub weight_decay: f64,
}

impl AdamW {
    /// Creates an optimiser that has not taken any steps.
    pub fn new(options: AdamOptions, weight_decay: f64) -> Self {
        AdamW { adam: Adam::new(options), weight_decay }
    }
}

impl Default for AdamW {
    /// Returns PyTorch's defaults: those of [`AdamOptions::default`], and a weight decay of 0.01.
    fn default() -> Self {
        AdamW::new(AdamOptions::default(), 1e-2)
    }
}

impl Optimizer for AdamW {
    #[track_caller]
    fn step(&mut self, rate: f64, mut parameters: Vec<&mut Tensor>, gradients: &[Tensor]) {
        let kept = 1.0 - rate * self.weight_decay;
        no_grad(|| parameters.iter_mut().for_each(|parameter| **parameter = &**parameter * kept));
        self.adam.step(rate, parameters, gradients);
    }
}
