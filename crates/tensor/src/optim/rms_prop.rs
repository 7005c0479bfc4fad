//! RMSprop (Tieleman and Hinton, 2012), with the formulas of PyTorch's `RMSprop`.

use super::{Optimizer, decayed, update_all};
use crate::tensor::Tensor;

/// The settings of [`RmsProp`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsPropOptions {
    /// The decay rate of the running mean of squared gradients.
    pub alpha: f64,
    /// The number added to the root of the mean square, for numerical stability.
    pub epsilon: f64,
    /// The momentum: the fraction of the previous velocity that is kept; 0 for none.
    pub momentum: f64,
    /// Whether gradients are divided by their standard deviation instead of their root mean square (Graves, 2013).
    pub centered: bool,
    /// The weight decay: the parameter times this factor is added to its gradient.
    pub weight_decay: f64,
}

impl Default for RmsPropOptions {
    /// Returns PyTorch's defaults: alpha 0.99, epsilon 1e-8, and no momentum, centring or weight decay.
    fn default() -> Self {
        RmsPropOptions { alpha: 0.99, epsilon: 1e-8, momentum: 0.0, centered: false, weight_decay: 0.0 }
    }
}

/// RMSprop. For a parameter p with gradient g, weight decay d, momentum m and learning rate r:
///
/// ```text
/// g = g + d p
/// s = alpha s + (1 - alpha) g^2
/// a = alpha a + (1 - alpha) g                      where it is centred; else a is 0
/// v = m v + g / (sqrt(s - a^2) + epsilon)          s, a and v are 0 before the first step
/// p = p - r v
/// ```
#[derive(Clone, Debug, Default)]
pub struct RmsProp {
    options: RmsPropOptions,
    averages: Vec<Averages>,
}

/// The state of [`RmsProp`] for one parameter. The tensors have the parameter's shape.
#[derive(Clone, Debug)]
pub struct Averages {
    /// The running mean of squared gradients.
    pub square: Tensor,
    /// The running mean of gradients; zeros unless the optimiser is centred.
    pub mean: Tensor,
    /// The last step before multiplication by the learning rate.
    pub velocity: Tensor,
}

impl RmsProp {
    /// Creates an optimiser that has not taken any steps.
    pub fn new(options: RmsPropOptions) -> Self {
        RmsProp::resume(options, Vec::new())
    }

    /// Creates an optimiser that continues where another one stopped, from its averages.
    pub fn resume(options: RmsPropOptions, averages: Vec<Averages>) -> Self {
        RmsProp { options, averages }
    }

    /// Returns the averages, in the order of the parameters; empty before the first step.
    pub fn averages(&self) -> &[Averages] {
        &self.averages
    }
}

impl Optimizer for RmsProp {
    #[track_caller]
    fn step(&mut self, rate: f64, parameters: Vec<&mut Tensor>, gradients: &[Tensor]) {
        let RmsPropOptions { alpha, epsilon, momentum, centered, weight_decay } = self.options;
        // Clones share their numbers, so averages that stay zero take no memory of their own.
        let begin = |zeros: Tensor| Averages { square: zeros.clone(), mean: zeros.clone(), velocity: zeros };
        let update = |parameter: &Tensor, gradient: &Tensor, averages: &mut Averages| {
            let Averages { square, mean, velocity } = averages;
            let gradient = decayed(gradient, parameter, weight_decay);
            *square = &*square * alpha + gradient.square() * (1.0 - alpha);
            let variance = if centered {
                *mean = &*mean * alpha + &gradient * (1.0 - alpha);
                // If all gradients were equal the difference is 0, and rounding must not make it negative.
                (&*square - mean.square()).clamp(0.0, f64::INFINITY)
            } else {
                square.clone()
            };
            let step = gradient / (variance.sqrt() + epsilon);
            *velocity = if momentum == 0.0 { step } else { &*velocity * momentum + step };
            parameter - &*velocity * rate
        };
        update_all("RmsProp", parameters, gradients, &mut self.averages, begin, update);
    }
}
