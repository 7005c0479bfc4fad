//! Separate generators: SFT, with a copy of the generator kept as it was when each task had been learned. A class c is
//! made by the generator that learned it: G(z, c) = G_c(z, c). Nothing can be forgotten, at the price of a generator
//! for each task. It is the baseline of every strategy that makes do with one generator.

use std::path::Path;

use mergan_models::{Generator, Network, Weights, WeightsError};
use mergan_tensor::Device;
use serde::Deserialize;

use super::by_class::ByClass;
use crate::sampler::Sampler;
use crate::strategy::{FromOptions, Kept, Learned, Strategy, TaskStart};

/// Keeps the generators of the earlier tasks.
pub struct Separate {
    kept: KeptGenerators,
}

/// This strategy has no options.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {}

/// The generators of the earlier tasks, frozen.
#[derive(Clone, Debug)]
struct KeptGenerators(ByClass<Generator>);

/// The prefix of the kept generators' tensors in the file of a generator.
const KEPT: &str = "separate.";
/// Their prefix in a checkpoint.
const REMEMBERED: &str = "strategy.separate.";

impl Strategy for Separate {
    fn move_to(&mut self, device: Device) {
        self.kept.move_to(device);
    }

    fn start_task(&mut self, start: &TaskStart, generator: Generator) -> Generator {
        self.kept.0.insert(&start.tasks.tasks()[start.task - 1], generator.clone());
        generator
    }

    fn sampler(&self) -> &dyn Sampler {
        &self.kept
    }

    fn kept(&self, learned: &Learned) -> Kept {
        let kept = self.kept.0.networks().map(Network::parameter_count).sum::<usize>();
        Kept { generator_parameters: learned.generator.parameter_count() + kept, ..Kept::default() }
    }

    fn grow(&mut self, generator: &Generator) {
        self.kept.0 = self.kept.0.map(|kept| generator.holding(kept));
    }

    fn save(&self, weights: &mut Weights) {
        self.kept.0.save(weights, REMEMBERED);
    }

    fn restore(
        &mut self,
        path: &Path,
        weights: &Weights,
        generator: &Generator,
        learned: &[usize],
    ) -> Result<(), WeightsError> {
        self.kept.0 = ByClass::restore(path, weights, REMEMBERED, &generator.frozen(), learned)?;
        Ok(())
    }
}

impl Sampler for KeptGenerators {
    fn generators(&self, newest: &Generator, classes: &[usize]) -> Vec<(Vec<usize>, Generator)> {
        let groups = self.0.grouped(classes).into_iter();
        groups.map(|(classes, kept)| (classes, kept.unwrap_or(newest).clone())).collect()
    }

    fn boxed(&self) -> Box<dyn Sampler> {
        Box::new(self.clone())
    }

    fn move_to(&mut self, device: Device) {
        self.0.move_to(device);
    }

    fn save(&self, weights: &mut Weights) {
        self.0.save(weights, KEPT);
    }
}

impl FromOptions for Separate {
    type Options = Options;
    const NAME: &'static str = "separate";
    fn restore_sampler(
        path: &Path,
        weights: &Weights,
        generator: &Generator,
        learned: &[usize],
    ) -> Result<Option<Box<dyn Sampler>>, WeightsError> {
        let kept = ByClass::restore(path, weights, KEPT, generator, learned)?;
        Ok(if kept.is_empty() { None } else { Some(Box::new(KeptGenerators(kept))) })
    }
    fn from_options(Options {}: Options) -> Result<Self, String> {
        Ok(Separate { kept: KeptGenerators(ByClass::new()) })
    }
}
