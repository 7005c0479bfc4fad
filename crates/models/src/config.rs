//! The sizes of networks, and where they stand in a file.

use mergan_nn::Weights;

use crate::architectures::Architecture;
use crate::declaration::{Declaration, Sizes};
use crate::layers::{CriticLayers, GeneratorLayers};

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

/// Lengths that no axis of a generator has but where its sizes stand.
const MARKS: ModelConfig =
    ModelConfig { architecture: Architecture::Digit, width: 1009, channels: 1013, classes: 1019, latent: 1021 };

impl ModelConfig {
    /// Channels, height and width of the images.
    pub fn image_shape(&self) -> [usize; 3] {
        let side = self.architecture.side();
        [self.channels, side, side]
    }

    /// Walks through the generator: `latents`, N x latent, to images `[n, channels, side, side]`. The layers are those of
    /// the architecture; what they come to is up to `layers`.
    pub fn generator<L: GeneratorLayers>(&self, layers: &mut L, latents: &L::Value) -> L::Value {
        self.architecture.generator(layers, latents, self.width, self.channels)
    }

    /// Walks through the layers that both heads of the critic share: images to feature maps.
    pub(crate) fn features<L: CriticLayers>(&self, layers: &mut L, images: &L::Value) -> L::Value {
        self.architecture.features(layers, images, self.width)
    }

    /// The generator's parameters.
    pub(crate) fn declare_generator(&self) -> Declaration {
        let mut declaration = Declaration::new(self.classes);
        self.generator(&mut declaration, &Sizes::row(self.latent));
        declaration
    }

    /// The sizes that a generator in a file would have, of each architecture whose sizes stand there.
    pub(crate) fn candidates(weights: &Weights) -> impl Iterator<Item = Self> {
        Architecture::ALL.iter().filter_map(|&architecture| ModelConfig::read(architecture, weights))
    }

    /// The sizes of an architecture, read off the axes where they stand.
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
