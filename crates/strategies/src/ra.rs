//! MeRGAN-RA, replay alignment (paper section 3.2, equations 12 and 13): at the same latent and class, the new generator
//! is held to the image that the frozen one makes, pixel by pixel. The critic never sees the past.

use std::path::Path;

use mergan_models::{Generator, Weights, WeightsError};
use serde::Deserialize;

use crate::draws::Purpose;
use crate::memory::{Memory, Replayed};
use crate::strategy::{FromOptions, Step, Strategy, Term};

/// Aligns the new generator with the old.
pub(crate) struct ReplayAlignment {
    options: Options,
    memory: Memory,
}

/// How the weight grows with the number of past classes.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Scaling {
    /// The released code for digits: lambda times the sum over classes, images and pixels of half the squared
    /// difference, divided by the number of classes. As the images of a class are the fewer the more classes there are,
    /// the weight of a class falls with the square of their number.
    Released,
    /// Lambda times the sum over classes of the mean over images of the squared norm: a class weighs the same however
    /// many there are.
    PerClass,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// lambda_RA.
    lambda: f64,
    scaling: Scaling,
    /// How many past classes a step aligns, chosen at random; all when it is left out. Fewer classes have larger groups,
    /// whose batch statistics are less noisy.
    classes_per_step: Option<usize>,
}

impl Strategy for ReplayAlignment {
    fn generator_terms(&self, step: &Step) -> Vec<Term> {
        let past = step.past.len();
        let limit = self.options.classes_per_step.unwrap_or(past);
        let classes = step.draws.choice(Purpose::GeneratorChoice, limit, step.past);
        let n = step.share(classes.len());
        let latents = step.replay_latents(classes.len() * n);
        let Some(Replayed { images: old, latents, conditions }) = self.memory.replay(latents, &classes) else {
            return Vec::new();
        };
        let difference = &step.generator.forward(&latents, &conditions) - &old;
        let squared = difference.square().sum();
        // The classes of this step stand for all of the past.
        let represented = past as f64 / classes.len() as f64;
        let value = match self.options.scaling {
            Scaling::Released => squared.scale(represented * 0.5 / past as f64),
            Scaling::PerClass => squared.scale(represented / n as f64),
        };
        vec![Term::new("alignment", self.options.lambda, value)]
    }

    fn end_task(&mut self, generator: &Generator) {
        self.memory.remember(generator);
    }

    fn save(&self, weights: &mut Weights) {
        self.memory.save(weights);
    }

    fn restore(&mut self, path: &Path, weights: &Weights, generator: &Generator) -> Result<(), WeightsError> {
        self.memory.restore(path, weights, generator)
    }
}

impl FromOptions for ReplayAlignment {
    type Options = Options;
    const NAME: &'static str = "ra";
    fn from_options(options: Options) -> Result<Self, String> {
        if !(options.lambda > 0.0 && options.lambda.is_finite()) {
            return Err(format!("lambda is {}; it must be a positive number", options.lambda));
        }
        if options.classes_per_step == Some(0) {
            return Err("classes_per_step is 0; leave it out to align all past classes".into());
        }
        Ok(ReplayAlignment { options, memory: Memory::default() })
    }
}
