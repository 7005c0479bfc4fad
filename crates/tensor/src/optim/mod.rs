//! Optimisers: rules by which parameters follow their gradients.
//!
//! [`Adam`] has kernels of its own (`adam/`). The others are made of tensor operations, so every device has them. In a recorded
//! graph ([`cuda::Graph`](crate::cuda::Graph)) their numbers are those of the recording; only Adam's are inputs of a launch.

mod adam_w;
mod clip;
mod rms_prop;
mod sgd;
#[cfg(test)]
mod tests;

pub use adam_w::AdamW;
pub use clip::{clip_grad_norm, clip_grad_value};
pub use rms_prop::{Averages, RmsProp, RmsPropOptions};
pub use sgd::{Sgd, SgdOptions};

use crate::adam::Adam;
use crate::autograd::no_grad;
use crate::tensor::Tensor;

/// A rule by which parameters follow their gradients.
///
/// ```
/// use mergan_tensor::{Device, Optimizer, Sgd, Tensor};
///
/// let mut x = Tensor::full(1.0, [3], Device::Cpu).variable();
/// let mut sgd = Sgd::default();
/// let gradients = x.square().sum().gradients(&[&x]);
/// sgd.step(0.25, vec![&mut x], &gradients);
/// assert_eq!(x.to_vec::<f32>(), [0.5; 3]);
/// ```
pub trait Optimizer {
    /// Moves every parameter against its gradient, at this learning rate. The parameters become new variables.
    ///
    /// The rate is given anew at every step, so a schedule is whatever the caller computes. What the optimiser remembers of
    /// a parameter it finds again by the parameter's place, so parameters must come in the same order at every step.
    ///
    /// # Panics
    /// When the parameters, their order or their shapes differ from those of the steps before, or from the gradients.
    fn step(&mut self, rate: f64, parameters: Vec<&mut Tensor>, gradients: &[Tensor]);
}

impl Optimizer for Adam {
    #[track_caller]
    fn step(&mut self, rate: f64, parameters: Vec<&mut Tensor>, gradients: &[Tensor]) {
        Adam::step(self, rate, parameters, gradients);
    }
}

/// Replaces every parameter by what `update` makes of it, its gradient and what `states` holds of it, and makes it a
/// variable. A first step begins the states by `begin`, which is given a tensor of zeros like the parameter.
#[track_caller]
fn update_all<S>(
    optimizer: &str,
    parameters: Vec<&mut Tensor>,
    gradients: &[Tensor],
    states: &mut Vec<S>,
    begin: impl Fn(Tensor) -> S,
    update: impl Fn(&Tensor, &Tensor, &mut S) -> Tensor,
) {
    assert_eq!(parameters.len(), gradients.len(), "{optimizer} needs one gradient for every parameter");
    if states.is_empty() {
        let zeros = |parameter: &&mut Tensor| begin(Tensor::zeros(parameter.shape(), parameter.device()));
        states.extend(parameters.iter().map(zeros));
    }
    assert_eq!(parameters.len(), states.len(), "{optimizer} was begun with another number of parameters");
    for ((parameter, gradient), state) in parameters.into_iter().zip(gradients).zip(states) {
        let [shape, of_gradient] = [parameter.shape(), gradient.shape()];
        assert_eq!(shape, of_gradient, "{optimizer}: a parameter and its gradient have different shapes");
        *parameter = no_grad(|| update(&parameter.detach(), &gradient.detach(), state)).variable();
    }
}

/// A gradient with that of `decay / 2` times the sum of the parameter's squares added: weight decay as an L2 penalty.
fn decayed(gradient: &Tensor, parameter: &Tensor, decay: f64) -> Tensor {
    if decay == 0.0 { gradient.clone() } else { gradient + parameter * decay }
}
