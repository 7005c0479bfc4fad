//! The architectures, one file each: what is in the list can be trained, saved, loaded, sampled and exported.

mod digit;
mod resnet;

use crate::layers::{CriticLayers, Design, GeneratorLayers};

/// Makes the list: for each architecture what it is, its name, its name in configurations and its [`Design`].
macro_rules! architectures {
    ($($(#[$attribute:meta])* $name:ident = $text:literal in $design:ty,)+) => {
        /// The layers between latents, images and verdicts; each makes images of one size.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub enum Architecture {
            $($(#[$attribute])* #[serde(rename = $text)] $name,)+
        }

        impl Architecture {
            /// All of them. Of those that make images of one size, the first is the one that is taken by default.
            pub const ALL: &[Architecture] = &[$(Architecture::$name),+];

            /// The name in configurations.
            pub fn name(self) -> &'static str {
                match self {
                    $(Architecture::$name => $text,)+
                }
            }

            /// Pixels on a side of the images.
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
    /// Residual networks, 64x64 (LSUN; `GoodGenerator` and `GoodDiscriminator` of the released code's `gan64_model.py`).
    Resnet = "resnet" in resnet::Resnet,
}

impl Architecture {
    /// The architecture that makes images of this side, unless another is asked for.
    pub fn of_side(side: usize) -> Option<Self> {
        Architecture::ALL.iter().copied().find(|architecture| architecture.side() == side)
    }
}
