//! The layers that architectures are composed of. An architecture is generic over an interpreter of its layers, which
//! decides what the result of a layer is: a tensor, a shape, or a node of an exported graph.

use std::fmt::Display;

use mergan_nn::Rows;

/// The layers of an architecture's generator and critic, which each file in `architectures` defines.
pub(crate) trait Design {
    /// The side of the images in pixels.
    const SIDE: usize;

    /// Applies the generator: latents (N x latent) to images `[n, channels, SIDE, SIDE]` in (-1, 1). It has `width`
    /// channels at full resolution.
    fn generator<L: GeneratorLayers>(net: &mut L, latents: &L::Value, width: usize, channels: usize) -> L::Value;

    /// Applies the layers that both heads of the critic share: images to feature maps.
    fn features<L: CriticLayers>(net: &mut L, images: &L::Value, width: usize) -> L::Value;
}

/// The layers that both generators and critics use.
///
/// A layer's parameters are called `weight` and `bias` after the layer's name, as in PyTorch's `state_dict`, unless its
/// documentation says otherwise. The order of the layers is that of the state dictionary.
pub trait Layers {
    /// The type that layers pass on: a tensor, its shape, or the name of a value in a graph.
    type Value;

    /// Applies a convolution that keeps the size of the image, `[n, in, h, w]` to `[n, outputs, h, w]`: stride 1, and
    /// half the kernel size as padding. Its weight is outputs x in x side x side.
    fn conv(&mut self, x: &Self::Value, name: impl Display, kernel: Kernel) -> Self::Value;

    /// Adds two values of the same shape.
    fn add(&mut self, left: &Self::Value, right: &Self::Value) -> Self::Value;
}

/// The additional layers of generators, some of which depend on the class.
pub trait GeneratorLayers: Layers {
    /// Applies a linear layer, N x in to N x outputs. Its weight is outputs x in.
    fn linear(&mut self, x: &Self::Value, name: impl Display, outputs: usize) -> Self::Value;

    /// Applies [`GeneratorLayers::linear`] to `x` concatenated with the one-hot class. The class's part of the weight
    /// is a separate table, `table.weight`: classes x outputs.
    fn linear_of_class(
        &mut self,
        x: &Self::Value,
        name: impl Display,
        table: impl Display,
        outputs: usize,
    ) -> Self::Value;

    /// Reshapes N x (c * h * w) to feature maps `[n, c, h, w]`.
    fn unflatten(&mut self, x: &Self::Value, maps: [usize; 3]) -> Self::Value;

    /// Applies batch norm and a ReLU. The scales and shifts are `weight` and `bias` if all classes share them, and
    /// `g.weight` and `b.weight` in conditional batch norm, which has a row for each class (Dumoulin et al., 2017).
    fn batch_norm_relu(&mut self, x: &Self::Value, name: impl Display, rows: Rows) -> Self::Value;

    /// Applies a transposed convolution that doubles the image, `[n, in, h, w]` to `[n, outputs, 2h, 2w]`: kernel 5,
    /// stride 2, padding 2. Its weight is in x outputs x 5 x 5.
    fn conv_transpose(&mut self, x: &Self::Value, name: impl Display, outputs: usize) -> Self::Value;

    /// Repeats each pixel four times (nearest-neighbour upsampling), `[n, c, h, w]` to `[n, c, 2h, 2w]`.
    fn upsample(&mut self, x: &Self::Value) -> Self::Value;

    /// Applies the hyperbolic tangent.
    fn tanh(&mut self, x: &Self::Value) -> Self::Value;
}

/// The additional layers of critics.
pub(crate) trait CriticLayers: Layers {
    /// Applies a convolution that halves the image, `[n, in, h, w]` to `[n, outputs, h/2, w/2]`, and a leaky ReLU:
    /// kernel 5, stride 2, padding 2. Its weight is outputs x in x 5 x 5.
    fn conv_halving_leaky_relu(
        &mut self,
        x: &Self::Value,
        name: impl Display,
        outputs: usize,
        slope: f64,
    ) -> Self::Value;

    /// Applies a ReLU.
    fn relu(&mut self, x: &Self::Value) -> Self::Value;

    /// Applies layer norm and a ReLU.
    fn layer_norm_relu(&mut self, x: &Self::Value, name: impl Display) -> Self::Value;

    /// Averages blocks of 2x2 pixels, `[n, c, h, w]` to `[n, c, h/2, w/2]`.
    fn average_pool(&mut self, x: &Self::Value) -> Self::Value;

    /// Averages all pixels, `[n, c, h, w]` to `[n, c, 1, 1]`.
    fn average_all(&mut self, x: &Self::Value) -> Self::Value;

    /// Applies a linear layer to flattened feature maps, `[n, c, h, w]` to N x outputs. Its weight is outputs x (c * h
    /// * w); `rows` says whether the outputs are classes.
    fn head(&mut self, maps: &Self::Value, name: impl Display, outputs: usize, rows: Rows) -> Self::Value;
}

/// The kernel of a convolution that keeps the size of the image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kernel {
    /// The side in pixels, which is odd.
    pub side: usize,
    /// The number of output channels.
    pub outputs: usize,
    /// Whether it has a bias.
    pub bias: bool,
    /// The variance of its initial values times the mean of its fans.
    pub(crate) gain: f64,
}

impl Kernel {
    /// Creates a kernel for use with a ReLU, which halves the variance (He et al., 2015).
    pub(crate) fn he(side: usize, outputs: usize) -> Self {
        Kernel { side, outputs, bias: true, gain: 2.0 }
    }

    /// Creates a kernel for use without a ReLU (Glorot and Bengio, 2010).
    pub(crate) fn glorot(side: usize, outputs: usize) -> Self {
        Kernel { gain: 1.0, ..Kernel::he(side, outputs) }
    }

    pub(crate) fn without_bias(self) -> Self {
        Kernel { bias: false, ..self }
    }
}
