//! The residual networks that WGAN-GP uses for CIFAR-10 (Gulrajani et al., 2017, appendix F; their
//! `gan_cifar_resnet.py`), for photographs.
//!
//! All layers have the same width, and the critic has no normalisation, as there. Unlike there, the last batch norm of
//! the generator is conditional as well, and so each one has a row for each class.

use std::fmt::Display;

use mergan_nn::Rows;

use super::resnet::up;
use crate::layers::{CriticLayers, Design, GeneratorLayers, Kernel};

/// The side of the generator's smallest feature maps in pixels.
const BASE: usize = 4;

/// Networks whose generator doubles its maps `DOUBLINGS` times.
pub(super) struct Residual<const DOUBLINGS: usize>;

impl<const DOUBLINGS: usize> Design for Residual<DOUBLINGS> {
    const SIDE: usize = BASE << DOUBLINGS;

    fn generator<L: GeneratorLayers>(net: &mut L, latents: &L::Value, width: usize, channels: usize) -> L::Value {
        let mut x = net.linear(latents, "fc", width * BASE * BASE);
        x = net.unflatten(&x, [width, BASE, BASE]);
        for block in 1..=DOUBLINGS {
            x = up(net, format_args!("r{block}"), &x, width, Rows::PerClass);
        }
        x = net.batch_norm_relu(&x, "n", Rows::PerClass);
        // The name tells the files of different sides apart: that of a smaller side would otherwise be part of a larger
        // one's.
        x = net.conv(&x, format_args!("c{}", Self::SIDE), Kernel::glorot(3, channels));
        net.tanh(&x)
    }

    fn features<L: CriticLayers>(net: &mut L, images: &L::Value, width: usize) -> L::Value {
        // The first block begins with a convolution, because a ReLU would drop half of the pixels' values.
        let maps = net.conv(images, "r1.c1", Kernel::he(3, width));
        let mut x = halved(net, "r1", images, &maps, width);
        // The maps keep 8 x 8 pixels for the last two blocks.
        for block in 2..DOUBLINGS {
            let maps = rectified_conv(net, format_args!("r{block}.c1"), &x, width);
            x = halved(net, format_args!("r{block}"), &x, &maps, width);
        }
        for block in [DOUBLINGS, DOUBLINGS + 1] {
            let maps = rectified_conv(net, format_args!("r{block}.c1"), &x, width);
            let maps = rectified_conv(net, format_args!("r{block}.c2"), &maps, width);
            x = net.add(&x, &maps);
        }
        x = net.relu(&x);
        net.average_all(&x)
    }
}

/// Applies the rest of a residual block that halves the image: `maps` are what its first convolution made of `x`.
fn halved<L: CriticLayers>(net: &mut L, block: impl Display, x: &L::Value, maps: &L::Value, width: usize) -> L::Value {
    let mut maps = rectified_conv(net, format_args!("{block}.c2"), maps, width);
    maps = net.average_pool(&maps);
    let mut shortcut = net.average_pool(x);
    shortcut = net.conv(&shortcut, format_args!("{block}.skip"), Kernel::glorot(1, width));
    net.add(&shortcut, &maps)
}

/// Applies a ReLU and a 3x3 convolution.
fn rectified_conv<L: CriticLayers>(net: &mut L, name: impl Display, x: &L::Value, width: usize) -> L::Value {
    let x = net.relu(x);
    net.conv(&x, name, Kernel::he(3, width))
}
