//! The residual networks for 64x64 images (LSUN; `GoodGenerator` and `GoodDiscriminator` of the released code's
//! `gan64_model.py`, which are those of WGAN-GP).
//!
//! In the released generator the input is the latent concatenated with a one-hot class, and its batch norm does not
//! depend on the class. Here the columns of the first layer that belong to classes are a separate table with one row
//! per class, so that per-class parameters can be distinguished from shared ones. The shortcuts are 1x1 convolutions,
//! which commute with nearest-neighbour upsampling and with mean pooling, so they run where there are fewer pixels.

use std::fmt::Display;

use mergan_nn::Rows;

use crate::layers::{CriticLayers, Design, GeneratorLayers, Kernel};

/// The side of the smallest feature maps in pixels.
const BASE: usize = 4;

pub(super) struct Resnet;

impl Design for Resnet {
    const SIDE: usize = 64;

    fn generator<L: GeneratorLayers>(net: &mut L, latents: &L::Value, width: usize, channels: usize) -> L::Value {
        let mut x = net.linear_of_class(latents, "fc", "label", 8 * width * BASE * BASE);
        x = net.unflatten(&x, [8 * width, BASE, BASE]);
        for (block, outputs) in [("r1", 8 * width), ("r2", 4 * width), ("r3", 2 * width), ("r4", width)] {
            x = up(net, block, &x, outputs, Rows::Shared);
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

/// Applies a residual block that doubles the image: two normalisations with these rows, two 3x3 convolutions and a
/// shortcut.
pub(super) fn up<L: GeneratorLayers>(
    net: &mut L,
    block: impl Display,
    x: &L::Value,
    outputs: usize,
    rows: Rows,
) -> L::Value {
    let mut maps = net.batch_norm_relu(x, format_args!("{block}.n1"), rows);
    maps = net.upsample(&maps);
    // There is no bias because the next normalisation would cancel it.
    maps = net.conv(&maps, format_args!("{block}.c1"), Kernel::he(3, outputs).without_bias());
    maps = net.batch_norm_relu(&maps, format_args!("{block}.n2"), rows);
    maps = net.conv(&maps, format_args!("{block}.c2"), Kernel::he(3, outputs));
    let mut shortcut = net.conv(x, format_args!("{block}.skip"), Kernel::glorot(1, outputs));
    shortcut = net.upsample(&shortcut);
    net.add(&shortcut, &maps)
}

/// Applies a residual block that halves the image.
fn down<L: CriticLayers>(net: &mut L, block: &str, x: &L::Value, [inputs, outputs]: [usize; 2]) -> L::Value {
    let mut maps = net.layer_norm_relu(x, format_args!("{block}.n1"));
    // There is no bias before a normalisation, as above.
    maps = net.conv(&maps, format_args!("{block}.c1"), Kernel::he(3, inputs).without_bias());
    maps = net.layer_norm_relu(&maps, format_args!("{block}.n2"));
    maps = net.conv(&maps, format_args!("{block}.c2"), Kernel::he(3, outputs));
    let mut shortcut = net.average_pool(x);
    shortcut = net.conv(&shortcut, format_args!("{block}.skip"), Kernel::glorot(1, outputs));
    maps = net.average_pool(&maps);
    net.add(&shortcut, &maps)
}
