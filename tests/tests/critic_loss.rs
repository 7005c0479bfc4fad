//! Checks the whole critic loss, penalty included, against finite differences in f64, with respect to every single
//! weight of small critics. A penalty that lacks its double backward, is taken per pixel or uses the wrong head
//! cannot pass.

use mergan_models::{Conditions, Critic, Generator, ModelConfig, Network};
use mergan_strategies::losses::{LossWeights, critic_terms, generator_terms, gradient_penalty, total};
use mergan_strategies::{Augmentation, Draws, Term, View};
use mergan_tensor::{Device, Random, Tensor};
use mergan_tests::{RESIDUAL, images, images_for, uniform};

const BATCH: usize = 2;

fn small_critic() -> Critic {
    critic_of(ModelConfig { width: 1, classes: 3, ..ModelConfig::default() })
}

/// The sizes of small residual networks for photographs.
const SMALL: ModelConfig = ModelConfig { classes: 3, latent: 4, ..RESIDUAL };

fn critic_of(sizes: ModelConfig) -> Critic {
    let mut critic = Critic::new(sizes, Random::new(5), Device::Reference);
    for (parameter, stream) in critic.parameters_mut().iter_mut().zip(700..) {
        parameter.value = uniform(stream, parameter.value.shape(), |u| 0.4 * u);
    }
    critic
}

fn loss<'a>(critic: impl Into<View<'a>>, sizes: ModelConfig) -> Tensor {
    let fraction = uniform(3, [BATCH, 1, 1, 1], |u| (u + 1.0) / 2.0);
    let [real, fake] = [1, 2].map(|stream| images_for(sizes, stream, BATCH));
    total(&critic_terms(critic, &real, &fake, &fraction, &[2, 0], LossWeights::default()))
}

#[test]
fn every_weight_of_the_critic() {
    let sizes = ModelConfig { width: 1, classes: 3, ..ModelConfig::default() };
    assert_every_weight(critic_of(sizes), |critic| loss(critic, sizes));
}

#[test]
fn every_weight_of_the_residual_critic_for_photographs() {
    assert_every_weight(critic_of(SMALL), |critic| loss(critic, SMALL));
}

/// The random changes and their random numbers.
fn draws(noise: &Random) -> Draws<'_> {
    Draws { noise, device: Device::Reference, latent: SMALL.latent, task: 0, iteration: 3, inner: 1 }
}

const EVERY_CHANGE: Augmentation = Augmentation { color: true, translation: true, cutout: true };

#[test]
fn every_weight_of_a_critic_that_sees_changed_images() {
    let noise = Random::new(8);
    assert_every_weight(critic_of(SMALL), |critic| loss(View::new(critic, EVERY_CHANGE, draws(&noise)), SMALL));
}

/// Compares the gradient of the loss with respect to each weight with finite differences.
fn assert_every_weight<N: Network>(network: N, loss: impl Fn(&N) -> Tensor) {
    const STEP: f64 = 1e-6;
    let network = network.trainable();
    let values = network.values();
    let gradients = loss(&network).gradients(&values.iter().collect::<Vec<_>>());
    let mut checked = 0;
    for (p, (value, gradient)) in values.iter().zip(&gradients).enumerate() {
        let (numbers, gradient): (Vec<f64>, Vec<f64>) = (value.to_vec(), gradient.to_vec());
        for i in 0..numbers.len() {
            let at = |step: f64| {
                let (mut moved, mut numbers) = (network.clone(), numbers.clone());
                numbers[i] += step;
                moved.parameters_mut()[p].value = Tensor::from_vec(numbers, value.shape(), Device::Reference);
                loss(&moved).item()
            };
            let expected = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            assert!(
                (gradient[i] - expected).abs() <= 1e-5 * (1.0 + expected.abs()),
                "parameter {p}, weight {i}: {}, finite differences say {expected}",
                gradient[i]
            );
            checked += 1;
        }
    }
    assert_eq!(checked, network.parameter_count());
}

/// The generator learns through the changes of the images that the critic sees.
#[test]
fn every_weight_of_a_generator_whose_images_are_changed() {
    let (noise, critic) = (Random::new(8), critic_of(SMALL));
    let generator = Generator::new(SMALL, Random::new(5), Device::Reference);
    let latents = uniform(4, [2 * BATCH, SMALL.latent], |u| u);
    assert_every_weight(generator, |generator| {
        let fake = generator.forward(&latents, &Conditions::pure(&[2, 0]));
        let view = View::new(&critic, EVERY_CHANGE, draws(&noise));
        total(&generator_terms(view, &fake, &[2, 2, 0, 0], LossWeights::default()))
    });
}

#[test]
fn the_penalty_reaches_every_layer_under_the_critic_head_and_not_the_class_head() {
    let critic = small_critic().trainable();
    let fraction = uniform(3, [BATCH, 1, 1, 1], |u| (u + 1.0) / 2.0);
    let penalty = gradient_penalty(&critic, &images(1, BATCH), &images(2, BATCH), &fraction);
    let values = critic.values();
    let gradients = penalty.gradients_or_zeros(&values.iter().collect::<Vec<_>>());
    for (parameter, gradient) in critic.parameters().iter().zip(&gradients) {
        let reached = gradient.square().sum().item() > 0.0;
        // Biases only shift the score; they enter its slope only through the rectifiers' masks, which are constant.
        let expected = matches!(parameter.name.as_str(), "c1.weight" | "c2.weight" | "c3.weight" | "o.weight");
        assert_eq!(reached, expected, "{}", parameter.name);
    }
}

#[test]
fn the_norm_is_over_all_pixels_of_an_image() {
    let critic = small_critic().trainable();
    let fraction = uniform(3, [BATCH, 1, 1, 1], |u| (u + 1.0) / 2.0);
    let (real, fake) = (images(1, BATCH), images(2, BATCH));
    let between = (&real + &(&(&fake - &real) * &fraction)).variable();
    let slopes: Vec<f64> = critic.score(&between).sum().gradient(&between).to_vec();
    let expected = slopes.chunks(1024).map(|image| (image.iter().map(|s| s * s).sum::<f64>().sqrt() - 1.0).powi(2));
    let penalty = gradient_penalty(&critic, &real, &fake, &fraction).item();
    approx::assert_relative_eq!(penalty, expected.sum::<f64>() / BATCH as f64, max_relative = 1e-12);
}

#[test]
fn terms_weigh_what_they_are_told_to() {
    let (critic, weights) = (small_critic(), LossWeights { penalty: 3.0, class: 0.5 });
    let (real, fake, fraction) = (images(1, BATCH), images(2, BATCH), uniform(3, [BATCH, 1, 1, 1], |_| 0.5));
    let told = |terms: &[Term]| terms.iter().map(|term| (term.name, term.weight)).collect::<Vec<_>>();
    let terms = critic_terms(&critic, &real, &fake, &fraction, &[2, 0], weights);
    assert_eq!(told(&terms), [("wasserstein", 1.0), ("penalty", 3.0), ("class_real", 0.5)]);
    assert_eq!(told(&generator_terms(&critic, &fake, &[2, 0], weights)), [("adversarial", 1.0), ("class_fake", 0.5)]);
}
