//! The networks for 32x32 images: a three-layer DCGAN with conditional batch norm (MNIST, SVHN; the released code's
//! `gan32_model.py`).

use mergan_tensor::{Device, Random, Shape, Tensor};

use crate::layers::{ConditionalBatchNorm, Conditions, Double, Halve, Initialiser, Linear};
use crate::parameters::{Network, Parameter};
use crate::standing::Standing;

/// Sizes of the digit networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigitConfig {
    /// Channels at full resolution; 32 in the paper. The layers below have two and four times as many.
    pub width: usize,
    /// Channels of the images: 1 for MNIST, 3 for SVHN.
    pub channels: usize,
    /// Rows of the class tables.
    pub classes: usize,
    /// Numbers of a latent vector; 128 in the paper.
    pub latent: usize,
}

impl Default for DigitConfig {
    /// The paper's networks for MNIST.
    fn default() -> Self {
        DigitConfig { width: 32, channels: 1, classes: 10, latent: 128 }
    }
}

/// Pixels on a side of the smallest feature maps.
const BASE: usize = 4;
/// Slope of the critic's leaky rectifiers.
const SLOPE: f64 = 0.2;
const GENERATOR_STREAM: u16 = 0x100;
const CRITIC_STREAM: u16 = 0x101;

/// G(z, c): latents N x 128 and classes to images `[n, channels, 32, 32]` in (-1, 1).
#[derive(Clone, Debug)]
pub struct Generator {
    fc: Linear,
    n1: ConditionalBatchNorm,
    c1: Double,
    n2: ConditionalBatchNorm,
    c2: Double,
    n3: ConditionalBatchNorm,
    c3: Double,
}

impl Generator {
    /// A generator with fresh weights, frozen.
    pub fn new(config: DigitConfig, random: Random, device: Device) -> Self {
        let DigitConfig { width, channels, classes, latent } = config;
        let init = &mut Initialiser::new(random, GENERATOR_STREAM, device);
        Generator {
            fc: Linear::new(init, latent, 4 * width * BASE * BASE),
            n1: ConditionalBatchNorm::new(init, classes, 4 * width),
            c1: Double::new(init, 4 * width, 2 * width),
            n2: ConditionalBatchNorm::new(init, classes, 2 * width),
            c2: Double::new(init, 2 * width, width),
            n3: ConditionalBatchNorm::new(init, classes, width),
            c3: Double::new(init, width, channels),
        }
    }

    /// The sizes, read off the parameters.
    pub fn config(&self) -> DigitConfig {
        let Shape { n: width, c: channels, .. } = self.c3.weight.shape();
        DigitConfig { width, channels, classes: self.n1.scale.shape().n, latent: self.fc.weight.shape().c }
    }

    /// A frozen copy in which the `new` classes start from the mean of the class parameters of the `learned` ones, which
    /// is nearer to any class of the same kind of images than fresh parameters are.
    ///
    /// # Panics
    /// When a class is out of range, or `learned` is empty.
    pub fn start_at_mean(&self, new: &[usize], learned: &[usize]) -> Generator {
        let mut generator = self.frozen();
        for norm in [&mut generator.n1, &mut generator.n2, &mut generator.n3] {
            norm.start_at_mean(new, learned);
        }
        generator
    }

    /// The images of these latents (N x latent) under these classes, normalised by the statistics of their groups.
    ///
    /// # Panics
    /// When the conditions do not divide N evenly, or name a class that the tables do not have.
    pub fn forward(&self, latents: &Tensor, conditions: &Conditions) -> Tensor {
        self.through(latents, |_, norm, maps| norm.forward_relu(maps, conditions))
    }

    /// As [`Generator::forward`], normalised by standing statistics: an image does not depend on those
    /// beside it, but for rounding.
    pub fn forward_standing(&self, latents: &Tensor, conditions: &Conditions, standing: &Standing) -> Tensor {
        self.through(latents, |layer, norm, maps| norm.forward_relu_standing(layer, maps, conditions, standing))
    }

    /// The network with this in place of its normalisations and rectifiers, which are counted from 0.
    pub(crate) fn through(
        &self,
        latents: &Tensor,
        mut normalise: impl FnMut(usize, &ConditionalBatchNorm, &Tensor) -> Tensor,
    ) -> Tensor {
        let maps = self.fc.forward(latents).unflatten(4 * self.config().width, BASE, BASE);
        let maps = self.c1.forward(&normalise(0, &self.n1, &maps));
        let maps = self.c2.forward(&normalise(1, &self.n2, &maps));
        self.c3.forward(&normalise(2, &self.n3, &maps)).tanh()
    }
}

impl Network for Generator {
    fn parameters_mut(&mut self) -> Vec<Parameter<'_>> {
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

/// D and C: images to a critic score and class logits, sharing all layers but the last (paper section 2.1).
#[derive(Clone, Debug)]
pub struct Critic {
    c1: Halve,
    c2: Halve,
    c3: Halve,
    o: Linear,
    k: Linear,
}

/// What a critic says of a batch.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// D(x): N x 1, large for images that look real.
    pub score: Tensor,
    /// C(x): N x classes logits.
    pub logits: Tensor,
}

impl Critic {
    /// A critic with fresh weights, frozen.
    pub fn new(config: DigitConfig, random: Random, device: Device) -> Self {
        let DigitConfig { width, channels, classes, .. } = config;
        let init = &mut Initialiser::new(random, CRITIC_STREAM, device);
        Critic {
            c1: Halve::new(init, channels, width),
            c2: Halve::new(init, width, 2 * width),
            c3: Halve::new(init, 2 * width, 4 * width),
            o: Linear::new(init, 4 * width * BASE * BASE, 1),
            k: Linear::new(init, 4 * width * BASE * BASE, classes),
        }
    }

    /// The feature maps `[n, 4 * width, 4, 4]` that both heads read.
    pub fn features(&self, images: &Tensor) -> Tensor {
        let maps = self.c1.forward(images, SLOPE);
        let maps = self.c2.forward(&maps, SLOPE);
        self.c3.forward(&maps, SLOPE)
    }

    /// Both heads.
    pub fn forward(&self, images: &Tensor) -> Verdict {
        let features = self.features(images);
        Verdict { score: self.o.forward_maps(&features), logits: self.k.forward_maps(&features) }
    }

    /// The critic head alone: N x 1. It is what the gradient penalty differentiates.
    pub fn score(&self, images: &Tensor) -> Tensor {
        self.o.forward_maps(&self.features(images))
    }
}

impl Network for Critic {
    fn parameters_mut(&mut self) -> Vec<Parameter<'_>> {
        let parts = [
            self.c1.parameters_mut("c1"),
            self.c2.parameters_mut("c2"),
            self.c3.parameters_mut("c3"),
            self.o.parameters_mut("o"),
            self.k.parameters_mut("k"),
        ];
        parts.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mergan_tensor::Address;

    fn networks(channels: usize) -> (Generator, Critic) {
        let config = DigitConfig { channels, ..DigitConfig::default() };
        (Generator::new(config, Random::new(0), Device::Cpu), Critic::new(config, Random::new(0), Device::Cpu))
    }

    #[test]
    fn parameter_counts_are_the_papers() {
        let (generator, critic) = networks(1);
        assert_eq!((generator.parameter_count(), critic.parameter_count()), (525_569, 279_563));
        let (generator, critic) = networks(3);
        assert_eq!((generator.parameter_count(), critic.parameter_count()), (527_171, 281_163));
    }

    #[test]
    fn a_generator_knows_its_sizes() {
        assert_eq!(networks(3).0.config(), DigitConfig { channels: 3, ..DigitConfig::default() });
    }

    #[test]
    fn shapes_and_ranges() {
        let (generator, critic) = networks(1);
        let latents = Random::new(1).normal(Address::default(), [6, 128, 1, 1], Device::Cpu);
        let images = generator.forward(&latents, &Conditions::pure(&[3, 0]));
        assert_eq!(images.shape(), [6, 1, 32, 32].into());
        assert!(images.to_vec::<f32>().iter().all(|pixel| pixel.abs() <= 1.0));
        let verdict = critic.forward(&images);
        assert_eq!(verdict.score.shape(), [6, 1, 1, 1].into());
        assert_eq!(verdict.logits.shape(), [6, 10, 1, 1].into());
        assert_eq!(verdict.score.to_vec::<f32>(), critic.score(&images).to_vec::<f32>());
    }

    #[test]
    fn new_classes_can_start_at_the_mean_of_the_learned_ones() {
        let mut generator = networks(1).0;
        generator.n2.shift = Random::new(3).normal(Address::default(), [10, 64, 1, 1], Device::Cpu);
        let started = generator.start_at_mean(&[5], &[0, 2]);
        let row = |generator: &Generator, class: usize| generator.n2.shift.rows(class..class + 1).to_vec::<f32>();
        for (i, value) in row(&started, 5).into_iter().enumerate() {
            let mean = (row(&generator, 0)[i] + row(&generator, 2)[i]) / 2.0;
            approx::assert_abs_diff_eq!(value, mean, epsilon = 1e-6);
        }
        assert_eq!(row(&started, 4), row(&generator, 4));
    }

    #[test]
    fn a_group_does_not_see_its_neighbours() {
        let (generator, _) = networks(1);
        let latents = Random::new(1).normal(Address::default(), [8, 128, 1, 1], Device::Reference);
        let generator = generator.on(Device::Reference);
        let both = generator.forward(&latents, &Conditions::pure(&[3, 5]));
        let alone = generator.forward(&latents.rows(4..8), &Conditions::pure(&[5]));
        for (a, b) in both.rows(4..8).to_vec::<f64>().iter().zip(alone.to_vec::<f64>()) {
            approx::assert_abs_diff_eq!(*a, b, epsilon = 1e-12);
        }
    }

    #[test]
    fn initial_kernels_have_the_released_codes_deviation() {
        let (generator, critic) = networks(1);
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
