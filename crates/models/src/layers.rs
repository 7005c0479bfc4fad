//! What architectures are made of. An architecture is walked through layer by layer, and whoever walks decides what a
//! layer comes to: numbers, shapes, or the node of an exported graph.

use std::fmt::Display;

use mergan_nn::Rows;

/// The two walks of an architecture; a file in `architectures` says both.
pub(crate) trait Design {
    /// Pixels on a side of the images.
    const SIDE: usize;

    /// The generator: latents (N x latent) to images `[n, channels, SIDE, SIDE]` in (-1, 1). There are `width` channels
    /// at full resolution.
    fn generator<L: GeneratorLayers>(net: &mut L, latents: &L::Value, width: usize, channels: usize) -> L::Value;

    /// The layers that both heads of the critic share: images to feature maps.
    fn features<L: CriticLayers>(net: &mut L, images: &L::Value, width: usize) -> L::Value;
}

/// The layers of generators and critics alike.
///
/// A layer's parameters are called `weight` and `bias` behind the layer's name, as PyTorch's `state_dict` would call them,
/// unless it says otherwise. The order of the layers is that of the state dictionary.
pub trait Layers {
    /// What goes from layer to layer: a tensor, its shape, or the name of a value in a graph.
    type Value;

    /// A convolution that keeps the size of the image, `[n, in, h, w]` to `[n, outputs, h, w]`: stride 1, and half the
    /// kernel as padding. Its weight is outputs x in x side x side.
    fn conv(&mut self, x: &Self::Value, name: impl Display, kernel: Kernel) -> Self::Value;

    /// The sum of two values of the same shape.
    fn add(&mut self, left: &Self::Value, right: &Self::Value) -> Self::Value;
}

/// The layers of generators, in which classes enter.
pub trait GeneratorLayers: Layers {
    /// N x in to N x outputs. Its weight is outputs x in.
    fn linear(&mut self, x: &Self::Value, name: impl Display, outputs: usize) -> Self::Value;

    /// As [`GeneratorLayers::linear`] of `x` with the one-hot class behind it, whose part of the weight is a table of its
    /// own, `table.weight`: classes x outputs.
    fn linear_of_class(
        &mut self,
        x: &Self::Value,
        name: impl Display,
        table: impl Display,
        outputs: usize,
    ) -> Self::Value;

    /// N x (c * h * w) to feature maps `[n, c, h, w]`.
    fn unflatten(&mut self, x: &Self::Value, maps: [usize; 3]) -> Self::Value;

    /// Batch norm and a rectifier. Its scales and shifts are `weight` and `bias` where all classes share them; in
    /// conditional batch norm, which has a row for each class (Dumoulin et al., 2017), `g.weight` and `b.weight`.
    fn batch_norm_relu(&mut self, x: &Self::Value, name: impl Display, rows: Rows) -> Self::Value;

    /// A transposed convolution that doubles the image, `[n, in, h, w]` to `[n, outputs, 2h, 2w]`: kernel 5, stride 2,
    /// padding 2. Its weight is in x outputs x 5 x 5.
    fn conv_transpose(&mut self, x: &Self::Value, name: impl Display, outputs: usize) -> Self::Value;

    /// Each pixel four times, `[n, c, h, w]` to `[n, c, 2h, 2w]`.
    fn upsample(&mut self, x: &Self::Value) -> Self::Value;

    /// The hyperbolic tangent.
    fn tanh(&mut self, x: &Self::Value) -> Self::Value;
}

/// The layers of critics.
pub(crate) trait CriticLayers: Layers {
    /// A convolution that halves the image, `[n, in, h, w]` to `[n, outputs, h/2, w/2]`, and a leaky rectifier: kernel 5,
    /// stride 2, padding 2. Its weight is outputs x in x 5 x 5.
    fn conv_halving_leaky_relu(
        &mut self,
        x: &Self::Value,
        name: impl Display,
        outputs: usize,
        slope: f64,
    ) -> Self::Value;

    /// Layer norm and a rectifier.
    fn layer_norm_relu(&mut self, x: &Self::Value, name: impl Display) -> Self::Value;

    /// The mean of each 2x2 pixels, `[n, c, h, w]` to `[n, c, h/2, w/2]`.
    fn average_pool(&mut self, x: &Self::Value) -> Self::Value;

    /// A linear layer of flattened feature maps, `[n, c, h, w]` to N x outputs. Its weight is outputs x (c * h * w); `rows`
    /// says whether the outputs are classes.
    fn head(&mut self, maps: &Self::Value, name: impl Display, outputs: usize, rows: Rows) -> Self::Value;
}

/// The kernel of a convolution that keeps the size of the image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kernel {
    /// Pixels on a side; odd.
    pub side: usize,
    /// Channels that it makes.
    pub outputs: usize,
    /// Whether it has a bias.
    pub bias: bool,
    /// The variance of its first numbers over the mean of its fans.
    pub(crate) gain: f64,
}

impl Kernel {
    /// A kernel behind a rectifier, which halves the variance (He et al., 2015).
    pub(crate) fn he(side: usize, outputs: usize) -> Self {
        Kernel { side, outputs, bias: true, gain: 2.0 }
    }

    /// A kernel without a rectifier around it (Glorot and Bengio, 2010).
    pub(crate) fn glorot(side: usize, outputs: usize) -> Self {
        Kernel { gain: 1.0, ..Kernel::he(side, outputs) }
    }

    pub(crate) fn without_bias(self) -> Self {
        Kernel { bias: false, ..self }
    }
}
