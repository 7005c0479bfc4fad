//! MeRGAN-RA, replay alignment (paper section 3.2, equations 12 and 13): at the same latent and class, the new generator
//! is held to the image that the frozen one makes, pixel by pixel. The critic never sees the past.

use documented::DocumentedFieldsOpt;
use mergan_tensor::Tensor;
use serde::Deserialize;

use super::require_positive;
use crate::draws::Purpose;
use crate::losses::Term;
use crate::step::{Replayed, Step};
use crate::strategy::{FromOptions, Strategy};

/// Aligns the new generator with the old.
pub struct ReplayAlignment {
    options: Options,
}

/// How the weight grows with the number of past classes.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Scaling {
    /// The released code for digits: lambda times the sum over classes, images and pixels of half the squared
    /// difference, divided by the number of classes. As the images of a class are the fewer the more classes there are,
    /// the weight of a class falls with the square of their number.
    Released,
    /// The released code for LSUN: as for digits, but divided by nothing.
    Sum,
    /// Lambda times the sum over classes of the mean over images of the squared norm: a class weighs the same however
    /// many there are.
    PerClass,
}

#[derive(Deserialize, DocumentedFieldsOpt)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// lambda_RA.
    lambda: f64,
    /// How the weight grows with the number of past classes: `released` and `sum` are the released code's for digits and for
    /// LSUN, with `per-class` a class weighs the same however many there are.
    scaling: Scaling,
    /// How many past classes a step aligns, chosen at random; all when it is left out. Fewer classes have larger groups,
    /// whose batch statistics are less noisy.
    classes_per_step: Option<usize>,
    /// Whether each class is aligned on a whole batch, as in the released code for LSUN, instead of its share of one.
    #[serde(default)]
    whole_batches: bool,
}

/// Images of past classes from the new and the old generator, at the same latents.
pub(crate) struct Pairs {
    pub(crate) new: Tensor,
    pub(crate) old: Tensor,
    /// Pairs of each class.
    pub(crate) per_class: usize,
    /// For how many past classes each class of this step stands.
    pub(crate) represents: f64,
}

impl Pairs {
    /// Pairs of at most `limit` past classes, all of them where there is no limit, which share a batch or have a whole one
    /// each; nothing in the first task.
    pub(crate) fn new(step: &Step, limit: Option<usize>, whole_batches: bool) -> Option<Self> {
        let past = step.round.past.len();
        let classes = step.round.draws.choice(Purpose::GeneratorChoice, limit.unwrap_or(past), step.round.past);
        let per_class = if whole_batches { step.round.batch } else { step.share(classes.len()) };
        let Replayed { images: old, latents, conditions } = step.replay(&classes, per_class)?;
        let new = step.generator.forward(&latents, &conditions);
        Some(Pairs { new, old, per_class, represents: past as f64 / classes.len() as f64 })
    }
}

impl Strategy for ReplayAlignment {
    fn needs_snapshot(&self) -> bool {
        true
    }

    fn generator_terms(&self, step: &Step) -> Vec<Term> {
        let Options { lambda, classes_per_step, whole_batches, .. } = self.options;
        let Some(Pairs { new, old, per_class, represents }) = Pairs::new(step, classes_per_step, whole_batches) else {
            return Vec::new();
        };
        let squared = new.squared_distance(&old);
        let value = match self.options.scaling {
            Scaling::Released => squared * (represents * 0.5 / step.round.past.len() as f64),
            Scaling::Sum => squared * (represents * 0.5),
            Scaling::PerClass => squared * (represents / per_class as f64),
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

/// Refuses a limit of no class.
pub(crate) fn require_some_classes(limit: Option<usize>) -> Result<(), String> {
    match limit {
        Some(0) => Err("classes_per_step is 0; leave it out to align all past classes".into()),
        _ => Ok(()),
    }
}
