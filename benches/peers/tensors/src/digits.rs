//! A training iteration of the paper's digit networks in each library, as in `cargo xtask bench step` but without the
//! gradient penalty: a generator step and five critic steps on images of one class, with updates by Adam.
//!
//! The penalty is left out because its gradient is a second derivative, which neither library computes as it comes: burn
//! needs a backend within a backend, `Autodiff<Autodiff<Flex>>`, and candle the variable `CANDLE_GRAD_DO_NOT_DETACH` in the
//! environment, without which it takes parts of a gradient for constants. burn's `ndarray` is left out because an
//! iteration takes it tens of seconds.

mod burn;
mod candle;
mod ours;

use anyhow::Result;
use mergan_models::{Critic, Generator, ModelConfig};
use mergan_tensor::{Address, Device, Random, Tensor};

use crate::{Side, Sides};

const BATCH: usize = 64;
const CRITIC_STEPS: u32 = 5;
/// The class of all images.
const CLASS: usize = 3;
const RATE: f64 = 1e-4;
const BETAS: [f64; 2] = [0.0, 0.9];
/// What Adam and batch norm add to a root and to a variance.
const ADAM_EPSILON: f64 = 1e-8;
const NORM_EPSILON: f64 = 1e-5;
/// The slope of the critic's leaky ReLUs.
const SLOPE: f64 = 0.2;

/// What all sides start from.
struct Start {
    generator: Generator,
    critic: Critic,
    /// The real images, `[64, 1, 32, 32]`.
    real: Tensor,
    /// The latents of the generator step and of each critic step, 64 x 128.
    latents: Vec<Tensor>,
}

/// The networks in a library. A step returns the loss before its update.
trait Trainer {
    /// Trains the generator on the first latents.
    fn generator_step(&mut self) -> Result<f32>;
    /// Trains the critic on the real images and those of the latents with this index.
    fn critic_step(&mut self, latents: usize) -> Result<f32>;
}

impl<T: Trainer> Side for T {
    fn results(&mut self) -> Result<Vec<f32>> {
        let mut losses = vec![self.generator_step()?];
        for latents in 1..=CRITIC_STEPS {
            losses.push(self.critic_step(latents as usize)?);
        }
        Ok(losses)
    }
}

/// Returns the sides for networks of this width. Their results are the losses of the generator step and the critic steps;
/// each depends on the updates before it.
pub fn sides(width: usize) -> Result<Sides> {
    let config = ModelConfig { width, ..ModelConfig::default() };
    let random = Random::new(0);
    let at = |step| Address { step, ..Address::default() };
    let latents = |step| random.normal(at(step), [BATCH, config.latent], Device::Cpu);
    let start = &Start {
        generator: Generator::new(config, random, Device::Cpu),
        critic: Critic::new(config, random, Device::Cpu),
        real: random.normal(at(0), [BATCH, 1, 32, 32], Device::Cpu).tanh(),
        latents: (1..=1 + CRITIC_STEPS).map(latents).collect(),
    };
    Ok(vec![("mergan-tensor", ours::side(start)), ("burn, flex", burn::side(start)), ("candle", candle::side(start)?)])
}
