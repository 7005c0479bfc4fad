//! JT, joint training (paper section 2.1): every task sees the real images of all classes so far. It is the upper
//! bound, because it keeps the data that the other strategies must do without.

use mergan_datasets::TaskSequence;
use mergan_models::Network;
use serde::Deserialize;

use crate::strategy::{FromOptions, Kept, Learned, Strategy};

/// Trains on the real images of all learned classes.
pub struct JointTraining;

/// JT has no options.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {}

impl Strategy for JointTraining {
    fn classes(&self, tasks: &TaskSequence, task: usize) -> Vec<usize> {
        tasks.classes_seen(task + 1)
    }

    fn kept(&self, learned: &Learned) -> Kept {
        Kept {
            generator_parameters: learned.generator.parameter_count(),
            images: learned.classes.iter().map(|&class| learned.train.indices_of(class).len()).sum(),
            ..Kept::default()
        }
    }
}

impl FromOptions for JointTraining {
    type Options = Options;
    const NAME: &'static str = "jt";
    fn from_options(Options {}: Options) -> Result<Self, String> {
        Ok(JointTraining)
    }
}
