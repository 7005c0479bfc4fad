//! RMSprop (Tieleman and Hinton, 2012), as PyTorch's `RMSprop` has it.

use super::{Optimizer, decayed, update_all};
use crate::tensor::Tensor;

/// The settings of [`RmsProp`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsPropOptions {
    /// Decay of the mean of the gradients' squares.
    pub alpha: f64,
    /// Added to the root of the latter.
    pub epsilon: f64,
    /// The share of the last velocity that the next one keeps; 0 for none.
    pub momentum: f64,
    /// Whether gradients are divided by their deviation, without their mean, in place of the root of their mean square
    /// (Graves, 2013).
    pub centered: bool,
    /// The factor of the parameter that is added to its gradient.
    pub weight_decay: f64,
}

impl Default for RmsPropOptions {
    /// PyTorch's settings: alpha 0.99, epsilon 1e-8, neither momentum nor centring nor weight decay.
    fn default() -> Self {
        RmsPropOptions { alpha: 0.99, epsilon: 1e-8, momentum: 0.0, centered: false, weight_decay: 0.0 }
    }
}

/// RMSprop. For a parameter p of gradient g, decay d, momentum m and rate r:
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

/// What [`RmsProp`] remembers of one parameter, of the parameter's shape.
#[derive(Clone, Debug)]
pub struct Averages {
    /// Mean of the gradients' squares.
    pub square: Tensor,
    /// Mean of the gradients; zeros unless the optimiser is centred.
    pub mean: Tensor,
    /// The last step, but for the rate.
    pub velocity: Tensor,
}

impl RmsProp {
    /// An optimiser that has taken no step.
    pub fn new(options: RmsPropOptions) -> Self {
        RmsProp::resume(options, Vec::new())
    }

    /// An optimiser that goes on where another one stood, whose averages these are.
    pub fn resume(options: RmsPropOptions, averages: Vec<Averages>) -> Self {
        RmsProp { options, averages }
    }

    /// The averages, in the order of the parameters; empty before the first step.
    pub fn averages(&self) -> &[Averages] {
        &self.averages
    }
}

impl Optimizer for RmsProp {
    #[track_caller]
    fn step(&mut self, rate: f64, parameters: Vec<&mut Tensor>, gradients: &[Tensor]) {
        let RmsPropOptions { alpha, epsilon, momentum, centered, weight_decay } = self.options;
        // Clones share their numbers, so what stays zero takes no memory of its own.
        let begin = |zeros: Tensor| Averages { square: zeros.clone(), mean: zeros.clone(), velocity: zeros };
        let update = |parameter: &Tensor, gradient: &Tensor, averages: &mut Averages| {
            let Averages { square, mean, velocity } = averages;
            let gradient = decayed(gradient, parameter, weight_decay);
            *square = &*square * alpha + gradient.square() * (1.0 - alpha);
            let variance = if centered {
                *mean = &*mean * alpha + &gradient * (1.0 - alpha);
                // Where all gradients were equal the difference is 0, which rounding must not carry below.
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
