//! JTR and RA combined, which the released code's flags allow but the paper never does: the critic sees the past, and
//! the generator is held to it.

use serde::Deserialize;

use super::jtr::{self, JointReplay};
use super::ra::{self, ReplayAlignment};
use crate::batches::Batch;
use crate::losses::Term;
use crate::step::Step;
use crate::strategy::{FromOptions, Strategy};

/// Combines the terms of both strategies.
pub struct ReplayAndAlignment {
    replay: JointReplay,
    alignment: ReplayAlignment,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    jtr: jtr::Options,
    ra: ra::Options,
}

impl Strategy for ReplayAndAlignment {
    fn mixes_in(&self, past: usize) -> usize {
        self.replay.mixes_in(past)
    }

    fn needs_snapshot(&self, _task: usize) -> bool {
        true
    }

    fn batch(&self, step: &Step, real: Batch) -> Batch {
        self.replay.batch(step, real)
    }

    fn critic_terms(&self, step: &Step) -> Vec<Term> {
        self.replay.critic_terms(step)
    }

    fn generator_terms(&self, step: &Step) -> Vec<Term> {
        [self.replay.generator_terms(step), self.alignment.generator_terms(step)].concat()
    }
}

impl FromOptions for ReplayAndAlignment {
    type Options = Options;
    const NAME: &'static str = "jtr-ra";
    fn about(option: &str) -> Option<&'static str> {
        match option.split_once('.')? {
            ("jtr", option) => JointReplay::about(option),
            (_, option) => ReplayAlignment::about(option),
        }
    }
    fn from_options(Options { jtr, ra }: Options) -> Result<Self, String> {
        Ok(ReplayAndAlignment {
            replay: JointReplay::from_options(jtr)?,
            alignment: ReplayAlignment::from_options(ra)?,
        })
    }
}
