//! SFT, sequential fine-tuning (paper section 2.2): each task starts from the weights of the last, and nothing prevents
//! forgetting. It is the lower bound.

use serde::Deserialize;

use crate::strategy::{FromOptions, Strategy};

/// Remembers nothing and adds nothing.
pub struct Sft;

/// SFT has no options.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {}

impl Strategy for Sft {}

impl FromOptions for Sft {
    type Options = Options;
    const NAME: &'static str = "sft";
    fn from_options(Options {}: Options) -> Result<Self, String> {
        Ok(Sft)
    }
}
