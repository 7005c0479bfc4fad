//! The layers of classifiers, by the shape of their images.

use mergan_nn::{Rows, Weights};

use crate::declaration::{Declaration, Sizes};
use crate::layers::{Kernel, Layers};

/// The layers of a classifier.
#[derive(Debug)]
pub(super) struct Layout {
    /// The name on metric cards.
    pub(super) name: &'static str,
    /// The channels of 3x3 convolutions with ReLUs; each block ends with 2x2 max pooling.
    pub(super) blocks: &'static [&'static [usize]],
    /// The outputs of linear layers with ReLUs. After convolutions, the first has dropout of one half in training.
    pub(super) hidden: &'static [usize],
}

/// The paper's classifier for MNIST.
const PERCEPTRON: Layout = Layout { name: "mlp-1024-512-256-128", blocks: &[], hidden: &[1024, 512, 256, 128] };
/// The paper's classifier for SVHN.
const SEVEN_CONVOLUTIONS: Layout = Layout {
    name: "cnn-2x32-2x64-3x128-512-128",
    blocks: &[&[32, 32], &[64, 64], &[128, 128, 128]],
    hidden: &[512, 128],
};
/// The paper's classifier for LSUN, VGG-16 with small linear layers, at a quarter of its width: on CPUs the full
/// network would take longer to train than a generator.
const THIRTEEN_CONVOLUTIONS: Layout = Layout {
    name: "cnn-2x16-2x32-3x64-3x128-3x128-256-128",
    blocks: &[&[16, 16], &[32, 32], &[64, 64, 64], &[128, 128, 128], &[128, 128, 128]],
    hidden: &[256, 128],
};

impl Layout {
    /// Returns the layers for images of this shape (C, H, W).
    pub(super) fn of([channels, height, width]: [usize; 3]) -> &'static Layout {
        match (channels, height.min(width)) {
            (_, 33..) => &THIRTEEN_CONVOLUTIONS,
            (1, _) => &PERCEPTRON,
            _ => &SEVEN_CONVOLUTIONS,
        }
    }

    /// Returns the layers that these weights have: those with the most convolutions whose last convolution exists.
    pub(super) fn in_weights(weights: &Weights) -> &'static Layout {
        let has = |convolution: usize| weights.get(&format!("c{convolution}.weight")).is_some();
        let layouts = [&THIRTEEN_CONVOLUTIONS, &SEVEN_CONVOLUTIONS];
        layouts.into_iter().find(|layout| has(layout.blocks.concat().len())).unwrap_or(&PERCEPTRON)
    }

    /// Declares the parameters for images with this number of channels. The first linear layer has `inputs` inputs.
    pub(super) fn declare(&self, channels: usize, inputs: usize, classes: usize) -> Declaration {
        let mut net = Declaration::new(classes);
        let mut maps = Sizes::row(channels);
        for (&outputs, i) in self.blocks.iter().copied().flatten().zip(1..) {
            maps = net.conv(&maps, format_args!("c{i}"), Kernel::he(3, outputs));
        }
        let mut x = Sizes::row(inputs);
        for (&outputs, i) in self.hidden.iter().zip(1..) {
            x = net.linear_layer(x, format_args!("l{i}"), outputs, Rows::Shared);
        }
        net.linear_layer(x, format_args!("l{}", self.hidden.len() + 1), classes, Rows::PerClass);
        net
    }

    /// Returns the number of inputs of the first linear layer for images of this shape (C, H, W).
    pub(super) fn inputs(&self, [channels, height, width]: [usize; 3]) -> usize {
        let halvings = self.blocks.len();
        let channels = self.blocks.last().and_then(|block| block.last()).copied().unwrap_or(channels);
        channels * (height >> halvings) * (width >> halvings)
    }
}
