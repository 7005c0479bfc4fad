//! Initial values of parameters.

use mergan_tensor::{Address, Device, Random, Shape, Tensor};

/// The initial distribution of a parameter. The names follow PyTorch's `torch.nn.init`.
///
/// Some of the standard deviations depend on the parameter's [`Fans`], so that activations neither grow nor vanish from
/// layer to layer. The `gain` compensates for the activation that follows; see [`gain`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// The same number everywhere.
    Constant(f64),
    /// Uniform over `[low, high)`.
    Uniform {
        /// The lower bound, inclusive.
        low: f64,
        /// The upper bound, exclusive.
        high: f64,
    },
    /// A normal distribution.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        deviation: f64,
    },
    /// Uniform around 0 with the standard deviation `gain * sqrt(2 / (fan_in + fan_out))` (Glorot and Bengio, 2010,
    /// equation 16).
    XavierUniform {
        /// The factor.
        gain: f64,
    },
    /// Normal around 0 with the same standard deviation as [`Init::XavierUniform`].
    XavierNormal {
        /// The factor.
        gain: f64,
    },
    /// Uniform around 0 with the standard deviation `gain / sqrt(fan)` (He et al., 2015, equations 10 and 14).
    KaimingUniform {
        /// The factor.
        gain: f64,
        /// The fan to use.
        fan: Fan,
    },
    /// Normal around 0 with the same standard deviation as [`Init::KaimingUniform`].
    KaimingNormal {
        /// The factor.
        gain: f64,
        /// The fan to use.
        fan: Fan,
    },
    /// Uniform between `-1 / sqrt(fan_in)` and `1 / sqrt(fan_in)`, PyTorch's default for the weights and biases of
    /// linear layers and convolutions (LeCun et al., 1998, section 4.6, has the square root of 3 times that). A bias
    /// has the fans of its weight.
    FanIn,
}

/// Selects one of a weight's fans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fan {
    /// `fan_in`, which preserves the variance of activations in the forward pass.
    In,
    /// `fan_out`, which preserves the variance of gradients in the backward pass.
    Out,
}

/// The number of inputs that each output depends on, and the number of outputs that each input contributes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fans {
    /// `fan_in`.
    pub input: usize,
    /// `fan_out`.
    pub output: usize,
}

impl Fans {
    /// Returns the fans of a weight `[outputs, inputs]` or of kernels `[outputs, inputs, h, w]`, counted as in PyTorch.
    /// PyTorch does not treat the kernels of a transposed convolution, `[inputs, outputs, h, w]`, differently, so their
    /// fans are swapped.
    ///
    /// # Panics
    /// Panics if there are fewer than two axes.
    #[track_caller]
    pub fn of(weight: impl Into<Shape>) -> Self {
        let shape = weight.into();
        let [output, input, kernel @ ..] = shape.axes() else {
            panic!("a tensor of shape {shape:?} has no fans; it needs an axis of outputs and one of inputs")
        };
        let taps: usize = kernel.iter().product();
        Fans { input: input * taps, output: output * taps }
    }
}

/// Returns the gain for a leaky ReLU of this slope, `sqrt(2 / (1 + slope^2))` (He et al., 2015, equation 15): the
/// square root of 2 for a plain ReLU (slope 0), and 1 if no activation follows (slope 1). PyTorch uses 5/3 for tanh.
pub fn gain(slope: f64) -> f64 {
    (2.0 / (1.0 + slope * slope)).sqrt()
}

impl Init {
    /// Draws a tensor of this shape from the distribution. The shape also determines the fans.
    ///
    /// # Panics
    /// Panics if the distribution depends on the fans and the shape has fewer than two axes.
    #[track_caller]
    pub fn draw(self, random: Random, address: Address, shape: impl Into<Shape>, device: Device) -> Tensor {
        let shape = shape.into();
        match self {
            Init::Constant(number) => Tensor::full(number, shape, device),
            Init::Uniform { low, high } => random.uniform(address, shape, device) * (high - low) + low,
            Init::Normal { mean, deviation } => random.normal(address, shape, device) * deviation + mean,
            _ => self.with_fans(Fans::of(shape)).draw(random, address, shape, device),
        }
    }

    /// Returns the same distribution for a parameter with these fans, whatever its shape. A bias uses it to start like
    /// its weight.
    pub fn with_fans(self, Fans { input, output }: Fans) -> Self {
        let [input, output] = [input, output].map(|fan| fan as f64);
        let kaiming = |gain: f64, fan| match fan {
            Fan::In => gain / input.sqrt(),
            Fan::Out => gain / output.sqrt(),
        };
        let xavier = |gain: f64| gain * (2.0 / (input + output)).sqrt();
        match self {
            Init::Constant(_) | Init::Uniform { .. } | Init::Normal { .. } => self,
            Init::XavierUniform { gain } => Init::uniform_of(xavier(gain)),
            Init::XavierNormal { gain } => Init::Normal { mean: 0.0, deviation: xavier(gain) },
            Init::KaimingUniform { gain, fan } => Init::uniform_of(kaiming(gain, fan)),
            Init::KaimingNormal { gain, fan } => Init::Normal { mean: 0.0, deviation: kaiming(gain, fan) },
            Init::FanIn => Init::uniform_of((3.0 * input).sqrt().recip()),
        }
    }

    /// Returns the uniform distribution around 0 with this standard deviation, which is the bound divided by the square
    /// root of 3.
    fn uniform_of(deviation: f64) -> Self {
        let bound = 3f64.sqrt() * deviation;
        Init::Uniform { low: -bound, high: bound }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::{assert_abs_diff_eq, assert_relative_eq};

    const KERNELS: [usize; 4] = [64, 32, 5, 5];

    fn drawn(init: Init) -> Vec<f64> {
        init.draw(Random::new(3), Address::default(), KERNELS, Device::Reference).to_vec()
    }

    #[test]
    fn every_distribution_has_its_mean_and_deviation() {
        let (fan_in, fan_out) = (32.0 * 25.0f64, 64.0 * 25.0f64);
        let xavier = 0.5 * (2.0 / (fan_in + fan_out)).sqrt();
        for (init, mean, deviation) in [
            (Init::Constant(0.3), 0.3, 0.0),
            (Init::Uniform { low: -1.0, high: 3.0 }, 1.0, 4.0 / 12f64.sqrt()),
            (Init::Normal { mean: 2.0, deviation: 0.02 }, 2.0, 0.02),
            (Init::XavierUniform { gain: 0.5 }, 0.0, xavier),
            (Init::XavierNormal { gain: 0.5 }, 0.0, xavier),
            (Init::KaimingUniform { gain: gain(0.0), fan: Fan::In }, 0.0, (2.0 / fan_in).sqrt()),
            (Init::KaimingNormal { gain: gain(0.2), fan: Fan::Out }, 0.0, (2.0 / 1.04 / fan_out).sqrt()),
            (Init::FanIn, 0.0, 1.0 / (3.0 * fan_in).sqrt()),
        ] {
            let numbers = drawn(init);
            let count = numbers.len() as f64;
            let found = numbers.iter().sum::<f64>() / count;
            let variance = numbers.iter().map(|x| (x - found).powi(2)).sum::<f64>() / count;
            // The tolerance is five standard errors of the mean.
            assert_abs_diff_eq!(found, mean, epsilon = 5.0 * deviation / count.sqrt() + 1e-12);
            assert_relative_eq!(variance.sqrt(), deviation, max_relative = 0.02, epsilon = 1e-9);
        }
    }

    #[test]
    fn even_distributions_have_bounds() {
        let bound = 1.0 / 800f64.sqrt();
        let numbers = drawn(Init::FanIn);
        assert!(numbers.iter().all(|x| x.abs() <= bound) && numbers.iter().any(|x| x.abs() > 0.99 * bound));
        assert_eq!(Fans::of([10, 4]), Fans { input: 4, output: 10 });
    }

    #[test]
    #[should_panic(expected = "a tensor of shape [3] has no fans")]
    fn a_vector_has_no_fans() {
        Init::XavierNormal { gain: 1.0 }.draw(Random::new(0), Address::default(), [3], Device::Cpu);
    }
}
