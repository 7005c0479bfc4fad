//! Stochastic gradient descent with momentum, with the formulas of PyTorch's `SGD`.

use super::{Optimizer, decayed, update_all};
use crate::tensor::Tensor;

/// The settings of [`Sgd`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SgdOptions {
    /// The momentum: the fraction of the previous velocity that is kept; 0 for none.
    pub momentum: f64,
    /// Whether to use Nesterov momentum (Nesterov, 1983; in the form of Sutskever et al., 2013).
    pub nesterov: bool,
    /// The weight decay: the parameter times this factor is added to its gradient.
    pub weight_decay: f64,
}

/// Stochastic gradient descent. For a parameter p with gradient g, weight decay d, momentum m and learning rate r:
///
/// ```text
/// g = g + d p
/// v = m v + g            v is 0 before the first step
/// p = p - r v            or, with Nesterov's momentum, p = p - r (g + m v)
/// ```
///
/// The default is plain gradient descent.
#[derive(Clone, Debug, Default)]
pub struct Sgd {
    options: SgdOptions,
    velocities: Vec<Tensor>,
}

impl Sgd {
    /// Creates an optimiser that has not taken any steps.
    ///
    /// # Panics
    /// Panics if Nesterov momentum is requested and `momentum` is not above 0.
    #[track_caller]
    pub fn new(options: SgdOptions) -> Self {
        Sgd::resume(options, Vec::new())
    }

    /// Creates an optimiser that continues where another one stopped, from its velocities.
    ///
    /// # Panics
    /// Panics as [`Sgd::new`] does.
    #[track_caller]
    pub fn resume(options: SgdOptions, velocities: Vec<Tensor>) -> Self {
        let SgdOptions { momentum, nesterov, .. } = options;
        assert!(!nesterov || momentum > 0.0, "Nesterov's momentum needs a momentum above 0, not {momentum}");
        Sgd { options, velocities }
    }

    /// Returns the velocities, in the order of the parameters; empty before the first step.
    pub fn velocities(&self) -> &[Tensor] {
        &self.velocities
    }
}

impl Optimizer for Sgd {
    #[track_caller]
    fn step(&mut self, rate: f64, parameters: Vec<&mut Tensor>, gradients: &[Tensor]) {
        let SgdOptions { momentum, nesterov, weight_decay } = self.options;
        let update = |parameter: &Tensor, gradient: &Tensor, velocity: &mut Tensor| {
            let gradient = decayed(gradient, parameter, weight_decay);
            *velocity = if momentum == 0.0 { gradient.clone() } else { &*velocity * momentum + &gradient };
            let direction = if nesterov { gradient + &*velocity * momentum } else { velocity.clone() };
            parameter - direction * rate
        };
        update_all("Sgd", parameters, gradients, &mut self.velocities, |zeros| zeros, update);
    }
}
