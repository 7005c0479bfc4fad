//! The memory that a training takes at least, which is known before it starts.

use mergan_models::{ModelConfig, NetworkSize};

use crate::config::{Config, EvaluationOptions, ModelOptions};

/// A lower bound of the memory that a training takes, in bytes, and what takes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeastMemory {
    /// The networks, their gradients and what Adam remembers of them.
    pub networks: f64,
    /// What a step keeps of a batch until it has the gradients.
    pub batch: f64,
    /// The generated images of all classes that are scored in the last task.
    pub scoring: f64,
}

impl LeastMemory {
    /// Returns the bound for this configuration, on images of `channels` channels and `classes` classes.
    pub fn of(config: &Config, channels: usize, classes: usize) -> Self {
        /// A network is there with its gradient and Adam's two averages.
        const COPIES: f64 = 4.0;
        const BYTES: f64 = size_of::<f32>() as f64;
        let ModelOptions { architecture, width, latent } = config.model;
        let sizes = ModelConfig { architecture, width, channels, classes, latent };
        let [generator, critic] = sizes.network_sizes();
        let parameters = |network: NetworkSize| network.parameters as f64 * BYTES;
        let results = |network: NetworkSize| network.results as f64 * BYTES;
        let EvaluationOptions { samples, batch, gap_every, gap_samples, .. } = config.evaluation;
        let scored = samples.max(batch).max(if gap_every > 0 { gap_samples } else { 0 });
        let image = sizes.image_shape().iter().product::<usize>() as f64;
        LeastMemory {
            // The generator is also there as the average of its weights.
            networks: COPIES * (parameters(generator) + parameters(critic)) + parameters(generator),
            // A critic step sees as many real as generated images. Of two layers in a row, one result may do.
            batch: config.training.batch as f64 * results(critic).max(results(generator) / 2.0),
            scoring: scored as f64 * config.tasks as f64 * image,
        }
    }

    /// Returns the bound for all of it together: images are scored when no step is being computed.
    pub fn total(&self) -> f64 {
        self.networks + self.batch.max(self.scoring)
    }
}

#[cfg(test)]
mod tests {
    use mergan_models::Architecture;

    use super::*;
    use crate::{Choice, Strategies};

    /// Returns the bound of a configuration with these changes.
    fn bound(architecture: Architecture, changes: toml::Table) -> LeastMemory {
        let names = |name: &str| name.to_string();
        let (dataset, strategy, preset) = (names("mnist"), names("sft"), names("quick"));
        let choice = Choice { dataset, strategy, preset, architecture, changes, ..Choice::default() };
        LeastMemory::of(&Config::resolve(&choice, &Strategies::built_in(), 10).unwrap(), 1, 10)
    }

    #[test]
    fn the_bound_follows_the_sizes() {
        let digit = |changes| bound(Architecture::Digit, changes);
        let plain = digit(toml::Table::new());
        let wide = digit(toml::toml! { model = { width = 160 } });
        let ratio = wide.networks / plain.networks;
        assert!((30.0..100.0).contains(&ratio), "most numbers are kernels between wide layers: {ratio}");
        let large = digit(toml::toml! { training = { batch = 640 } });
        assert_eq!(large.batch, 10.0 * plain.batch);
        let samples = digit(toml::toml! { evaluation = { samples = 64000 } });
        assert_eq!(samples.scoring, 64000.0 * 10.0 * 1024.0);
    }

    #[test]
    fn the_bound_is_below_what_steps_take() {
        // The peaks of whole steps, as the benchmarks measured them, in bytes.
        let (digit, resnet) = (54e6, 918e6);
        let changes = |batch: i64| toml::toml! { model = { width = 32 } training = { batch = batch } };
        for (architecture, batch, peak) in [(Architecture::Digit, 64, digit), (Architecture::Resnet, 32, resnet)] {
            let LeastMemory { networks, batch, .. } = bound(architecture, changes(batch));
            let share = (networks + batch) / peak;
            assert!((0.2..1.0).contains(&share), "{architecture:?}: {share}");
        }
    }
}
