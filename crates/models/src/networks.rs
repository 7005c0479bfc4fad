//! A generator and a critic behind one face, whichever of the two architectures they have.

use mergan_tensor::{Device, Random, Shape, Tensor};

use crate::layers::{Conditions, Initialiser, Linear, Norm};
use crate::parameters::{Network, Parameter, Rows};
use crate::standing::Standing;
use crate::weights::Weights;
use crate::{digits, resnet};

/// The layers between latents, images and verdicts; each makes images of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// A three-layer DCGAN with conditional batch norm, 32x32 (MNIST, SVHN; the released code's `gan32_model.py`).
    #[default]
    Digit,
    /// Residual networks, 64x64 (LSUN; `GoodGenerator` and `GoodDiscriminator` of the released code's `gan64_model.py`).
    Resnet,
}

impl Architecture {
    /// Pixels on a side of the images.
    pub fn side(self) -> usize {
        match self {
            Architecture::Digit => 32,
            Architecture::Resnet => 64,
        }
    }

    /// The architecture that makes images of this side.
    pub fn of_side(side: usize) -> Option<Self> {
        [Architecture::Digit, Architecture::Resnet].into_iter().find(|architecture| architecture.side() == side)
    }

    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Architecture::Digit => "digit",
            Architecture::Resnet => "resnet",
        }
    }
}

/// Sizes of a generator and its critic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelConfig {
    /// The layers.
    pub architecture: Architecture,
    /// Channels at full resolution; in the paper 32 of the digit networks and 64 of the residual ones.
    pub width: usize,
    /// Channels of the images: 1 for MNIST, 3 for SVHN and LSUN.
    pub channels: usize,
    /// Rows of the class tables.
    pub classes: usize,
    /// Numbers of a latent vector; 128 in the paper.
    pub latent: usize,
}

impl Default for ModelConfig {
    /// The paper's networks for MNIST.
    fn default() -> Self {
        ModelConfig { architecture: Architecture::Digit, width: 32, channels: 1, classes: 10, latent: 128 }
    }
}

impl ModelConfig {
    /// Channels, height and width of the images.
    pub fn image_shape(&self) -> [usize; 3] {
        let side = self.architecture.side();
        [self.channels, side, side]
    }

    /// The sizes of a generator, read off its tensors; `None` where they are of none or do not fit together. The largest
    /// tensors must agree, so that a network of these sizes takes no more memory than the file did.
    pub fn of(weights: &Weights) -> Option<Self> {
        digits::sizes(weights).or_else(|| resnet::sizes(weights))
    }
}

/// Pixels on a side of the smallest feature maps.
pub(crate) const BASE: usize = 4;
const GENERATOR_STREAM: u16 = 0x100;
const CRITIC_STREAM: u16 = 0x101;

/// G(z, c): latents N x latent and classes to images `[n, channels, side, side]` in (-1, 1).
#[derive(Clone, Debug)]
pub struct Generator {
    layers: GeneratorLayers,
}

#[derive(Clone, Debug)]
enum GeneratorLayers {
    Digit(Box<digits::Generator>),
    Resnet(Box<resnet::Generator>),
}

impl Generator {
    /// A generator with fresh weights, frozen.
    pub fn new(config: ModelConfig, random: Random, device: Device) -> Self {
        let init = &mut Initialiser::new(random, GENERATOR_STREAM, device);
        let layers = match config.architecture {
            Architecture::Digit => GeneratorLayers::Digit(Box::new(digits::Generator::new(init, config))),
            Architecture::Resnet => GeneratorLayers::Resnet(Box::new(resnet::Generator::new(init, config))),
        };
        Generator { layers }
    }

    /// The sizes, read off the parameters.
    pub fn config(&self) -> ModelConfig {
        match &self.layers {
            GeneratorLayers::Digit(layers) => layers.config(),
            GeneratorLayers::Resnet(layers) => layers.config(),
        }
    }

    /// A frozen copy in which the `new` classes start from the mean of the class parameters of the `learned` ones, which
    /// is nearer to any class of the same kind of images than fresh parameters are.
    ///
    /// # Panics
    /// When a class is out of range, or `learned` is empty.
    pub fn start_at_mean(&self, new: &[usize], learned: &[usize]) -> Generator {
        let mut generator = self.frozen();
        let parameters = generator.parameters_mut().into_iter();
        for Parameter { value: table, .. } in parameters.filter(|parameter| parameter.rows == Rows::PerClass) {
            let Shape { n: classes, c, .. } = table.shape();
            let mean = table.select_rows(learned).mean_to(Shape::vector(c));
            let change = &mean.broadcast_to(Shape::matrix(new.len(), c)) - &table.select_rows(new);
            *table = &*table + &change.add_rows(new, classes);
        }
        generator
    }

    /// The images of these latents (N x latent) under these classes, normalised by the statistics of their groups.
    ///
    /// # Panics
    /// When the conditions do not divide N evenly, or name a class that the tables do not have.
    pub fn forward(&self, latents: &Tensor, conditions: &Conditions) -> Tensor {
        self.through(latents, conditions, |_, norm, maps| norm.forward_relu(maps, conditions))
    }

    /// As [`Generator::forward`], normalised by standing statistics: an image does not depend on those
    /// beside it, but for rounding.
    pub fn forward_standing(&self, latents: &Tensor, conditions: &Conditions, standing: &Standing) -> Tensor {
        self.through(latents, conditions, |layer, norm, maps| {
            norm.forward_relu_standing(layer, maps, conditions, standing)
        })
    }

    /// The network with this in place of its normalisations and rectifiers, which are counted from 0.
    pub(crate) fn through(
        &self,
        latents: &Tensor,
        conditions: &Conditions,
        normalise: impl FnMut(usize, &Norm, &Tensor) -> Tensor,
    ) -> Tensor {
        match &self.layers {
            GeneratorLayers::Digit(layers) => layers.through(latents, normalise),
            GeneratorLayers::Resnet(layers) => layers.through(latents, conditions, normalise),
        }
    }
}

impl Network for Generator {
    fn parameters_mut(&mut self) -> Vec<Parameter<'_>> {
        match &mut self.layers {
            GeneratorLayers::Digit(layers) => layers.parameters_mut(),
            GeneratorLayers::Resnet(layers) => layers.parameters_mut(),
        }
    }
}

/// D and C: images to a critic score and class logits, sharing all layers but the last (paper section 2.1).
#[derive(Clone, Debug)]
pub struct Critic {
    trunk: Trunk,
    o: Linear,
    k: Linear,
}

/// The layers that both heads share.
#[derive(Clone, Debug)]
enum Trunk {
    Digit(Box<digits::Trunk>),
    Resnet(Box<resnet::Trunk>),
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
    pub fn new(config: ModelConfig, random: Random, device: Device) -> Self {
        let init = &mut Initialiser::new(random, CRITIC_STREAM, device);
        let (trunk, features) = match config.architecture {
            Architecture::Digit => (Trunk::Digit(Box::new(digits::Trunk::new(init, config))), 4 * config.width),
            Architecture::Resnet => (Trunk::Resnet(Box::new(resnet::Trunk::new(init, config))), 8 * config.width),
        };
        let inputs = features * BASE * BASE;
        Critic { trunk, o: Linear::new(init, inputs, 1), k: Linear::new(init, inputs, config.classes) }
    }

    /// The feature maps that both heads read, 4 x 4 pixels.
    pub fn features(&self, images: &Tensor) -> Tensor {
        match &self.trunk {
            Trunk::Digit(trunk) => trunk.forward(images),
            Trunk::Resnet(trunk) => trunk.forward(images),
        }
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
        let mut parameters = match &mut self.trunk {
            Trunk::Digit(trunk) => trunk.parameters_mut(),
            Trunk::Resnet(trunk) => trunk.parameters_mut(),
        };
        parameters.extend(self.o.parameters_mut("o"));
        parameters.extend(self.k.class_parameters_mut("k"));
        parameters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::Classifier;
    use mergan_tensor::Address;

    fn networks(config: ModelConfig) -> (Generator, Critic) {
        (Generator::new(config, Random::new(0), Device::Cpu), Critic::new(config, Random::new(0), Device::Cpu))
    }

    const DIGIT: ModelConfig =
        ModelConfig { architecture: Architecture::Digit, width: 4, channels: 1, classes: 10, latent: 16 };
    const RESNET: ModelConfig = ModelConfig { architecture: Architecture::Resnet, width: 2, channels: 3, ..DIGIT };

    #[test]
    fn parameter_counts_are_the_papers() {
        let lsun = ModelConfig { architecture: Architecture::Resnet, width: 64, channels: 3, ..ModelConfig::default() };
        for (config, generator_count, critic_count) in [
            (ModelConfig::default(), 525_569, 279_563),
            (ModelConfig { channels: 3, ..ModelConfig::default() }, 527_171, 281_163),
            (lsun, 8_622_403, 7_573_771),
        ] {
            let (generator, critic) = networks(config);
            assert_eq!((generator.parameter_count(), critic.parameter_count()), (generator_count, critic_count));
        }
    }

    #[test]
    fn parameters_know_whether_they_belong_to_classes() {
        fn assert_marked(mut three: impl Network, mut four: impl Network) {
            for (three, four) in three.parameters_mut().iter().zip(four.parameters_mut()) {
                let [three_rows, four_rows] = [three.lengths(), four.lengths()];
                let expected = if (three_rows[0], four_rows[0]) == (3, 4) { Rows::PerClass } else { Rows::Shared };
                assert_eq!((three.rows, four.rows), (expected, expected), "{}", three.name);
                assert_eq!(three_rows == four_rows, expected == Rows::Shared, "{}", three.name);
            }
        }
        for config in [DIGIT, RESNET] {
            let [three, four] = [3, 4].map(|classes| networks(ModelConfig { classes, ..config }));
            let [standing_three, standing_four] = [&three.0, &four.0].map(|generator| Standing::measure(generator, []));
            assert_marked(standing_three, standing_four);
            assert_marked(three.0, four.0);
            assert_marked(three.1, four.1);
            let [three, four] =
                [3, 4].map(|classes| Classifier::new(config.image_shape(), classes, Random::new(0), Device::Cpu));
            assert_marked(three, four);
        }
    }

    #[test]
    fn a_generator_and_its_file_know_their_sizes() {
        for config in [DIGIT, RESNET, ModelConfig { classes: 3, latent: 5, ..RESNET }] {
            let generator = networks(config).0;
            assert_eq!(generator.config(), config);
            let mut weights = Weights::default();
            weights.insert_network("", &generator);
            assert_eq!(ModelConfig::of(&weights), Some(config));
        }
    }

    #[test]
    fn sizes_that_do_not_fit_together_are_refused() {
        for (config, name) in [(DIGIT, "c3.weight"), (RESNET, "c.weight"), (RESNET, "r1.c1.weight")] {
            for axes in [[1_000_000_000_000, 1, 0, 0], [usize::MAX, 0, 5, 5], [8, 1, 5, 5], [4, 1, 2, 2], [0, 2, 3, 3]]
            {
                let numbers = vec![0.0_f32; axes.iter().fold(1, |product: usize, &axis| product.wrapping_mul(axis))];
                let mut weights = Weights::default();
                weights.insert_network("", &networks(config).0);
                weights.insert(name, &Tensor::from_vec(numbers, axes, Device::Cpu));
                assert_eq!(ModelConfig::of(&weights), None, "{name} of {axes:?}");
            }
        }
    }

    #[test]
    fn shapes_and_ranges() {
        for (config, side) in [(DIGIT, 32), (RESNET, 64)] {
            let (generator, critic) = networks(config);
            let latents = Random::new(1).normal(Address::default(), [6, 16, 1, 1], Device::Cpu);
            let images = generator.forward(&latents, &Conditions::pure(&[3, 0]));
            assert_eq!(images.shape(), [6, config.channels, side, side].into());
            assert!(images.to_vec::<f32>().iter().all(|pixel| pixel.abs() <= 1.0));
            let verdict = critic.forward(&images);
            assert_eq!(verdict.score.shape(), [6, 1, 1, 1].into());
            assert_eq!(verdict.logits.shape(), [6, 10, 1, 1].into());
            assert_eq!(verdict.score.to_vec::<f32>(), critic.score(&images).to_vec::<f32>());
            assert_eq!(Architecture::of_side(side), Some(config.architecture));
        }
    }

    #[test]
    fn new_classes_can_start_at_the_mean_of_the_learned_ones() {
        for (config, table) in [(DIGIT, "n2.b.weight"), (RESNET, "label.weight")] {
            let mut generator = networks(config).0;
            for parameter in generator.parameters_mut().into_iter().filter(|parameter| parameter.name == table) {
                *parameter.value = Random::new(3).normal(Address::default(), parameter.value.shape(), Device::Cpu);
            }
            let started = generator.start_at_mean(&[5], &[0, 2]);
            let row = |generator: &Generator, class: usize| {
                let mut generator = generator.clone();
                let found = generator.parameters_mut().into_iter().find(|parameter| parameter.name == table);
                found.expect("the class table").value.rows(class..class + 1).to_vec::<f32>()
            };
            for (i, value) in row(&started, 5).into_iter().enumerate() {
                let mean = (row(&generator, 0)[i] + row(&generator, 2)[i]) / 2.0;
                approx::assert_abs_diff_eq!(value, mean, epsilon = 1e-6);
            }
            assert_eq!(row(&started, 4), row(&generator, 4));
        }
    }

    #[test]
    fn a_network_with_more_classes_makes_what_the_smaller_one_made() {
        for config in [DIGIT, RESNET] {
            let (small, critic) = networks(config);
            let (large, large_critic) = networks(ModelConfig { classes: 12, ..config });
            let (large, large_critic) = (large.holding(&small), large_critic.holding(&critic));
            let latents = Random::new(1).normal(Address::default(), [4, 16, 1, 1], Device::Cpu);
            let [before, after] =
                [&small, &large].map(|generator| generator.forward(&latents, &Conditions::pure(&[9])));
            assert_eq!(before.to_vec::<f32>(), after.to_vec::<f32>());
            let [before, after] = [&critic, &large_critic].map(|critic| critic.forward(&before));
            assert_eq!(before.score.to_vec::<f32>(), after.score.to_vec::<f32>());
            let logits = after.logits.to_array::<f32>();
            assert_eq!(logits.slice(ndarray::s![.., ..10, .., ..]), before.logits.to_array::<f32>());
        }
    }

    #[test]
    fn a_group_does_not_see_its_neighbours() {
        for config in [DIGIT, RESNET] {
            let generator = networks(config).0.on(Device::Reference);
            let latents = Random::new(1).normal(Address::default(), [8, 16, 1, 1], Device::Reference);
            let both = generator.forward(&latents, &Conditions::pure(&[3, 5]));
            let alone = generator.forward(&latents.rows(4..8), &Conditions::pure(&[5]));
            for (a, b) in both.rows(4..8).to_vec::<f64>().iter().zip(alone.to_vec::<f64>()) {
                approx::assert_abs_diff_eq!(*a, b, epsilon = 1e-12);
            }
        }
    }

    #[test]
    fn classes_make_different_images() {
        for config in [DIGIT, RESNET] {
            // Fresh tables of conditional batch norm make all classes alike.
            let mut generator = networks(config).0;
            for parameter in generator.parameters_mut().into_iter().filter(|parameter| parameter.name == "n1.b.weight")
            {
                *parameter.value = Random::new(3).normal(Address::default(), parameter.value.shape(), Device::Cpu);
            }
            let latents = Random::new(1).normal(Address::default(), [4, 16, 1, 1], Device::Cpu);
            let [a, b] = [2, 6].map(|class| generator.forward(&latents, &Conditions::pure(&[class])).to_vec::<f32>());
            assert_ne!(a, b);
        }
    }
}
