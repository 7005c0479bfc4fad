//! Layers of neural networks, and tools to train, save and load networks made of them.
//!
//! A layer is a plain struct of [`Parameter`]s with a `forward` method; a network is a struct of layers that lists them
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
//! - A [`Scope`] gives every layer its names, its device, its random numbers and the initial distribution of its
//!   weights ([`Init`]).
//! - [`Sequential`] stacks anything that implements [`Layer`]: layers and functions of tensors. Your own struct can do
//!   anything else.
//! - [`Network::trainable`] makes the parameters variables, and [`Network::descend`] takes a step with any
//!   [`Optimizer`](mergan_tensor::Optimizer).
//! - Layers are in training mode unless they are called within [`evaluate`], which changes batch norm, spectral norm
//!   and dropout. Layers keep their state in [`Buffer`]s.
//! - [`Weights`] stores tensors under PyTorch's names in safetensors files, and also reads files of `torch.save`.
//!
//! A layer panics if it is given a tensor of the wrong shape, because that is a mistake in the program. A problem with
//! a file is a [`WeightsError`].

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
    RunningStatistics, SpectralNorm, Weighted, fold_statistics,
};
pub use mergan_files::write_whole;
pub use mode::{evaluate, is_training};
pub use network::{Buffer, Layer, Network, Parameter, Rows};
pub use scope::Scope;
pub use sequential::Sequential;
pub use weights::{Weights, WeightsError};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
