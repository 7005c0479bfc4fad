//! Adapters: RA learns the first tasks; then the trunk is frozen, and a new class trains only its own parameters, which
//! are its rows of conditional batch norm and low-rank changes of all kernels. This follows GAN Memory (Cong et al.,
//! NeurIPS 2020) and CAM-GAN (Varshney et al., NeurIPS 2021) in the form of LoRA; [`Generator::with_adapters`] has the
//! formula. What is learned once the trunk is frozen changes no other class, to the bit. The rows start as
//! `training.new_classes` says, and the changes at 0, so a new class starts at the trunk.

use documented::DocumentedFieldsOpt;
use mergan_models::{Generator, ModelConfig, Parameter, Rows};
use mergan_tensor::{Device, Random};
use serde::Deserialize;

use super::ra::{self, ReplayAlignment};
use crate::losses::Term;
use crate::step::Step;
use crate::strategy::{FromOptions, Strategy};

/// Freezes the trunk after the first tasks.
pub struct Adapters {
    base: usize,
    rank: usize,
    alignment: ReplayAlignment,
}

#[derive(Deserialize, DocumentedFieldsOpt)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The number of tasks that are learned as RA learns them, before the trunk is frozen. A run of no more tasks is a
    /// run of RA; if it is extended, the extensions count.
    base: usize,
    /// The rank of the change that a class learned later makes to each kernel.
    rank: usize,
    ra: ra::Options,
}

impl Strategy for Adapters {
    fn generator(&self, sizes: ModelConfig, random: Random) -> Generator {
        Generator::new(sizes, random, Device::Cpu).with_adapters(self.rank, random)
    }

    fn trains(&self, parameter: &Parameter, task: usize) -> bool {
        if task < self.base {
            !Generator::is_adapter(parameter)
        } else {
            // The rows of other classes get zero gradients, so they do not change.
            parameter.rows == Rows::PerClass
        }
    }

    fn needs_snapshot(&self, task: usize) -> bool {
        task < self.base
    }

    fn generator_terms(&self, step: &Step) -> Vec<Term> {
        // Once the trunk is frozen there is no snapshot, and nothing has to be aligned.
        step.inputs.old.map_or_else(Vec::new, |_| self.alignment.generator_terms(step))
    }
}

impl FromOptions for Adapters {
    type Options = Options;
    const NAME: &'static str = "adapters";
    fn about(option: &str) -> Option<&'static str> {
        match option.split_once('.') {
            None => Options::get_field_docs(option).ok(),
            Some((_, option)) => ReplayAlignment::about(option),
        }
    }
    fn from_options(Options { base, rank, ra }: Options) -> Result<Self, String> {
        for (name, value) in [("base", base), ("rank", rank)] {
            if value == 0 {
                return Err(format!("{name} is 0; it must be at least 1"));
            }
        }
        Ok(Adapters { base, rank, alignment: ReplayAlignment::from_options(ra)? })
    }
}
