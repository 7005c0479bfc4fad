//! The convolutions of the networks, including matrix products, and their three maps on random numbers.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use mergan_tensor::{Conv2d, Device, Tensor};

use crate::server::numbers;

/// A convolution in a network.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The networks and the layers in them, such as `critic c1, generator c3`.
    pub name: String,
    /// The convolution it computes.
    pub convolution: Convolution,
}

/// The sizes of a convolution. A transposed convolution is the input gradient of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// The shape of the images, `[n, ci, h, w]`.
    pub images: [usize; 4],
    /// The shape of the kernel, `[co, ci, kh, kw]`.
    pub kernel: [usize; 4],
    /// The stride and padding.
    pub conv: Conv2d,
}

/// Returns the layers of the digit networks of this width for MNIST; layers of equal sizes are merged.
pub fn digits(width: usize, batch: usize) -> Vec<Layer> {
    let halving = |name, inputs, outputs, side| {
        layer(name, [batch, inputs, side, side], [outputs, inputs, 5, 5], Conv2d::square(2, 2))
    };
    let head = |name, outputs| layer(name, [batch, 4 * width, 4, 4], [outputs, 4 * width, 4, 4], Conv2d::POINT);
    vec![
        halving("critic c1, generator c3", 1, width, 32),
        halving("critic c2, generator c2", width, 2 * width, 16),
        halving("critic c3, generator c1", 2 * width, 4 * width, 8),
        layer("generator fc", [batch, 128, 1, 1], [64 * width, 128, 1, 1], Conv2d::POINT),
        head("critic o", 1),
        head("critic k", 10),
    ]
}

/// Returns the layers of the networks for LSUN (the released code's `gan64_model.py`, 64x64 pixels); layers of equal
/// sizes are merged.
pub fn lsun(batch: usize) -> Vec<Layer> {
    let same = |name: String, inputs, outputs, side, kernel| {
        let conv = Conv2d::square(1, kernel / 2);
        layer(name, [batch, inputs, side, side], [outputs, inputs, kernel, kernel], conv)
    };
    let mut layers = vec![layer("generator input", [batch, 138, 1, 1], [8192, 138, 1, 1], Conv2d::POINT)];
    // A block doubles the image size before its first convolution, and in its shortcut.
    for (block, inputs, outputs, side) in [(1, 512, 512, 8), (2, 512, 256, 16), (3, 256, 128, 32), (4, 128, 64, 64)] {
        layers.extend([
            same(format!("generator {block}a"), inputs, outputs, side, 3),
            same(format!("generator {block}b"), outputs, outputs, side, 3),
            same(format!("generator {block} shortcut"), inputs, outputs, side, 1),
        ]);
    }
    layers.push(same("generator output".into(), 64, 3, 64, 3));
    layers.push(same("critic input".into(), 3, 64, 64, 3));
    // A block halves the image size after its second convolution, and before the convolution of its shortcut.
    for (block, inputs, outputs, side) in [(1, 64, 128, 64), (2, 128, 256, 32), (3, 256, 512, 16), (4, 512, 512, 8)] {
        layers.extend([
            same(format!("critic {block}a"), inputs, inputs, side, 3),
            same(format!("critic {block}b"), inputs, outputs, side, 3),
            same(format!("critic {block} shortcut"), inputs, outputs, side / 2, 1),
        ]);
    }
    for (name, outputs) in [("critic score", 1), ("critic logits", 10)] {
        layers.push(layer(name, [batch, 512, 4, 4], [outputs, 512, 4, 4], Conv2d::POINT));
    }
    merged(layers)
}

fn layer(name: impl Into<String>, images: [usize; 4], kernel: [usize; 4], conv: Conv2d) -> Layer {
    Layer { name: name.into(), convolution: Convolution { images, kernel, conv } }
}

/// Returns each convolution once, with the names of all layers that compute it.
fn merged(layers: Vec<Layer>) -> Vec<Layer> {
    let mut merged: Vec<Layer> = Vec::new();
    for layer in layers {
        match merged.iter_mut().find(|other| other.convolution == layer.convolution) {
            Some(other) => other.name = format!("{}, {}", other.name, layer.name),
            None => merged.push(layer),
        }
    }
    merged
}

/// One of the three maps of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Map {
    /// The convolution itself.
    Conv2d,
    /// Its gradient with respect to the images.
    InputGrad,
    /// Its gradient with respect to the kernel.
    WeightGrad,
}

impl FromStr for Map {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        Ok(match name {
            "conv2d" => Map::Conv2d,
            "input_grad" => Map::InputGrad,
            "weight_grad" => Map::WeightGrad,
            other => bail!("`{other}` is no map of a convolution; there are conv2d, input_grad and weight_grad"),
        })
    }
}

impl Convolution {
    /// Returns the additions and multiplications of any of its maps, without those on the padding.
    pub fn flops(&self) -> usize {
        self.conv.flops(self.images, self.kernel).expect("a convolution that fits")
    }

    /// Returns the shape of its result.
    fn result(&self) -> [usize; 4] {
        let Convolution { images: [n, _, h, w], kernel: [co, _, kh, kw], conv } = *self;
        let [h, w] = conv.output_size([h, w], [kh, kw]).expect("a convolution that fits");
        [n, co, h, w]
    }

    /// Returns the shapes of the operands and the result of any of its maps: images, kernel and resulting images.
    pub fn shapes(&self) -> [[usize; 4]; 3] {
        [self.images, self.kernel, self.result()]
    }

    /// Returns a map of random numbers, which can be computed on a device any number of times.
    pub fn map(self, map: Map, device: Device) -> Box<dyn Fn() -> Tensor> {
        let Convolution { images, kernel, conv } = self;
        let x = || numbers(0, images).to_device(device);
        let w = || numbers(1, kernel).to_device(device);
        let dy = || numbers(2, self.result()).to_device(device);
        match map {
            Map::Conv2d => {
                let (x, w) = (x(), w());
                Box::new(move || x.conv2d(&w, conv))
            }
            Map::InputGrad => {
                let (dy, w) = (dy(), w());
                Box::new(move || dy.conv_transpose2d(&w, conv, [images[2], images[3]]))
            }
            Map::WeightGrad => {
                let (x, dy) = (x(), dy());
                Box::new(move || x.conv2d_weight_grad(&dy, conv, kernel))
            }
        }
    }

    /// Formats the convolution as [`Convolution::from_str`] reads it: `N CI H W CO KH KW STRIDE PADDING`.
    pub fn sizes(&self) -> String {
        let Convolution { images: [n, c, h, w], kernel: [co, _, kh, kw], conv } = self;
        let (stride, padding) = (conv.stride[0], conv.padding[0]);
        format!("{n} {c} {h} {w} {co} {kh} {kw} {stride} {padding}")
    }
}

impl FromStr for Convolution {
    type Err = anyhow::Error;

    fn from_str(sizes: &str) -> Result<Self> {
        let numbers = sizes.split(' ').map(str::parse).collect::<Result<Vec<usize>, _>>();
        let Ok([n, ci, h, w, co, kh, kw, stride, padding]) = numbers.as_deref() else {
            bail!("`{sizes}` is not N CI H W CO KH KW STRIDE PADDING");
        };
        let (images, kernel) = ([*n, *ci, *h, *w], [*co, *ci, *kh, *kw]);
        let conv = Conv2d::square(*stride, *padding);
        conv.flops(images, kernel).with_context(|| format!("`{sizes}` is no convolution: the kernel does not fit"))?;
        Ok(Convolution { images, kernel, conv })
    }
}

impl fmt::Display for Convolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Convolution { images: [_, c, h, w], kernel: [co, _, kh, kw], conv } = self;
        write!(f, "{c} to {co}, {h}x{w}")?;
        if kh * kw > 1 {
            write!(f, ", {kh}x{kw} / {}", conv.stride[0])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mergan_models::{Conditions, Critic, Generator, ModelConfig, Network};
    use mergan_tensor::{Device, Random, count_conv2d_flops};

    use super::*;

    const BATCH: usize = 2;

    /// Returns the convolutions of the layers whose names begin with `network`, each with the rest of its name.
    fn of<'a>(network: &str, layers: &'a [Layer]) -> Vec<(&'a str, Convolution)> {
        let names = |layer: &'a Layer| layer.name.split(", ").map(|name| (name, layer.convolution));
        let layers = layers.iter().flat_map(names);
        layers.filter_map(|(name, convolution)| Some((name.strip_prefix(network)?.trim(), convolution))).collect()
    }

    /// Asserts that the layers have the shapes of the network's parameters and do all the work of a forward pass.
    fn assert_same_network<N: Network>(layers: &[(&str, Convolution)], network: N, forward: impl FnOnce(&N)) {
        let ((), flops) = count_conv2d_flops(|| forward(&network));
        let work: usize = layers.iter().map(|(_, convolution)| convolution.flops()).sum();
        assert_eq!(flops, work as u64);
        let parameters = network.parameters();
        for (name, Convolution { kernel, .. }) in layers {
            let weight = parameters.iter().find(|parameter| parameter.name == format!("{name}.weight"));
            let shape = weight.unwrap_or_else(|| panic!("no layer {name}")).value.shape();
            assert_eq!((shape[0], shape.len()), (kernel[0], kernel.iter().product()), "{name}");
        }
    }

    // No other test here may compute convolutions, because they are counted for the whole process.
    #[test]
    fn digit_layers_are_those_of_the_models() {
        for width in [16, 32, 64] {
            let config = ModelConfig { width, ..ModelConfig::default() };
            let layers = digits(width, BATCH);
            let generator = Generator::new(config, Random::new(0), Device::Cpu);
            assert_same_network(&of("generator", &layers), generator, |generator| {
                generator.forward(&numbers(0, [BATCH, config.latent]), &Conditions::pure(&[0]));
            });
            let critic = Critic::new(config, Random::new(0), Device::Cpu);
            assert_same_network(&of("critic", &layers), critic, |critic| {
                critic.forward(&numbers(0, [BATCH, config.channels, 32, 32]));
            });
        }
    }

    #[test]
    fn lsun_layers_have_the_papers_number_of_weights() {
        let layers = lsun(BATCH);
        // The networks have 8.62 and 7.57 million parameters in all; biases and norms are one to two in a thousand.
        for (network, parameters) in [("generator", 8.62e6), ("critic", 7.57e6)] {
            let weights: usize =
                of(network, &layers).iter().map(|(_, convolution)| convolution.kernel.iter().product::<usize>()).sum();
            approx::assert_relative_eq!(weights as f64, parameters, max_relative = 2e-3);
        }
    }

    #[test]
    fn sizes_can_be_read_back() {
        for layer in digits(16, BATCH).into_iter().chain(lsun(BATCH)) {
            assert_eq!(layer.convolution.sizes().parse::<Convolution>().expect("sizes"), layer.convolution);
        }
        assert!("2 1 4 4 8 5 5 1 0".parse::<Convolution>().is_err());
        assert!("2 1 4 4 8 5 5".parse::<Convolution>().is_err());
    }
}
