//! EWC, elastic weight consolidation (paper section 2.3, equation 9; Kirkpatrick et al., 2017; Seff et al., 2017, for
//! generators): the weights that mattered to past tasks are held near their values.
//!
//! The importance of a weight is its entry on the diagonal of the Fisher information: the mean over samples of the
//! *squared gradient of one sample's* log-likelihood. The square is taken before the mean, because the mean gradient of
//! a learned task is near zero whatever the samples say. A generator has no likelihood, so the critic supplies a
//! substitute; see [`Likelihood`]. Where normalisation mixes a batch, single samples have no gradients of their own, so
//! gradients are taken under standing statistics, at batch size 1. The released code has no EWC, and the paper's lambda
//! depends on the scale of a likelihood that the paper does not state, so lambda has to be tuned anew.

use std::path::Path;

use documented::DocumentedFieldsOpt;
use mergan_models::{Conditions, Critic, Generator, Network, Standing, Weights, WeightsError};
use mergan_tensor::{Device, Tensor};
use serde::Deserialize;

use super::require_positive;
use crate::draws::Purpose;
use crate::error::Error;
use crate::losses::Term;
use crate::sampling::STANDING_BATCHES;
use crate::step::Step;
use crate::strategy::{FromOptions, Kept, Learned, Strategy, TaskEnd};

/// Holds the weights that mattered to past tasks.
pub struct ElasticWeightConsolidation {
    options: Options,
    /// The diagonal of the Fisher information, with one entry for every weight.
    fisher: Option<Generator>,
}

#[derive(Deserialize, DocumentedFieldsOpt)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// lambda_EWC, the weight of the penalty on changed weights.
    lambda: f64,
    /// The substitute for the log-likelihood of a generated image: `critic` is the critic's score, and `class` is the
    /// log-probability that the class head gives the requested class.
    likelihood: Likelihood,
    /// The tasks that the Fisher information covers: `accumulated` sums it over the tasks, and `latest` measures it
    /// anew on all classes learned so far.
    fisher: Fisher,
    /// The number of generated images from which the Fisher information of a task is estimated.
    samples: usize,
}

/// The substitute for the log-likelihood of a generated image G(z, c).
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Likelihood {
    /// log C(c | G(z, c)), the log-probability that the critic's class head gives the requested class. With one class
    /// per task, the head never sees two classes together, so it is certain whatever its input, and this likelihood
    /// carries no information.
    Class,
    /// D(G(z, c)), the critic's score, used as a log-likelihood as by Seff et al. Its scale is that of the critic, and
    /// so is the scale of lambda.
    Critic,
}

/// The tasks that the Fisher information covers.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Fisher {
    /// The sum over the tasks, each measured on its own classes at its end.
    Accumulated,
    /// The information on all classes learned so far, measured anew at the end of every task.
    Latest,
}

const FISHER: &str = "strategy.fisher.";

impl Strategy for ElasticWeightConsolidation {
    fn needs_snapshot(&self, _task: usize) -> bool {
        true
    }

    fn move_to(&mut self, device: Device) {
        self.fisher = self.fisher.as_ref().map(|fisher| fisher.on(device));
    }

    fn generator_terms(&self, step: &Step) -> Vec<Term> {
        let (Some(old), Some(fisher)) = (step.inputs.old, &self.fisher) else { return Vec::new() };
        let (now, then, fisher) = (step.generator.values(), old.generator.values(), fisher.values());
        let parameters = now.iter().zip(&then).zip(&fisher);
        let parts = parameters.map(|((now, then), fisher)| (&(now - then).square() * fisher).sum());
        let sum = parts.reduce(|sum, part| &sum + &part).expect("a generator has parameters");
        vec![Term::new("consolidation", 0.5 * self.options.lambda, sum)]
    }

    fn end_task(&mut self, end: &TaskEnd) -> Result<(), Error> {
        let Options { likelihood, fisher, samples, .. } = self.options;
        let (samples, batches) = if end.rehearsal { (1, 1) } else { (samples, STANDING_BATCHES) };
        let classes = match fisher {
            Fisher::Accumulated => end.classes().to_vec(),
            Fisher::Latest => end.learned(),
        };
        let latents = |class: usize, i: usize| end.draws(class * batches + i).latents(Purpose::Standing, end.batch);
        let of_class =
            |class: &usize| (0..batches).map(|i| (Conditions::pure(&[*class]), latents(*class, i))).collect::<Vec<_>>();
        let standing = Standing::measure(end.generator, classes.iter().flat_map(of_class));
        let latents = (0..samples).map(|i| (classes[i % classes.len()], end.draws(i).latents(Purpose::Fisher, 1)));
        let measured = fisher_diagonal(end.generator, end.critic, &standing, likelihood, latents);
        self.fisher = Some(match &self.fisher {
            Some(before) if fisher == Fisher::Accumulated => before.zip(&measured, |before, new| before + new),
            _ => measured,
        });
        Ok(())
    }

    fn kept(&self, learned: &Learned) -> Kept {
        let fisher = self.fisher.as_ref().map_or(0, Network::parameter_count);
        Kept { generator_parameters: learned.generator.parameter_count() + fisher, ..Kept::default() }
    }

    fn grow(&mut self, generator: &Generator) {
        // Nothing learned so far depends on the parameters of a new class, so their entries are zero.
        let nothing = generator.map(|value| value.detach() * 0.0);
        self.fisher = self.fisher.as_ref().map(|fisher| nothing.holding(fisher));
    }

    fn save(&self, weights: &mut Weights) {
        if let Some(fisher) = &self.fisher {
            weights.insert_network(FISHER, fisher);
        }
    }

    fn restore(
        &mut self,
        path: &Path,
        weights: &Weights,
        generator: &Generator,
        learned: &[usize],
    ) -> Result<(), WeightsError> {
        if !learned.is_empty() {
            self.fisher = Some(weights.network(path, FISHER, &generator.frozen())?);
        }
        Ok(())
    }
}

/// Returns the mean over samples, each a class and a latent `[1, latent]`, of the squared gradient of the sample's
/// log-likelihood.
fn fisher_diagonal(
    generator: &Generator,
    critic: &Critic,
    standing: &Standing,
    likelihood: Likelihood,
    samples: impl ExactSizeIterator<Item = (usize, Tensor)>,
) -> Generator {
    let share = 1.0 / samples.len() as f64;
    let trained = generator.trainable();
    let variables = trained.values();
    let mut sums: Vec<Tensor> = variables.iter().map(|value| Tensor::zeros(value.shape(), value.device())).collect();
    for (class, latent) in samples {
        let image = trained.forward_standing(&latent, &Conditions::pure(&[class]), standing);
        let verdict = critic.forward(&image);
        let log_likelihood = match likelihood {
            Likelihood::Class => -&verdict.logits.cross_entropy(&[class]),
            Likelihood::Critic => verdict.score.sum(),
        };
        let gradients = log_likelihood.gradients(&variables.iter().collect::<Vec<_>>());
        sums.iter_mut().zip(&gradients).for_each(|(sum, gradient)| *sum = &*sum + gradient.square() * share);
    }
    let mut fisher = generator.frozen();
    fisher.parameters_mut().into_iter().zip(sums).for_each(|(parameter, sum)| parameter.value = sum);
    fisher
}

impl FromOptions for ElasticWeightConsolidation {
    type Options = Options;
    const NAME: &'static str = "ewc";
    fn about(option: &str) -> Option<&'static str> {
        Options::get_field_docs(option).ok()
    }
    fn from_options(options: Options) -> Result<Self, String> {
        require_positive("lambda", options.lambda)?;
        if options.samples == 0 {
            return Err("samples is 0; the Fisher information needs at least one".into());
        }
        Ok(ElasticWeightConsolidation { options, fisher: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use mergan_models::{Architecture, ModelConfig};
    use mergan_tensor::{Address, Random};

    const SIZES: ModelConfig =
        ModelConfig { architecture: Architecture::Digit, width: 2, channels: 1, classes: 3, latent: 6 };

    fn latents(inner: u32, n: usize) -> Tensor {
        Random::new(1).normal(Address { substep: inner, ..Address::default() }, [n, 6], Device::Reference)
    }

    /// Compares the diagonal with finite differences of each sample's log-likelihood in f64. The square of the mean
    /// gradient, a common mistake, is far from it.
    #[test]
    fn squares_are_taken_sample_by_sample() {
        let generator = Generator::new(SIZES, Random::new(0), Device::Cpu).on(Device::Reference);
        let critic = Critic::new(SIZES, Random::new(0), Device::Cpu).on(Device::Reference);
        let pure = |class, i| (Conditions::pure(&[class]), latents(i, 8));
        let standing = Standing::measure(&generator, [pure(0, 0), pure(2, 1)]);
        let samples: Vec<_> = [0, 2, 0, 2].into_iter().zip(2..).map(|(class, i)| (class, latents(i, 1))).collect();
        for likelihood in [Likelihood::Class, Likelihood::Critic] {
            let fisher = fisher_diagonal(&generator, &critic, &standing, likelihood, samples.clone().into_iter());
            // The first element of every parameter is checked; in tables of classes it belongs to class 0.
            for parameter in 0..generator.values().len() {
                let slopes: Vec<f64> = samples
                    .iter()
                    .map(|(class, latent)| {
                        let at = |offset: f64| {
                            let mut moved = generator.clone();
                            let value = &mut moved.parameters_mut().swap_remove(parameter).value;
                            let mut numbers = value.to_vec::<f64>();
                            numbers[0] += offset;
                            *value = Tensor::from_vec(numbers, value.shape(), Device::Reference);
                            let image = moved.forward_standing(latent, &Conditions::pure(&[*class]), &standing);
                            let verdict = critic.forward(&image);
                            match likelihood {
                                Likelihood::Class => -verdict.logits.cross_entropy(&[*class]).item(),
                                Likelihood::Critic => verdict.score.item(),
                            }
                        };
                        (at(1e-6) - at(-1e-6)) / 2e-6
                    })
                    .collect();
                let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / slopes.len() as f64;
                let of_squares = mean(&mut slopes.iter().map(|slope| slope * slope));
                let of_mean = mean(&mut slopes.iter().copied()).powi(2);
                let ours = fisher.values()[parameter].to_vec::<f64>()[0];
                assert_relative_eq!(ours, of_squares, max_relative = 1e-4, epsilon = 1e-12);
                assert!(of_squares < 1e-12 || (ours - of_mean).abs() > 0.1 * ours, "parameter {parameter}");
            }
        }
    }
}
