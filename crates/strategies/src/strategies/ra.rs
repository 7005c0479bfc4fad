//! MeRGAN-RA, replay alignment (paper section 3.2, equations 12 and 13): for the same latent and class, the new
//! generator is held to the image that the frozen one makes, pixel by pixel. The critic never sees the past.

use documented::DocumentedFieldsOpt;
use mergan_tensor::Tensor;
use serde::Deserialize;

use super::{require_positive, require_some_classes};
use crate::losses::Term;
use crate::step::{Replayed, Step};
use crate::strategy::{FromOptions, Strategy};

/// Aligns the new generator with the old one.
pub struct ReplayAlignment {
    options: Options,
}

/// How the weight of the alignment depends on the number of past classes.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Scaling {
    /// As in the released code for digits: lambda times the sum over classes, images and pixels of half the squared
    /// difference, divided by the number of classes. More classes also mean fewer images of each, so the weight of a
    /// class falls with the square of the number of classes.
    Released,
    /// As in the released code for LSUN: as for digits, but not divided by the number of classes.
    Sum,
    /// Lambda times the sum over classes of the mean over images of the squared norm. The weight of a class does not
    /// depend on the number of classes.
    PerClass,
    /// As per class, divided by the root of the number of classes. The weight of a class falls more slowly than in the
    /// released code, and that of the past as a whole grows more slowly than per class.
    Root,
}

#[derive(Deserialize, DocumentedFieldsOpt)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// lambda_RA, the weight of the alignment.
    lambda: f64,
    /// How the weight depends on the number of past classes: `released` and `sum` are as in the released code for
    /// digits and for LSUN; with `per-class` the weight of a class does not depend on their number, and with `root` it
    /// falls with the root of their number.
    scaling: Scaling,
    /// The number of past classes, chosen at random, that a step aligns; all if it is left out. With fewer classes, the
    /// groups are larger and their batch statistics less noisy.
    classes_per_step: Option<usize>,
    /// Whether each class is aligned on a whole batch, as in the released code for LSUN, instead of its share of one.
    #[serde(default)]
    whole_batches: bool,
}

/// Images of past classes from the new and the old generator at the same latents.
pub(crate) struct Pairs {
    pub(crate) new: Tensor,
    pub(crate) old: Tensor,
    /// The number of pairs of each class.
    pub(crate) per_class: usize,
    /// The number of past classes that each class of this step stands for.
    pub(crate) represents: f64,
}

impl Pairs {
    /// Generates pairs of at most `limit` past classes, or of all if there is no limit. The classes share one batch, or
    /// each has a whole batch of its own. Returns `None` in the first task.
    pub(crate) fn new(step: &Step, limit: Option<usize>, whole_batches: bool) -> Option<Self> {
        let classes = step.choose(limit);
        let per_class = if whole_batches { step.inputs.batch } else { step.share(classes.len()) };
        let Replayed { images: old, latents, conditions } = step.replay(&classes, per_class)?;
        let new = step.generator.forward(&latents, &conditions);
        Some(Pairs { new, old, per_class, represents: step.inputs.past.len() as f64 / classes.len() as f64 })
    }
}

impl Strategy for ReplayAlignment {
    fn needs_snapshot(&self, _task: usize) -> bool {
        true
    }

    fn generator_terms(&self, step: &Step) -> Vec<Term> {
        let Options { lambda, classes_per_step, whole_batches, .. } = self.options;
        let Some(Pairs { new, old, per_class, represents }) = Pairs::new(step, classes_per_step, whole_batches) else {
            return Vec::new();
        };
        let squared = new.squared_distance(&old);
        let value = match self.options.scaling {
            Scaling::Released => squared * (represents * 0.5 / step.inputs.past.len() as f64),
            Scaling::Sum => squared * (represents * 0.5),
            Scaling::PerClass => squared * (represents / per_class as f64),
            Scaling::Root => squared * (represents / per_class as f64 / (step.inputs.past.len() as f64).sqrt()),
        };
        vec![Term::new("alignment", lambda, value)]
    }
}

impl FromOptions for ReplayAlignment {
    type Options = Options;
    const NAME: &'static str = "ra";
    fn about(option: &str) -> Option<&'static str> {
        Options::get_field_docs(option).ok()
    }
    fn from_options(options: Options) -> Result<Self, String> {
        require_positive("lambda", options.lambda)?;
        require_some_classes(options.classes_per_step)?;
        Ok(ReplayAlignment { options })
    }
}
