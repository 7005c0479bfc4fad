//! The residual networks for 64x64 images (LSUN; `GoodGenerator` and `GoodDiscriminator` of the released code's
//! `gan64_model.py`, which are those of WGAN-GP).
//!
//! The released generator reads the latent with a one-hot class behind it, and its batch norm knows no classes. The
//! columns of its first layer that belong to the classes are a table of their own here, a row a class, so that a class's
//! parameters can be told from the others'. The shortcuts are 1x1 convolutions, which commute with nearest-neighbour
//! upsampling and with mean pooling; they run where there are fewer pixels.

use mergan_nn::Rows;

use crate::layers::{CriticLayers, Design, GeneratorLayers, Kernel};

/// Pixels on a side of the smallest feature maps.
const BASE: usize = 4;

pub(super) struct Resnet;

impl Design for Resnet {
    const SIDE: usize = 64;

    fn generator<L: GeneratorLayers>(net: &mut L, latents: &L::Value, width: usize, channels: usize) -> L::Value {
        let mut x = net.linear_of_class(latents, "fc", "label", 8 * width * BASE * BASE);
        x = net.unflatten(&x, [8 * width, BASE, BASE]);
        for (block, outputs) in [("r1", 8 * width), ("r2", 4 * width), ("r3", 2 * width), ("r4", width)] {
            x = up(net, block, &x, outputs);
        }
        x = net.batch_norm_relu(&x, "n", Rows::Shared);
        x = net.conv(&x, "c", Kernel::he(3, channels));
        net.tanh(&x)
    }

    fn features<L: CriticLayers>(net: &mut L, images: &L::Value, width: usize) -> L::Value {
        let mut x = net.conv(images, "c", Kernel::glorot(3, width));
        for (block, inputs, outputs) in [("r1", 1, 2), ("r2", 2, 4), ("r3", 4, 8), ("r4", 8, 8)] {
            x = down(net, block, &x, [inputs * width, outputs * width]);
        }
        x
    }
}

/// A residual block that doubles the image: two normalisations, two 3x3 convolutions and a shortcut.
fn up<L: GeneratorLayers>(net: &mut L, block: &str, x: &L::Value, outputs: usize) -> L::Value {
    let mut maps = net.batch_norm_relu(x, format_args!("{block}.n1"), Rows::Shared);
    maps = net.upsample(&maps);
    // The normalisation that follows takes away what a bias would add.
    maps = net.conv(&maps, format_args!("{block}.c1"), Kernel::he(3, outputs).without_bias());
    maps = net.batch_norm_relu(&maps, format_args!("{block}.n2"), Rows::Shared);
    maps = net.conv(&maps, format_args!("{block}.c2"), Kernel::he(3, outputs));
    let mut shortcut = net.conv(x, format_args!("{block}.skip"), Kernel::glorot(1, outputs));
    shortcut = net.upsample(&shortcut);
    net.add(&shortcut, &maps)
}

/// A residual block that halves the image.
fn down<L: CriticLayers>(net: &mut L, block: &str, x: &L::Value, [inputs, outputs]: [usize; 2]) -> L::Value {
    let mut maps = net.layer_norm_relu(x, format_args!("{block}.n1"));
    // As above: no bias before a normalisation.
    maps = net.conv(&maps, format_args!("{block}.c1"), Kernel::he(3, inputs).without_bias());
    maps = net.layer_norm_relu(&maps, format_args!("{block}.n2"));
    maps = net.conv(&maps, format_args!("{block}.c2"), Kernel::he(3, outputs));
    let mut shortcut = net.average_pool(x);
    shortcut = net.conv(&shortcut, format_args!("{block}.skip"), Kernel::glorot(1, outputs));
    maps = net.average_pool(&maps);
    net.add(&shortcut, &maps)
}
