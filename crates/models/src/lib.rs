//! Networks that generate images and networks that evaluate them.
//!
//! A [`Generator`] turns random vectors into images of a given class. A [`Critic`] scores how real images look and
//! predicts their class; trained against each other, the two are a generative adversarial network (GAN). A
//! [`Classifier`] is trained on real images alone and so measures the quality of generated ones, and [`Inception`] is
//! the network whose features the Fréchet Inception Distance (FID) compares. Generators and critics come in two image
//! sizes, 32x32 and 64x64 ([`Architecture`]); their layers are those of Memory Replay GANs (Wu et al., NeurIPS 2018) and,
//! for photographs, of WGAN-GP (Gulrajani et al., NeurIPS 2017). Write your own networks with the layers of
//! [`mergan_nn`].
//!
//! ```
//! use mergan_models::{Conditions, Generator, ModelConfig, Network, to_bytes};
//! use mergan_tensor::{Address, Device, Random};
//!
//! let generator = Generator::new(ModelConfig::default(), Random::new(0), Device::Cpu);
//! assert_eq!(generator.parameter_count(), 525_569);
//! assert_eq!(ModelConfig::default().network_sizes()[0].parameters, 525_569);
//! let latents = Random::new(1).normal(Address::default(), [8, 128], Device::Cpu);
//! // Four images of class 3 and four of class 7, each class normalised by itself.
//! let images = to_bytes(&generator.forward(&latents, &Conditions::pure(&[3, 7])));
//! assert_eq!(images.dim(), (8, 1, 32, 32));
//! ```
//!
//! Parameters are named as in PyTorch's `state_dict` and saved in safetensors files ([`Weights`], [`Generator::load`]).
//! PyTorch's own files can be read too, such as the published weights of [`Inception`].
//!
//! To write a generator in another format, implement [`GeneratorLayers`] and pass it to [`ModelConfig::generator`].

mod adapters;
mod architectures;
mod classifier;
mod conditions;
mod config;
mod declaration;
mod forward;
mod inception;
mod layers;
mod networks;
mod norm;
mod pixels;
mod standing;

pub use architectures::Architecture;
pub use classifier::{Classifier, FitOptions, FitProgress, Reading};
pub use conditions::Conditions;
pub use config::{ModelConfig, NetworkSize};
pub use inception::{Inception, Resize, Tap};
pub use layers::{GeneratorLayers, Kernel, Layers};
pub use mergan_nn::{Network, Parameter, Rows, Weights, WeightsError, write_whole};
pub use networks::{Critic, Generator, Verdict};
pub use pixels::{from_bytes, to_bytes};
pub use standing::Standing;
