//! The architectures, one file each. Every architecture in the list can be trained, saved, loaded, sampled and
//! exported.

mod digit;
mod residual;
mod resnet;

use std::collections::BTreeSet;

use crate::layers::{CriticLayers, Design, GeneratorLayers};

/// Defines the list. Each entry has documentation, a name, a name in configurations and a [`Design`].
macro_rules! architectures {
    ($($(#[$attribute:meta])* $name:ident = $text:literal in $design:ty,)+) => {
        /// The layers of a generator and its critic. Each architecture makes images of one size.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub enum Architecture {
            $($(#[$attribute])* #[serde(rename = $text)] $name,)+
        }

        impl Architecture {
            /// All architectures. The first one for each image size is the default for that size.
            pub const ALL: &[Architecture] = &[$(Architecture::$name),+];

            /// Returns the name in configurations.
            pub fn name(self) -> &'static str {
                match self {
                    $(Architecture::$name => $text,)+
                }
            }

            /// Returns the side of the images in pixels.
            pub fn side(self) -> usize {
                match self {
                    $(Architecture::$name => <$design>::SIDE,)+
                }
            }

            /// See [`Design::generator`].
            pub(crate) fn generator<L: GeneratorLayers>(
                self,
                net: &mut L,
                latents: &L::Value,
                width: usize,
                channels: usize,
            ) -> L::Value {
                match self {
                    $(Architecture::$name => <$design>::generator(net, latents, width, channels),)+
                }
            }

            /// See [`Design::features`].
            pub(crate) fn features<L: CriticLayers>(self, net: &mut L, images: &L::Value, width: usize) -> L::Value {
                match self {
                    $(Architecture::$name => <$design>::features(net, images, width),)+
                }
            }
        }
    };
}

architectures! {
    /// A three-layer DCGAN with conditional batch norm, 32x32 (MNIST, SVHN; the released code's `gan32_model.py`).
    #[default]
    Digit = "digit" in digit::Digit,
    /// Residual networks, 64x64 (LSUN; `GoodGenerator` and `GoodDiscriminator` of the released code's
    /// `gan64_model.py`).
    Resnet = "resnet" in resnet::Resnet,
    /// Residual networks with conditional batch norm, 32x32 (CIFAR-10; those of WGAN-GP).
    Residual = "residual" in residual::Residual<3>,
    /// [`Architecture::Residual`] with one more doubling, 64x64.
    Residual64 = "residual64" in residual::Residual<4>,
}

impl Architecture {
    /// Returns the architectures for images with this side. The first one is the default.
    pub fn of_side(side: usize) -> impl Iterator<Item = Self> {
        Architecture::ALL.iter().copied().filter(move |architecture| architecture.side() == side)
    }

    /// Returns the sizes of the images for which there are architectures, as text such as "32 x 32 and 64 x 64".
    pub fn image_sizes() -> String {
        let sides: BTreeSet<_> = Architecture::ALL.iter().map(|architecture| architecture.side()).collect();
        sides.iter().map(|side| format!("{side} x {side}")).collect::<Vec<_>>().join(" and ")
    }
}
