//! The memory of a replaying strategy: the generator as it was when the last task ended.

use std::path::Path;

use mergan_models::{Conditions, Generator, Network, Weights, WeightsError};
use mergan_tensor::{Tensor, no_grad};

const PREFIX: &str = "strategy.old.";

/// A frozen generator, or none before the first task ends.
#[derive(Default)]
pub(crate) struct Memory(Option<Generator>);

/// Replayed images with the latents and classes they were made from.
pub(crate) struct Replayed {
    pub(crate) images: Tensor,
    pub(crate) latents: Tensor,
    pub(crate) conditions: Conditions,
}

impl Memory {
    /// Remembers this generator instead of the one before.
    pub(crate) fn remember(&mut self, generator: &Generator) {
        self.0 = Some(generator.frozen());
    }

    /// What the remembered generator makes of these latents: class-pure groups of equal size, one for each of `classes`.
    /// Nothing before the first task ends.
    pub(crate) fn replay(&self, latents: Tensor, classes: &[usize]) -> Option<Replayed> {
        let conditions = Conditions::pure(classes);
        let images = no_grad(|| Some(self.0.as_ref()?.forward(&latents, &conditions)))?;
        Some(Replayed { images, latents, conditions })
    }

    pub(crate) fn save(&self, weights: &mut Weights) {
        if let Some(generator) = &self.0 {
            weights.insert_network(PREFIX, generator);
        }
    }

    pub(crate) fn restore(&mut self, path: &Path, weights: &Weights, like: &Generator) -> Result<(), WeightsError> {
        let remembered = weights.names().any(|name| name.starts_with(PREFIX));
        self.0 = if remembered { Some(weights.network(path, PREFIX, like)?) } else { None };
        Ok(())
    }
}
