//! The generator and the critic, each with one interface for all architectures.

use std::path::Path;

use mergan_nn::{Network, Parameter, Rows, Weights, WeightsError};
use mergan_tensor::{Device, Random, Tensor};

use crate::adapters;
use crate::conditions::Conditions;
use crate::config::ModelConfig;
use crate::forward::Forward;
use crate::layers::CriticLayers;
use crate::norm::Norm;

const GENERATOR_STREAM: u16 = 0x100;
const CRITIC_STREAM: u16 = 0x101;

/// The generator G(z, c): maps latents N x latent and classes to images `[n, channels, side, side]` in (-1, 1).
#[derive(Clone, Debug)]
pub struct Generator {
    config: ModelConfig,
    /// The parameters of its layers.
    parameters: Vec<Parameter>,
    /// The tables of its adapters, or none.
    adapters: Vec<Parameter>,
}

impl Generator {
    /// Creates a generator with new weights. Its parameters are constants.
    pub fn new(config: ModelConfig, random: Random, device: Device) -> Self {
        let parameters = config.declare_generator().fresh(random, GENERATOR_STREAM, device);
        Generator { config, parameters, adapters: Vec::new() }
    }

    /// Loads a generator from a file, on the CPU and with constants as parameters. Its sizes are determined from the
    /// tensors. Use [`Weights`] to read the file's other contents, such as a [`Standing`](crate::Standing).
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or contains no generator, or if a parameter is missing or has
    /// another shape.
    pub fn load(path: &Path) -> Result<Self, WeightsError> {
        Generator::from_weights(path, &Weights::load(path, Device::Cpu)?)
    }

    /// Does the same as [`Generator::load`] for a file that has already been read. `path` names the file in errors.
    ///
    /// # Errors
    /// Returns an error if the weights contain no generator, or if a parameter is missing or has another shape.
    pub fn from_weights(path: &Path, weights: &Weights) -> Result<Self, WeightsError> {
        let mut refusal = None;
        for config in ModelConfig::candidates(weights) {
            match config.declare_generator().read(path, weights) {
                Ok(parameters) => {
                    let adapters = adapters::read(path, weights, &parameters, config.classes)?;
                    return Ok(Generator { config, parameters, adapters });
                }
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        Err(refusal.unwrap_or_else(|| WeightsError::Unsuitable {
            path: path.into(),
            reason: "holds no generator; give a generator.safetensors".into(),
        }))
    }

    /// Returns the sizes.
    pub fn config(&self) -> ModelConfig {
        self.config
    }

    /// Returns the parameters without those of the adapters.
    pub(crate) fn trunk_parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Returns the tables of the adapters, two for each kernel, or none.
    pub(crate) fn adapters(&self) -> &[Parameter] {
        &self.adapters
    }

    /// Replaces the adapters.
    pub(crate) fn and_adapters(self, adapters: Vec<Parameter>) -> Generator {
        Generator { adapters, ..self }
    }

    /// Returns a copy with constants as parameters, in which the class parameters of the `new` classes are the mean of
    /// those of the `learned` ones. The mean is closer to any class of the same kind of images than initial parameters
    /// are. Adapters stay as they are, because a mean of their factors is not the mean of their changes.
    ///
    /// # Panics
    /// Panics if a class is out of range or `learned` is empty.
    pub fn start_at_mean(&self, new: &[usize], learned: &[usize]) -> Generator {
        let mut generator = self.frozen();
        let parameters = generator.parameters.iter_mut();
        for Parameter { value: table, .. } in parameters.filter(|parameter| parameter.rows == Rows::PerClass) {
            let [classes, channels] = table.shape().dims();
            let mean = table.index_select(0, learned).mean_to([1, channels]);
            let change = mean - table.index_select(0, new);
            *table = &*table + change.index_add(0, new, classes);
        }
        generator
    }

    /// Generates images from these latents (N x latent) under these conditions, normalised by the statistics of each
    /// group.
    ///
    /// # Panics
    /// Panics if N is not a multiple of the number of labels in the conditions, or if they contain a class that the
    /// tables do not have.
    pub fn forward(&self, latents: &Tensor, conditions: &Conditions) -> Tensor {
        self.through(latents, conditions, |_, norm, maps| norm.relu(maps, conditions))
    }

    /// Applies the network with `normalise` in place of its normalisations and ReLUs, which are numbered from 0.
    pub(crate) fn through<'g>(
        &'g self,
        latents: &Tensor,
        conditions: &'g Conditions,
        normalise: impl FnMut(usize, Norm<'g>, &Tensor) -> Tensor,
    ) -> Tensor {
        let adapters = self.adapters.as_chunks().0;
        self.config.generator(&mut Forward::asked(&self.parameters, adapters, conditions, normalise), latents)
    }
}

impl Network for Generator {
    fn parameters(&self) -> Vec<Parameter> {
        [&self.parameters[..], &self.adapters].concat()
    }

    fn parameters_mut(&mut self) -> Vec<&mut Parameter> {
        self.parameters.iter_mut().chain(&mut self.adapters).collect()
    }
}

/// The critic D and the classifier C: map images to a critic score and class logits, and share all layers but the last
/// (paper section 2.1).
#[derive(Clone, Debug)]
pub struct Critic {
    config: ModelConfig,
    parameters: Vec<Parameter>,
}

/// The outputs of a critic for a batch.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// D(x): N x 1, larger for images that look more real.
    pub score: Tensor,
    /// C(x): the logits, N x classes.
    pub logits: Tensor,
}

impl Critic {
    /// Creates a critic with new weights. Its parameters are constants.
    pub fn new(config: ModelConfig, random: Random, device: Device) -> Self {
        Critic { config, parameters: config.declare_critic().fresh(random, CRITIC_STREAM, device) }
    }

    /// Returns the input of both heads: feature maps, whose size depends on the architecture.
    pub fn features(&self, images: &Tensor) -> Tensor {
        self.config.features(&mut Forward::new(&self.parameters), images)
    }

    /// Applies both heads.
    pub fn forward(&self, images: &Tensor) -> Verdict {
        let net = &mut Forward::new(&self.parameters);
        let features = self.config.features(net, images);
        Verdict { score: score(net, &features), logits: logits(net, &features, self.config.classes) }
    }

    /// Applies the critic head alone: N x 1. The gradient penalty differentiates this score.
    pub fn score(&self, images: &Tensor) -> Tensor {
        let net = &mut Forward::new(&self.parameters);
        let features = self.config.features(net, images);
        score(net, &features)
    }
}

/// Applies the critic head.
pub(crate) fn score<L: CriticLayers>(net: &mut L, features: &L::Value) -> L::Value {
    net.head(features, "o", 1, Rows::Shared)
}

/// Applies the class head, whose parameters follow those of the critic head.
pub(crate) fn logits<L: CriticLayers>(net: &mut L, features: &L::Value, classes: usize) -> L::Value {
    net.head(features, "k", classes, Rows::PerClass)
}

impl Network for Critic {
    fn parameters(&self) -> Vec<Parameter> {
        self.parameters.clone()
    }

    fn parameters_mut(&mut self) -> Vec<&mut Parameter> {
        self.parameters.iter_mut().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architectures::Architecture;
    use crate::classifier::Classifier;
    use crate::standing::Standing;
    use mergan_tensor::Address;

    fn networks(config: ModelConfig) -> (Generator, Critic) {
        (Generator::new(config, Random::new(0), Device::Cpu), Critic::new(config, Random::new(0), Device::Cpu))
    }

    /// Returns small networks of every architecture.
    fn every() -> impl Iterator<Item = ModelConfig> {
        let of = |&architecture| ModelConfig { architecture, width: 2, channels: 3, classes: 10, latent: 16 };
        Architecture::ALL.iter().map(of)
    }

    /// Returns a generator whose classes differ, because in new tables of conditional batch norm they are all the same.
    fn generator_of_different_classes(config: ModelConfig) -> Generator {
        let mut generator = networks(config).0;
        for parameter in generator.parameters_mut().iter_mut().filter(|parameter| parameter.rows == Rows::PerClass) {
            parameter.value = Random::new(3).normal(Address::default(), parameter.value.shape(), Device::Cpu);
        }
        generator
    }

    fn saved(generator: &Generator) -> Weights {
        let mut weights = Weights::default();
        weights.insert_network("", generator);
        weights
    }

    fn read(weights: &Weights) -> Result<Generator, WeightsError> {
        Generator::from_weights(Path::new("generator.safetensors"), weights)
    }

    #[test]
    fn parameter_counts_are_the_papers() {
        let lsun = ModelConfig { architecture: Architecture::Resnet, width: 64, channels: 3, ..ModelConfig::default() };
        // Those of WGAN-GP, without the biases that a batch norm cancels, and with a conditional last one.
        let cifar = ModelConfig { architecture: Architecture::Residual, width: 128, ..lsun };
        for (config, generator_count, critic_count) in [
            (ModelConfig::default(), 525_569, 279_563),
            (ModelConfig { channels: 3, ..ModelConfig::default() }, 527_171, 281_163),
            (lsun, 8_622_403, 7_573_771),
            (cifar, 1_220_227, 1_055_115),
        ] {
            let (generator, critic) = networks(config);
            assert_eq!((generator.parameter_count(), critic.parameter_count()), (generator_count, critic_count));
        }
    }

    #[test]
    fn names_and_axes_are_those_of_a_pytorch_state_dict() {
        let sizes = ModelConfig { width: 2, latent: 4, ..ModelConfig::default() };
        let weights = saved(&networks(sizes).0);
        let axes = |name: &str| weights.get(name).unwrap().shape().axes().to_vec();
        assert_eq!(axes("fc.weight"), [128, 4]);
        assert_eq!(axes("fc.bias"), [128]);
        assert_eq!(axes("n1.g.weight"), [10, 8]);
        assert_eq!(axes("c1.weight"), [8, 4, 5, 5]);
        assert_eq!(weights.names().count(), 14);
    }

    #[test]
    fn parameters_know_whether_they_belong_to_classes() {
        fn assert_marked(three: impl Network, four: impl Network) {
            for (three, four) in three.parameters().iter().zip(&four.parameters()) {
                let [three_rows, four_rows] = [three, four].map(|parameter| parameter.value.shape().axes().to_vec());
                let expected = if (three_rows[0], four_rows[0]) == (3, 4) { Rows::PerClass } else { Rows::Shared };
                assert_eq!((three.rows, four.rows), (expected, expected), "{}", three.name);
                assert_eq!(three_rows == four_rows, expected == Rows::Shared, "{}", three.name);
            }
        }
        for config in every() {
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
    fn a_file_gives_the_generator_that_was_saved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("generator.safetensors");
        for config in
            every().flat_map(|config| [config, ModelConfig { width: 3, channels: 1, classes: 4, latent: 5, ..config }])
        {
            let generator = networks(config).0;
            saved(&generator).save(&path).unwrap();
            let read = Generator::load(&path).unwrap();
            assert_eq!(read.config(), config);
            for (here, there) in generator.parameters().iter().zip(read.parameters()) {
                assert_eq!((&here.name, here.value.shape(), here.rows), (&there.name, there.value.shape(), there.rows));
                assert_eq!(here.value.to_vec::<f32>(), there.value.to_vec::<f32>(), "{}", here.name);
            }
        }
    }

    #[test]
    fn a_tensor_of_another_shape_is_refused() {
        for generator in every().map(|config| networks(config).0) {
            for name in generator.parameters().iter().map(|parameter| &parameter.name) {
                for axes in
                    [[1_000_000_000_000, 1, 0, 0], [usize::MAX, 0, 5, 5], [9, 1, 5, 5], [5, 1, 2, 2], [0, 2, 3, 3]]
                {
                    let numbers = axes.iter().fold(1, |product: usize, &axis| product.wrapping_mul(axis));
                    let mut weights = saved(&generator);
                    weights.insert(name, &Tensor::from_vec(vec![0.0_f32; numbers], axes, Device::Cpu));
                    let error = read(&weights).unwrap_err();
                    // Some sizes are determined by a single tensor, so a change of its shape may not give a shape
                    // error.
                    let refused = matches!(error, WeightsError::Shape { .. } | WeightsError::Unsuitable { .. });
                    assert!(refused, "{name} of {axes:?}: {error}");
                }
            }
        }
    }

    #[test]
    fn a_tensor_that_is_missing_is_named() {
        for generator in every().map(|config| networks(config).0) {
            for missing in generator.parameters() {
                let mut weights = Weights::default();
                for parameter in generator.parameters().iter().filter(|parameter| parameter.name != missing.name) {
                    weights.insert(&parameter.name, &parameter.value);
                }
                let error = read(&weights).unwrap_err().to_string();
                let expected = format!("generator.safetensors holds no tensor `{}`", missing.name);
                let only_place = error == "generator.safetensors holds no generator; give a generator.safetensors";
                assert!(error.starts_with(&expected) || only_place, "{error}");
            }
        }
        let error = read(&Weights::default()).unwrap_err();
        assert!(matches!(error, WeightsError::Unsuitable { .. }), "{error}");
    }

    #[test]
    fn shapes_and_ranges() {
        for config in every() {
            let (generator, critic) = networks(config);
            let latents = Random::new(1).normal(Address::default(), [6, 16], Device::Cpu);
            let images = generator.forward(&latents, &Conditions::pure(&[3, 0]));
            let side = config.architecture.side();
            assert_eq!(images.shape(), [6, config.channels, side, side]);
            assert!(images.to_vec::<f32>().iter().all(|pixel| pixel.abs() <= 1.0));
            let verdict = critic.forward(&images);
            assert_eq!(verdict.score.shape(), [6, 1]);
            assert_eq!(verdict.logits.shape(), [6, 10]);
            assert_eq!(verdict.score.to_vec::<f32>(), critic.score(&images).to_vec::<f32>());
        }
        let defaults = [32, 64, 100].map(|side| Architecture::of_side(side).next());
        assert_eq!(defaults, [Some(Architecture::Digit), Some(Architecture::Resnet), None]);
    }

    #[test]
    fn new_classes_can_start_at_the_mean_of_the_learned_ones() {
        for generator in every().map(generator_of_different_classes) {
            let started = generator.start_at_mean(&[5], &[0, 2]);
            for (before, after) in generator.parameters().iter().zip(&started.parameters()) {
                let row =
                    |parameter: &Parameter, class: usize| parameter.value.slice(0, class..class + 1).to_vec::<f32>();
                if before.rows == Rows::Shared {
                    assert_eq!(before.value.to_vec::<f32>(), after.value.to_vec::<f32>(), "{}", before.name);
                    continue;
                }
                for (i, value) in row(after, 5).into_iter().enumerate() {
                    let mean = (row(before, 0)[i] + row(before, 2)[i]) / 2.0;
                    approx::assert_abs_diff_eq!(value, mean, epsilon = 1e-6);
                }
                assert_eq!(row(after, 4), row(before, 4));
            }
        }
    }

    #[test]
    fn a_network_with_more_classes_makes_what_the_smaller_one_made() {
        for config in every() {
            let (small, critic) = networks(config);
            let (large, large_critic) = networks(ModelConfig { classes: 12, ..config });
            let (large, large_critic) = (large.holding(&small), large_critic.holding(&critic));
            let latents = Random::new(1).normal(Address::default(), [4, 16], Device::Cpu);
            let [before, after] =
                [&small, &large].map(|generator| generator.forward(&latents, &Conditions::pure(&[9])));
            assert_eq!(before.to_vec::<f32>(), after.to_vec::<f32>());
            let [before, after] = [&critic, &large_critic].map(|critic| critic.forward(&before));
            assert_eq!(before.score.to_vec::<f32>(), after.score.to_vec::<f32>());
            let logits = after.logits.slice(1, 0..10);
            assert_eq!(logits.to_vec::<f32>(), before.logits.to_vec::<f32>());
        }
    }

    #[test]
    fn a_group_does_not_see_its_neighbours() {
        for config in every() {
            let generator = networks(config).0.on(Device::Reference);
            let latents = Random::new(1).normal(Address::default(), [8, 16], Device::Reference);
            let both = generator.forward(&latents, &Conditions::pure(&[3, 5]));
            let alone = generator.forward(&latents.slice(0, 4..8), &Conditions::pure(&[5]));
            for (a, b) in both.slice(0, 4..8).to_vec::<f64>().iter().zip(alone.to_vec::<f64>()) {
                approx::assert_abs_diff_eq!(*a, b, epsilon = 1e-12);
            }
        }
    }

    #[test]
    fn classes_make_different_images() {
        for generator in every().map(generator_of_different_classes) {
            let latents = Random::new(1).normal(Address::default(), [4, 16], Device::Cpu);
            let [a, b] = [2, 6].map(|class| generator.forward(&latents, &Conditions::pure(&[class])).to_vec::<f32>());
            assert_ne!(a, b);
        }
    }
}
