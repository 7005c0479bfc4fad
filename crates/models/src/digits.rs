//! The networks for 32x32 images: a three-layer DCGAN with conditional batch norm (MNIST, SVHN; the released code's
//! `gan32_model.py`).

use mergan_tensor::{Shape, Tensor};

use crate::layers::{Double, Halve, Initialiser, Linear, Norm};
use crate::networks::{Architecture, BASE, ModelConfig};
use crate::parameters::Parameter;
use crate::weights::Weights;

/// Slope of the critic's leaky rectifiers.
const SLOPE: f64 = 0.2;

/// The layers of [`Generator`](crate::Generator).
#[derive(Clone, Debug)]
pub(crate) struct Generator {
    fc: Linear,
    n1: Norm,
    c1: Double,
    n2: Norm,
    c2: Double,
    n3: Norm,
    c3: Double,
}

impl Generator {
    pub(crate) fn new(init: &mut Initialiser, config: ModelConfig) -> Self {
        let ModelConfig { width, channels, classes, latent, .. } = config;
        Generator {
            fc: Linear::new(init, latent, 4 * width * BASE * BASE),
            n1: Norm::conditional(init, classes, 4 * width),
            c1: Double::new(init, 4 * width, 2 * width),
            n2: Norm::conditional(init, classes, 2 * width),
            c2: Double::new(init, 2 * width, width),
            n3: Norm::conditional(init, classes, width),
            c3: Double::new(init, width, channels),
        }
    }

    pub(crate) fn config(&self) -> ModelConfig {
        let Shape { n: width, c: channels, .. } = self.c3.weight.shape();
        let (classes, latent) = (self.n1.scale.shape().n, self.fc.weight.shape().c);
        ModelConfig { architecture: Architecture::Digit, width, channels, classes, latent }
    }

    pub(crate) fn through(
        &self,
        latents: &Tensor,
        mut normalise: impl FnMut(usize, &Norm, &Tensor) -> Tensor,
    ) -> Tensor {
        let maps = self.fc.forward(latents).unflatten(4 * self.config().width, BASE, BASE);
        let maps = self.c1.forward(&normalise(0, &self.n1, &maps));
        let maps = self.c2.forward(&normalise(1, &self.n2, &maps));
        self.c3.forward(&normalise(2, &self.n3, &maps)).tanh()
    }

    pub(crate) fn parameters_mut(&mut self) -> Vec<Parameter<'_>> {
        let parts: [Vec<Parameter>; 7] = [
            self.fc.parameters_mut("fc").into(),
            self.n1.parameters_mut("n1").into(),
            self.c1.parameters_mut("c1").into(),
            self.n2.parameters_mut("n2").into(),
            self.c2.parameters_mut("c2").into(),
            self.n3.parameters_mut("n3").into(),
            self.c3.parameters_mut("c3").into(),
        ];
        parts.into_iter().flatten().collect()
    }
}

/// See [`ModelConfig::of`].
pub(crate) fn sizes(weights: &Weights) -> Option<ModelConfig> {
    let axes = |name| weights.axes(name).unwrap_or_default();
    match (axes("fc.weight"), axes("n1.g.weight"), axes("c1.weight"), axes("c3.weight")) {
        (&[rows, latent], &[classes, features], &[wide, half, 5, 5], &[width, channels, 5, 5])
            if ![latent, classes, width, channels].contains(&0)
                && [rows, features, wide, half].map(Some) == [64, 4, 4, 2].map(|times| width.checked_mul(times)) =>
        {
            Some(ModelConfig { architecture: Architecture::Digit, width, channels, classes, latent })
        }
        _ => None,
    }
}

/// The layers of [`Critic`](crate::Critic) that both heads share.
#[derive(Clone, Debug)]
pub(crate) struct Trunk {
    c1: Halve,
    c2: Halve,
    c3: Halve,
}

impl Trunk {
    pub(crate) fn new(init: &mut Initialiser, config: ModelConfig) -> Self {
        let ModelConfig { width, channels, .. } = config;
        Trunk {
            c1: Halve::new(init, channels, width),
            c2: Halve::new(init, width, 2 * width),
            c3: Halve::new(init, 2 * width, 4 * width),
        }
    }

    /// Images to maps `[n, 4 * width, 4, 4]`.
    pub(crate) fn forward(&self, images: &Tensor) -> Tensor {
        let maps = self.c1.forward(images, SLOPE);
        let maps = self.c2.forward(&maps, SLOPE);
        self.c3.forward(&maps, SLOPE)
    }

    pub(crate) fn parameters_mut(&mut self) -> Vec<Parameter<'_>> {
        let parts = [self.c1.parameters_mut("c1"), self.c2.parameters_mut("c2"), self.c3.parameters_mut("c3")];
        parts.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mergan_tensor::{Device, Random};

    #[test]
    fn initial_kernels_have_the_released_codes_deviation() {
        let init = &mut Initialiser::new(Random::new(0), 0, Device::Cpu);
        let generator = Generator::new(init, ModelConfig::default());
        let critic = Trunk::new(init, ModelConfig::default());
        let deviation = |weight: &Tensor| weight.square().mean().item().sqrt();
        // sigma = sqrt(4 / (fan_in + fan_out)), one of the fans divided by the squared stride.
        approx::assert_relative_eq!(
            deviation(&critic.c2.weight),
            (4.0f64 / (800.0 + 400.0)).sqrt(),
            max_relative = 0.02
        );
        approx::assert_relative_eq!(
            deviation(&generator.c1.weight),
            (4.0f64 / (800.0 + 1600.0)).sqrt(),
            max_relative = 0.02
        );
        approx::assert_relative_eq!(
            deviation(&generator.fc.weight),
            (2.0f64 / (128.0 + 2048.0)).sqrt(),
            max_relative = 0.02
        );
    }
}
