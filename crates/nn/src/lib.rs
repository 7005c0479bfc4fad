//! Layers of neural networks, and what trains, saves and loads networks that are made of them.
//!
//! A layer is a plain struct of [`Parameter`]s with a `forward`; a network is a struct of layers that lists them
//! ([`Network`]). Gradients can be differentiated again, to any order, so losses may contain gradients.
//!
//! ```
//! use mergan_nn::{Layer, Linear, Network, Scope, Sequential};
//! use mergan_tensor::{Adam, Device, Random, Tensor};
//!
//! // Learn the exclusive or.
//! let at = &Scope::new(Random::new(0), Device::Cpu);
//! let network = Sequential::new(at).then(Linear::new(at, 2, 8)).then(Tensor::tanh).then(Linear::new(at, 8, 1));
//! let mut network = network.trainable();
//! let x = Tensor::from_vec(vec![0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], [4, 2], Device::Cpu);
//! let y = Tensor::from_vec(vec![0.0, 1.0, 1.0, 0.0], [4, 1], Device::Cpu);
//! let mut adam = Adam::default();
//! for _ in 0..500 {
//!     let loss = (network.forward(&x) - &y).square().mean();
//!     network.descend(&loss, &mut adam, 0.05);
//! }
//! assert!((network.forward(&x) - &y).square().mean().item() < 0.01);
//! ```
//!
//! - A [`Scope`] gives every layer its names, its device, its random numbers and the distribution that its weights begin with
//!   ([`Init`]).
//! - [`Sequential`] stacks layers and functions of tensors, which are all a [`Layer`]; a struct of your own can do anything else.
//! - [`Network::trainable`] makes the parameters variables, and [`Network::descend`] takes a step with any
//!   [`Optimizer`](mergan_tensor::Optimizer).
//! - Layers train unless they are called within [`evaluate`], which batch norm, spectral norm and dropout look at. What they
//!   remember is in their [`Buffer`]s.
//! - [`Weights`] holds tensors by PyTorch's names, in safetensors files; files of `torch.save` can be read.
//!
//! A layer panics when it is given a tensor of another shape than it takes, because that is a mistake in the program; what can
//! be wrong with a file is a [`WeightsError`].

mod init;
mod layers;
mod mode;
mod network;
mod scope;
mod sequential;
mod torch_file;
mod weights;

pub use init::{Fan, Fans, Init, gain};
pub use layers::{
    BatchNorm2d, ConditionalBatchNorm2d, Conv2d, ConvTranspose2d, Dropout, Embedding, LayerNorm, Linear,
    RunningStatistics, SpectralNorm, Weighted,
};
pub use mode::{evaluate, is_training};
pub use network::{Buffer, Layer, Network, Parameter, Rows};
pub use scope::Scope;
pub use sequential::Sequential;
pub use weights::{Weights, WeightsError, write_whole};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
