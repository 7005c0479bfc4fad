//! The sizes of networks, and where a file's tensors show them.

use mergan_nn::Weights;

use crate::architectures::Architecture;
use crate::declaration::{Declaration, Sizes};
use crate::layers::{CriticLayers, GeneratorLayers};
use crate::networks::{logits, score};

/// The sizes of a generator and its critic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelConfig {
    /// The architecture of the layers.
    pub architecture: Architecture,
    /// The number of channels at full resolution: in the paper 32 for MNIST and 64 for LSUN, and 128 in the networks of
    /// WGAN-GP for CIFAR-10.
    pub width: usize,
    /// The number of channels of the images: 1 for MNIST, 3 for colour.
    pub channels: usize,
    /// The number of classes, and of rows in the class tables.
    pub classes: usize,
    /// The length of a latent vector; 128 in the paper.
    pub latent: usize,
}

/// The size of a network, which is known before it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkSize {
    /// The number of its parameters.
    pub parameters: usize,
    /// The numbers that its layers with parameters return for one image, all together. A step keeps most of them until
    /// it has the gradients.
    pub results: usize,
}

impl Default for ModelConfig {
    /// Returns the paper's sizes for MNIST.
    fn default() -> Self {
        ModelConfig { architecture: Architecture::Digit, width: 32, channels: 1, classes: 10, latent: 128 }
    }
}

/// Lengths that an axis of a generator has only if it is one of the configured sizes.
const MARKS: ModelConfig =
    ModelConfig { architecture: Architecture::Digit, width: 1009, channels: 1013, classes: 1019, latent: 1021 };

impl ModelConfig {
    /// Returns the number of channels, the height and the width of the images.
    pub fn image_shape(&self) -> [usize; 3] {
        let side = self.architecture.side();
        [self.channels, side, side]
    }

    /// Applies the generator's layers: `latents`, N x latent, to images `[n, channels, side, side]`. The architecture
    /// determines the layers, and `layers` determines the result of each.
    pub fn generator<L: GeneratorLayers>(&self, layers: &mut L, latents: &L::Value) -> L::Value {
        self.architecture.generator(layers, latents, self.width, self.channels)
    }

    /// Applies the layers that both heads of the critic share: images to feature maps.
    pub(crate) fn features<L: CriticLayers>(&self, layers: &mut L, images: &L::Value) -> L::Value {
        self.architecture.features(layers, images, self.width)
    }

    /// Returns the sizes of the generator and of the critic.
    pub fn network_sizes(&self) -> [NetworkSize; 2] {
        [self.declare_generator(), self.declare_critic()].map(|declaration| declaration.size())
    }

    /// Returns the critic's parameters.
    pub(crate) fn declare_critic(&self) -> Declaration {
        let mut declaration = Declaration::new(self.classes);
        let [c, h, w] = self.image_shape();
        let features = self.features(&mut declaration, &Sizes { c, h, w });
        score(&mut declaration, &features);
        logits(&mut declaration, &features, self.classes);
        declaration
    }

    /// Returns the generator's parameters.
    pub(crate) fn declare_generator(&self) -> Declaration {
        let mut declaration = Declaration::new(self.classes);
        self.generator(&mut declaration, &Sizes::row(self.latent));
        declaration
    }

    /// Returns the sizes that a generator in a file could have, one for each architecture whose sizes can be
    /// determined.
    pub(crate) fn candidates(weights: &Weights) -> impl Iterator<Item = Self> {
        Architecture::ALL.iter().filter_map(|&architecture| ModelConfig::read(architecture, weights))
    }

    /// Determines the sizes of an architecture from the axes that have them.
    fn read(architecture: Architecture, weights: &Weights) -> Option<Self> {
        let declaration = ModelConfig { architecture, ..MARKS }.declare_generator();
        let read = |mark: usize| {
            declaration.axes().find_map(|(name, axes)| {
                let axis = axes.iter().position(|&length| length == mark)?;
                weights.length(name, axis)
            })
        };
        Some(ModelConfig {
            architecture,
            width: read(MARKS.width)?,
            channels: read(MARKS.channels)?,
            classes: read(MARKS.classes)?,
            latent: read(MARKS.latent)?,
        })
    }
}
