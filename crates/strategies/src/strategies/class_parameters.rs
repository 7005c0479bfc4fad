//! Per-class parameters only: after the first task the generator's trunk is frozen and a new class trains nothing but its
//! own rows of conditional batch norm, in the manner of style banks (Dumoulin et al., "A learned representation for
//! artistic style", ICLR 2017) and of task-specific modulations of a frozen GAN (Cong et al., "GAN memory with no
//! forgetting", NeurIPS 2020). Nothing can be forgotten; what can be learned is what the first task's trunk can draw.

use mergan_models::{Parameter, Rows};
use serde::Deserialize;

use crate::strategy::{FromOptions, Strategy};

/// Freezes everything that classes share.
pub struct ClassParameters;

/// There are no options.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {}

impl Strategy for ClassParameters {
    fn trains(&self, parameter: &Parameter, task: usize) -> bool {
        // Rows of other classes get no gradient.
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
