//! Training of per-class parameters alone: after the first task, the generator's trunk is frozen, and a new class
//! trains only its own rows of conditional batch normalisation, in the manner of style banks (Dumoulin et al., "A
//! learned representation for artistic style", ICLR 2017) and of task-specific modulations of a frozen GAN (Cong et
//! al., "GAN memory with no forgetting", NeurIPS 2020). Nothing can be forgotten, but only what the trunk of the first
//! task can draw can be learned.

use mergan_models::{Parameter, Rows};
use serde::Deserialize;

use crate::strategy::{FromOptions, Strategy};

/// Freezes all parameters that classes share.
pub struct ClassParameters;

/// This strategy has no options.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {}

impl Strategy for ClassParameters {
    fn trains(&self, parameter: &Parameter, task: usize) -> bool {
        // The rows of other classes get zero gradients, so they do not change.
        task == 0 || parameter.rows == Rows::PerClass
    }
}

impl FromOptions for ClassParameters {
    type Options = Options;
    const NAME: &'static str = "class-parameters";
    fn from_options(Options {}: Options) -> Result<Self, String> {
        Ok(ClassParameters)
    }
}
