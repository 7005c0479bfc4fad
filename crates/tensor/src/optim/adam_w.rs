//! Adam with decoupled weight decay (Loshchilov and Hutter, 2019).

use super::Optimizer;
use crate::adam::{Adam, AdamOptions};
use crate::autograd::no_grad;
use crate::tensor::Tensor;

/// Adam that also shrinks every parameter, by `rate * weight_decay` of it before each step, as PyTorch's `AdamW` does.
///
/// The decay does not pass through Adam's means, so all parameters shrink alike, however large their gradients are.
#[derive(Clone, Debug)]
pub struct AdamW {
    /// The optimiser that takes the steps, with what it remembers.
    pub adam: Adam,
    /// The share of a parameter that is taken from it at rate 1.
    pub weight_decay: f64,
}

impl AdamW {
    /// An optimiser that has taken no step.
    pub fn new(options: AdamOptions, weight_decay: f64) -> Self {
        AdamW { adam: Adam::new(options), weight_decay }
    }
}

impl Default for AdamW {
    /// PyTorch's settings: those of [`AdamOptions::default`], and a weight decay of 0.01.
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
