//! Replay alignment in feature space, after the idea of FoCL (Lao et al., "FoCL: Feature-oriented continual learning
//! for generative models", Pattern Recognition 2021): for the same latent and class, the new image is held to the old
//! one in the features of the critic as the last task left it, rather than pixel by pixel. Images may differ in ways
//! that do not affect the critic's features. FoCL trains feature extractors of its own; here the critic is already
//! available.

use documented::DocumentedFieldsOpt;
use mergan_tensor::no_grad;
use serde::Deserialize;

use super::ra::Pairs;
use super::{require_positive, require_some_classes};
use crate::losses::Term;
use crate::step::Step;
use crate::strategy::{FromOptions, Strategy};

/// Aligns the new generator with the old one in the features of the old critic.
pub struct FeatureAlignment {
    options: Options,
}

#[derive(Deserialize, DocumentedFieldsOpt)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The weight of the alignment, which is the sum over past classes of the mean squared norm of the difference in
    /// features.
    lambda: f64,
    /// The number of past classes, chosen at random, that a step aligns; all if it is left out.
    classes_per_step: Option<usize>,
}

impl Strategy for FeatureAlignment {
    fn needs_snapshot(&self, _task: usize) -> bool {
        true
    }

    fn generator_terms(&self, step: &Step) -> Vec<Term> {
        let pairs = Pairs::new(step, self.options.classes_per_step, false);
        let (Some(Pairs { new, old, per_class, represents }), Some(snapshot)) = (pairs, step.inputs.old) else {
            return Vec::new();
        };
        let target = no_grad(|| snapshot.critic.features(&old));
        let squared = snapshot.critic.features(&new).squared_distance(&target);
        let value = squared * (represents / per_class as f64);
        vec![Term::new("feature_alignment", self.options.lambda, value)]
    }
}

impl FromOptions for FeatureAlignment {
    type Options = Options;
    const NAME: &'static str = "ra-features";
    fn about(option: &str) -> Option<&'static str> {
        Options::get_field_docs(option).ok()
    }
    fn from_options(options: Options) -> Result<Self, String> {
        require_positive("lambda", options.lambda)?;
        require_some_classes(options.classes_per_step)?;
        Ok(FeatureAlignment { options })
    }
}
