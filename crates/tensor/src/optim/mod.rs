//! Optimisers, which update parameters from their gradients.
//!
//! [`Adam`] has its own kernels (`adam/`). The others are composed of tensor operations, so they run on every device.
//! In a recorded graph ([`cuda::Graph`](crate::cuda::Graph)) their rates stay those of the recording; only Adam's are
//! inputs of a launch.

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

/// A method that updates parameters from their gradients.
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
    /// Updates every parameter from its gradient, with this learning rate. The parameters become new variables.
    ///
    /// The rate is passed at every step, so the caller can follow any schedule. The optimiser identifies a parameter by
    /// its position, so parameters must come in the same order at every step.
    ///
    /// # Panics
    /// Panics if the number of parameters differs from that of previous steps, or if the number or the shapes of the
    /// gradients differ from those of the parameters.
    fn step(&mut self, rate: f64, parameters: Vec<&mut Tensor>, gradients: &[Tensor]);
}

impl Optimizer for Adam {
    #[track_caller]
    fn step(&mut self, rate: f64, parameters: Vec<&mut Tensor>, gradients: &[Tensor]) {
        Adam::step(self, rate, parameters, gradients);
    }
}

/// Replaces every parameter with the result of `update`, which takes the parameter, its gradient and its state, and
/// makes the result a variable. On the first step `begin` creates each state from a tensor of zeros of the parameter's
/// shape.
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

/// Adds the gradient of `decay / 2` times the sum of the parameter's squares: weight decay as an L2 penalty.
fn decayed(gradient: &Tensor, parameter: &Tensor, decay: f64) -> Tensor {
    if decay == 0.0 { gradient.clone() } else { gradient + parameter * decay }
}
