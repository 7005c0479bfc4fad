//! The residual networks for 64x64 images (LSUN; `GoodGenerator` and `GoodDiscriminator` of the released code's
//! `gan64_model.py`, which are those of WGAN-GP).
//!
//! The released generator reads the latent with a one-hot class behind it, and its batch norm knows no classes. The
//! columns of its first layer that belong to the classes are a table of their own here, a row a class, so that a class's
//! parameters can be told from the others'. The shortcuts are 1x1 convolutions, which commute with nearest-neighbour
//! upsampling and with mean pooling; they run where there are fewer pixels.

use mergan_tensor::{Pool2d, Shape, Tensor};

use crate::layers::{Conditions, Convolution, Gain, Initialiser, Linear, Norm};
use crate::networks::{Architecture, BASE, ModelConfig};
use crate::parameters::{Parameter, Rows};
use crate::weights::Weights;

const HALVING: Pool2d = Pool2d::square(2, 2, 0);

/// A residual block that doubles or halves the image: two normalisations, two 3x3 convolutions and a shortcut.
#[derive(Clone, Debug)]
struct Block {
    n1: Norm,
    c1: Convolution,
    n2: Norm,
    c2: Convolution,
    skip: Convolution,
}

impl Block {
    /// A block between so many channels, `inner` after its first convolution.
    fn new(init: &mut Initialiser, inputs: usize, inner: usize, outputs: usize) -> Self {
        Block {
            n1: Norm::plain(init, inputs),
            // The normalisation that follows takes away what a bias would add.
            c1: Convolution::new(init, [inputs, inner], 3, Gain::He).without_bias(),
            n2: Norm::plain(init, inner),
            c2: Convolution::new(init, [inner, outputs], 3, Gain::He),
            skip: Convolution::new(init, [inputs, outputs], 1, Gain::Glorot),
        }
    }

    fn up(&self, x: &Tensor, mut normalise: impl FnMut(&Norm, &Tensor) -> Tensor) -> Tensor {
        let maps = self.c1.forward(&normalise(&self.n1, x).upsample2d());
        let maps = self.c2.forward(&normalise(&self.n2, &maps));
        &self.skip.forward(x).upsample2d() + &maps
    }

    fn down(&self, x: &Tensor) -> Tensor {
        let maps = self.c1.forward(&self.n1.layer_relu(x));
        let maps = self.c2.forward(&self.n2.layer_relu(&maps));
        &self.skip.forward(&x.average_pool2d(HALVING)) + &maps.average_pool2d(HALVING)
    }

    fn parameters_mut(&mut self, name: &str) -> Vec<Parameter<'_>> {
        let parts = [
            self.n1.parameters_mut(&format!("{name}.n1")).into(),
            self.c1.parameters_mut(&format!("{name}.c1")),
            self.n2.parameters_mut(&format!("{name}.n2")).into(),
            self.c2.parameters_mut(&format!("{name}.c2")),
            self.skip.parameters_mut(&format!("{name}.skip")),
        ];
        parts.into_iter().flatten().collect()
    }
}

fn blocks_mut(blocks: &mut [Block; 4]) -> Vec<Parameter<'_>> {
    blocks.iter_mut().zip(1..).flat_map(|(block, i)| block.parameters_mut(&format!("r{i}"))).collect()
}

/// The layers of [`Generator`](crate::Generator).
#[derive(Clone, Debug)]
pub(crate) struct Generator {
    fc: Linear,
    /// What each class adds to the first layer: classes x its outputs.
    label: Tensor,
    blocks: [Block; 4],
    n: Norm,
    c: Convolution,
}

impl Generator {
    pub(crate) fn new(init: &mut Initialiser, config: ModelConfig) -> Self {
        let ModelConfig { width, channels, classes, latent, .. } = config;
        let outputs = 8 * width * BASE * BASE;
        let (fc, label) = Linear::with_classes(init, latent, classes, outputs);
        let mut block =
            |inputs: usize, outputs: usize| Block::new(init, inputs * width, outputs * width, outputs * width);
        let blocks = [block(8, 8), block(8, 4), block(4, 2), block(2, 1)];
        let c = Convolution::new(init, [width, channels], 3, Gain::He);
        Generator { fc, label, blocks, n: Norm::plain(init, width), c }
    }

    pub(crate) fn config(&self) -> ModelConfig {
        let Shape { n: channels, c: width, .. } = self.c.weight.shape();
        let (classes, latent) = (self.label.shape().n, self.fc.weight.shape().c);
        ModelConfig { architecture: Architecture::Resnet, width, channels, classes, latent }
    }

    pub(crate) fn through(
        &self,
        latents: &Tensor,
        conditions: &Conditions,
        mut normalise: impl FnMut(usize, &Norm, &Tensor) -> Tensor,
    ) -> Tensor {
        let mut layers = 0..;
        let mut normalise = |norm: &Norm, maps: &Tensor| {
            let layer = layers.next().expect("there is no last number");
            normalise(layer, norm, maps)
        };
        let rows = &self.fc.forward(latents) + &conditions.rows(&self.label);
        let maps = rows.unflatten(8 * self.config().width, BASE, BASE);
        let maps = self.blocks.iter().fold(maps, |maps, block| block.up(&maps, &mut normalise));
        self.c.forward(&normalise(&self.n, &maps)).tanh()
    }

    pub(crate) fn parameters_mut(&mut self) -> Vec<Parameter<'_>> {
        let mut parameters: Vec<Parameter> = self.fc.parameters_mut("fc").into();
        let (name, rows) = ("label.weight".into(), Rows::PerClass);
        parameters.push(Parameter { name, axes: 2, rows, value: &mut self.label });
        parameters.extend(blocks_mut(&mut self.blocks));
        parameters.extend(self.n.parameters_mut("n"));
        parameters.extend(self.c.parameters_mut("c"));
        parameters
    }
}

/// See [`ModelConfig::of`].
pub(crate) fn sizes(weights: &Weights) -> Option<ModelConfig> {
    let axes = |name| weights.axes(name).unwrap_or_default();
    match (axes("fc.weight"), axes("label.weight"), axes("r1.c1.weight"), axes("c.weight")) {
        (&[rows, latent], &[classes, outputs], &[wide, inputs, 3, 3], &[channels, width, 3, 3])
            if ![latent, classes, width, channels].contains(&0)
                && [rows, outputs, wide, inputs].map(Some)
                    == [128, 128, 8, 8].map(|times| width.checked_mul(times)) =>
        {
            Some(ModelConfig { architecture: Architecture::Resnet, width, channels, classes, latent })
        }
        _ => None,
    }
}

/// The layers of [`Critic`](crate::Critic) that both heads share.
#[derive(Clone, Debug)]
pub(crate) struct Trunk {
    c: Convolution,
    blocks: [Block; 4],
}

impl Trunk {
    pub(crate) fn new(init: &mut Initialiser, config: ModelConfig) -> Self {
        let ModelConfig { width, channels, .. } = config;
        let c = Convolution::new(init, [channels, width], 3, Gain::Glorot);
        let mut block =
            |inputs: usize, outputs: usize| Block::new(init, inputs * width, inputs * width, outputs * width);
        Trunk { c, blocks: [block(1, 2), block(2, 4), block(4, 8), block(8, 8)] }
    }

    /// Images to maps `[n, 8 * width, 4, 4]`.
    pub(crate) fn forward(&self, images: &Tensor) -> Tensor {
        self.blocks.iter().fold(self.c.forward(images), |maps, block| block.down(&maps))
    }

    pub(crate) fn parameters_mut(&mut self) -> Vec<Parameter<'_>> {
        let mut parameters = self.c.parameters_mut("c");
        parameters.extend(blocks_mut(&mut self.blocks));
        parameters
    }
}
