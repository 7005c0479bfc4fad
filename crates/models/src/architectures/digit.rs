//! The networks for 32x32 images: a three-layer DCGAN with conditional batch norm (MNIST, SVHN; the released code's
//! `gan32_model.py`).

use mergan_nn::Rows;

use crate::layers::{CriticLayers, Design, GeneratorLayers};

/// The side of the smallest feature maps in pixels.
const BASE: usize = 4;
/// The slope of the critic's leaky ReLUs.
const SLOPE: f64 = 0.2;

pub(super) struct Digit;

impl Design for Digit {
    const SIDE: usize = 32;

    fn generator<L: GeneratorLayers>(net: &mut L, latents: &L::Value, width: usize, channels: usize) -> L::Value {
        let mut x = net.linear(latents, "fc", 4 * width * BASE * BASE);
        x = net.unflatten(&x, [4 * width, BASE, BASE]);
        for (norm, double, outputs) in [("n1", "c1", 2 * width), ("n2", "c2", width), ("n3", "c3", channels)] {
            x = net.batch_norm_relu(&x, norm, Rows::PerClass);
            x = net.conv_transpose(&x, double, outputs);
        }
        net.tanh(&x)
    }

    fn features<L: CriticLayers>(net: &mut L, images: &L::Value, width: usize) -> L::Value {
        let mut x = net.conv_halving_leaky_relu(images, "c1", width, SLOPE);
        x = net.conv_halving_leaky_relu(&x, "c2", 2 * width, SLOPE);
        net.conv_halving_leaky_relu(&x, "c3", 4 * width, SLOPE)
    }
}
