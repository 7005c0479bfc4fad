//! Functions shared by the tests across crates: the inputs from which the golden values were made, by the formula of
//! `tests/golden/README.md`, in f64 on the reference device.

use std::path::Path;

use mergan_models::{Architecture, Critic, Generator, ModelConfig, Network, Weights};
use mergan_strategies::{Noise, Purpose};
use mergan_tensor::{Address, Device, Random, Shape, Tensor};

/// The sizes of the digit networks.
pub const SIZES: ModelConfig =
    ModelConfig { architecture: Architecture::Digit, width: 2, channels: 1, classes: 10, latent: 128 };
/// The sizes of the residual networks for LSUN.
pub const RESNET: ModelConfig = ModelConfig { architecture: Architecture::Resnet, channels: 3, ..SIZES };
/// The sizes of the residual networks for photographs.
pub const RESIDUAL: ModelConfig = ModelConfig { architecture: Architecture::Residual, ..RESNET };
/// The stream of the generator's first parameter.
pub const GENERATOR: u64 = 100;
/// The stream of the critic's first parameter.
pub const CRITIC: u64 = 200;
/// The stream of the old generator's first parameter.
pub const OLD_GENERATOR: u64 = 300;

/// Returns a number in [0, 1), by the finaliser of splitmix64.
pub fn unit(stream: u64, index: u64) -> f64 {
    let mut s = (stream << 32 | index).wrapping_add(0x9E37_79B9_7F4A_7C15);
    s = (s ^ s >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    s = (s ^ s >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((s ^ s >> 31) >> 11) as f64 / (1u64 << 53) as f64
}

/// Returns a tensor of `f(u)` with u uniform in [-1, 1).
pub fn uniform(stream: u64, shape: impl Into<Shape>, f: impl Fn(f64) -> f64) -> Tensor {
    let shape = shape.into();
    let values = (0..shape.len() as u64).map(|i| f(2.0 * unit(stream, i) - 1.0)).collect();
    Tensor::from_vec(values, shape, Device::Reference)
}

/// Returns real images of digits: n x 1 x 32 x 32.
pub fn images(stream: u64, n: usize) -> Tensor {
    images_for(SIZES, stream, n)
}

/// Returns real images for networks of these sizes.
pub fn images_for(sizes: ModelConfig, stream: u64, n: usize) -> Tensor {
    let [c, h, w] = sizes.image_shape();
    uniform(stream, [n, c, h, w], |u| 0.9 * u)
}

/// Returns latent vectors: n x 128.
pub fn latents(stream: u64, n: usize) -> Tensor {
    uniform(stream, [n, 128], |u| 3f64.sqrt() * u)
}

/// Returns the generator of these streams, trainable.
pub fn generator(sizes: ModelConfig, first_stream: u64) -> Generator {
    filled(Generator::new(sizes, Random::new(0), Device::Reference), first_stream)
}

/// Returns the critic, trainable.
pub fn critic(sizes: ModelConfig) -> Critic {
    filled(Critic::new(sizes, Random::new(0), Device::Reference), CRITIC)
}

fn filled<N: Network>(mut network: N, first_stream: u64) -> N {
    for (parameter, stream) in network.parameters_mut().iter_mut().zip(first_stream..) {
        let value = match parameter.name.rsplit_once('.') {
            Some((_, "bias")) => |u: f64| 0.1 * u,
            _ if parameter.name.ends_with(".g.weight") || parameter.value.shape().rank() == 1 => |u: f64| 1.0 + 0.3 * u,
            _ => |u: f64| 0.3 * u,
        };
        parameter.value = uniform(stream, parameter.value.shape(), value);
    }
    network.trainable()
}

/// The formula, in place of random numbers.
pub enum Formula {
    /// The streams of the single steps.
    Single,
    /// The streams of the iterations.
    Training,
}

impl Formula {
    fn stream(&self, address: Address) -> u64 {
        let is = |purpose: Purpose| address.stream == purpose as u16;
        let (single, training) = match () {
            () if is(Purpose::GeneratorLatents) => (2, 0),
            () if is(Purpose::GeneratorReplay) => (4, 1),
            () if is(Purpose::CriticLatents) => (2, 3),
            () if is(Purpose::Interpolation) => (3, 4),
            () if is(Purpose::CriticReplay) => (4, 5),
            () => panic!("the golden values do not say what stream {} is", address.stream),
        };
        match self {
            Formula::Single => single,
            Formula::Training => training_stream(address.step, training, address.substep),
        }
    }
}

/// Returns the stream of an array of the iterations.
pub fn training_stream(iteration: u32, purpose: u64, inner: u32) -> u64 {
    1000 + 100 * u64::from(iteration) + 10 * purpose + u64::from(inner)
}

impl Noise for Formula {
    fn normal(&self, address: Address, shape: Shape, _: Device) -> Tensor {
        latents(self.stream(address), shape[0])
    }
    fn uniform(&self, address: Address, shape: Shape, _: Device) -> Tensor {
        uniform(self.stream(address), shape, |u| (u + 1.0) / 2.0)
    }
    fn below(&self, _: Address, count: usize, _: usize) -> Vec<usize> {
        vec![0; count]
    }
    fn permutation(&self, _: Address, len: usize) -> Vec<usize> {
        (0..len).collect()
    }
}

/// A file of golden values.
pub struct Golden {
    values: Weights,
}

impl Golden {
    /// Reads `tests/golden/<name>.safetensors`.
    pub fn open(name: &str) -> Golden {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name).with_extension("safetensors");
        Golden { values: Weights::load(&path, Device::Reference).expect("a file of golden values") }
    }

    /// Returns the numbers of this name, row by row.
    pub fn get(&self, name: &str) -> Vec<f64> {
        self.values.get(name).unwrap_or_else(|| panic!("no golden value {name}")).to_vec()
    }

    /// Returns pairs of (ours, PyTorch's) for the array of this name: all numbers, or for a long array its first
    /// ones, its sum and its sum of squares.
    pub fn pairs(&self, name: &str, ours: &Tensor) -> Vec<(f64, f64)> {
        let numbers: Vec<f64> = ours.to_vec();
        if self.values.get(name).is_some() {
            let golden = self.get(name);
            assert_eq!(numbers.len(), golden.len(), "{name}");
            return numbers.into_iter().zip(golden).collect();
        }
        let mut pairs: Vec<(f64, f64)> = numbers.iter().copied().zip(self.get(&format!("{name}.head"))).collect();
        pairs.extend(self.moments(name, ours));
        pairs
    }

    /// Returns pairs of (ours, PyTorch's) for the sum and the sum of squares.
    pub fn moments(&self, name: &str, ours: &Tensor) -> [(f64, f64); 2] {
        let golden = |suffix: &str| self.get(&format!("{name}.{suffix}"))[0];
        [(ours.sum().item(), golden("sum")), (ours.square().sum().item(), golden("sumsq"))]
    }
}

/// Compiles and runs the examples of `CONTRIBUTING.md`.
#[cfg(doctest)]
#[doc = include_str!("../../CONTRIBUTING.md")]
struct Contributing;

/// Compiles and runs the example of `README.md`.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
