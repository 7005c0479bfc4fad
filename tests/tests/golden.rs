//! Compares losses, gradients and iterations of training with PyTorch, in f64 on both sides; see `golden/README.md`.

use approx::relative_eq;
use mergan_models::{Architecture, Conditions, Critic, ModelConfig, Network, Standing};
use mergan_strategies::losses::{LossWeights, critic_terms, generator_terms, gradient_penalty, total};
use mergan_strategies::{
    Augmentation, Batch, Choice, Config, Draws, Grouping, Learner, Losses, ReplayCounter, Role, Snapshot, Step,
    StepInputs, Strategies, Strategy, Term,
};
use mergan_tensor::{AdamOptions, Device, Tensor};
use mergan_tests::{
    Formula, GENERATOR, Golden, OLD_GENERATOR, RESIDUAL, RESNET, SIZES, critic, generator, images, images_for, latents,
    training_stream, uniform, unit,
};

/// Compares pairs of (ours, PyTorch's).
fn assert_equal(name: &str, pairs: impl IntoIterator<Item = (f64, f64)>, tolerance: f64) {
    for (ours, golden) in pairs {
        assert!(
            relative_eq!(ours, golden, epsilon = 0.01 * tolerance, max_relative = tolerance),
            "{name}: {ours}, PyTorch says {golden}"
        );
    }
}

const EXACT: f64 = 1e-9;

fn assert_gradients<N: Network>(golden: &Golden, case: &str, which: &str, network: &N, loss: &Tensor) {
    let values = network.values();
    let gradients = loss.gradients(&values.iter().collect::<Vec<_>>());
    for (parameter, gradient) in network.parameters().iter().zip(&gradients) {
        let name = format!("{case}.grad.{which}.{}", parameter.name);
        assert_equal(&name, golden.pairs(&name, gradient), EXACT);
    }
}

/// Compares terms with golden values; `names` gives for each its golden name and the factor by which its value is
/// multiplied there.
fn assert_terms(golden: &Golden, case: &str, terms: &[Term], names: &[(&str, f64)]) {
    assert_eq!(terms.len(), names.len());
    for (term, (name, factor)) in terms.iter().zip(names) {
        let name = format!("{case}.{name}");
        assert_equal(&name, [(term.value.item() * factor, golden.get(&name)[0])], EXACT);
    }
    let sum = format!("{case}.total");
    assert_equal(&sum, [(total(terms).item(), golden.get(&sum)[0])], EXACT);
}

/// The class that the single steps learn, and the classes before it.
const CLASS: usize = 3;
const PAST: [usize; 3] = [0, 1, 2];

fn strategy(name: &str) -> Box<dyn Strategy> {
    let options = match name {
        "ra" => toml::toml! { lambda = 1e-3
        scaling = "released" },
        "jtr" => toml::toml! { replay = "sum" },
        _ => toml::Table::new(),
    };
    Strategies::built_in().build(name, &options).unwrap()
}

fn old(sizes: ModelConfig) -> Snapshot {
    Snapshot { generator: generator(sizes, OLD_GENERATOR), critic: critic(sizes) }
}

fn draws(noise: &Formula, task: usize, iteration: usize, inner: usize) -> Draws<'_> {
    Draws { noise, device: Device::Reference, latent: 128, task, iteration, inner }
}

#[test]
fn the_formula_is_pythons() {
    let golden = Golden::open("losses");
    for (i, value) in (0..).zip(golden.get("formula.unit")) {
        assert_eq!(unit(1, i), value);
    }
}

#[test]
fn the_critics_loss() {
    let (golden, critic, generator) = (Golden::open("losses"), critic(SIZES), generator(SIZES, GENERATOR));
    let real = images(1, 4);
    let fake = generator.forward(&latents(2, 4), &Conditions::pure(&[CLASS])).detach();
    assert_equal("forward.fake", golden.pairs("forward.fake", &fake), EXACT);
    let verdict = critic.forward(&real);
    assert_equal("forward.scores", golden.pairs("forward.scores", &verdict.score), EXACT);
    assert_equal("forward.logits", golden.pairs("forward.logits", &verdict.logits), EXACT);

    let fraction = uniform(3, [4, 1, 1, 1], |u| (u + 1.0) / 2.0);
    let terms = critic_terms(&critic, &real, &fake, &fraction, &[CLASS; 4], LossWeights::default());
    assert_terms(&golden, "critic", &terms, &[("wasserstein", 1.0), ("penalty", 1.0), ("classification", 1.0)]);
    assert_gradients(&golden, "critic", "critic", &critic, &total(&terms));
}

/// Makes the classic mistakes with the penalty on purpose: each yields what PyTorch yields for the same mistake, and
/// none yields the right penalty.
#[test]
fn wrong_penalties_are_told_from_the_right_one() {
    let (golden, critic, generator) = (Golden::open("losses"), critic(SIZES), generator(SIZES, GENERATOR));
    let (real, fraction) = (images(1, 4), uniform(3, [4, 1, 1, 1], |u| (u + 1.0) / 2.0));
    let fake = generator.forward(&latents(2, 4), &Conditions::pure(&[CLASS])).detach();
    let between = (&real + &(&(&fake - &real) * &fraction)).variable();
    let slope = |score: &Tensor| score.sum().differentiable_gradient(&between);
    let penalty = |norm: Tensor| (norm - 1.0).square().mean();
    let per_image = |slope: &Tensor| penalty(slope.square().sum_axes(&[1, 2, 3]).sqrt());
    let verdict = critic.forward(&between);
    let right = gradient_penalty(&critic, &real, &fake, &fraction);
    let right_gradient = critic_gradient(&critic, &real, &fake, &fraction, &right);
    let mutants = [
        ("detached", per_image(&slope(&verdict.score).detach())),
        ("per_pixel", penalty(slope(&verdict.score).square().sqrt())),
        ("class_head", per_image(&slope(&Tensor::concat(0, &[&verdict.score, &verdict.logits.sum_to([4, 1])])))),
    ];
    for (name, wrong) in mutants {
        let value = format!("mutant.{name}.penalty");
        assert_equal(&value, [(wrong.item(), golden.get(&value)[0])], EXACT);
        let gradient = critic_gradient(&critic, &real, &fake, &fraction, &wrong);
        let golden_gradient = format!("mutant.{name}.grad.critic.c1.weight");
        assert_equal(&golden_gradient, golden.pairs(&golden_gradient, &gradient), EXACT);
        let distance = (&gradient - &right_gradient).square().sum().item().sqrt();
        assert!(distance > 1e-2 * right_gradient.square().sum().item().sqrt(), "{name}");
    }
}

/// Returns the gradient of the critic's whole loss, with this penalty, with respect to its first kernel.
fn critic_gradient(critic: &Critic, real: &Tensor, fake: &Tensor, fraction: &Tensor, penalty: &Tensor) -> Tensor {
    let mut terms = critic_terms(critic, real, fake, fraction, &[CLASS; 4], LossWeights::default());
    terms.iter_mut().filter(|term| term.name == "penalty").for_each(|term| term.value = penalty.clone());
    total(&terms).gradients(&[&critic.values()[0]]).remove(0)
}

#[test]
fn the_generators_loss() {
    let (golden, critic, generator) = (Golden::open("losses"), critic(SIZES), generator(SIZES, GENERATOR));
    let fake = generator.forward(&latents(2, 4), &Conditions::pure(&[CLASS]));
    let terms = generator_terms(&critic, &fake, &[CLASS; 4], LossWeights::default());
    assert_terms(&golden, "generator", &terms, &[("adversarial", 1.0), ("classification", 1.0)]);
    assert_gradients(&golden, "generator", "generator", &generator, &total(&terms));
}

#[test]
fn what_the_strategies_add() {
    let (golden, critic, generator) = (Golden::open("losses"), critic(SIZES), generator(SIZES, GENERATOR));
    let (old, replay_counter) = (old(SIZES), ReplayCounter::default());
    let round = |weights| StepInputs {
        old: Some(&old),
        past: &PAST,
        classes: &[CLASS],
        grouping: Grouping::Pure,
        batch: 6,
        mirror: false,
        augmentation: Augmentation::default(),
        weights,
        rate: 1e-4,
        draws: draws(&Formula::Single, CLASS, 0, 0),
        replay_counter: &replay_counter,
    };
    // None of these strategies mixes past classes into the critic's batch, so their steps have the same view.
    let step = |role, inputs| Step::new(&*strategy("sft"), role, &generator, &critic, inputs);
    let usual = round(LossWeights::default());
    let [on_critic, on_generator] = [Role::Critic, Role::Generator].map(|role| step(role, &usual));

    let terms = strategy("ra").generator_terms(&on_generator);
    assert_terms(&golden, "ra.generator", &terms, &[("alignment", 1e-3)]);
    assert_gradients(&golden, "ra.generator", "generator", &generator, &total(&terms));

    let past = PAST.len() as f64;
    let terms = strategy("jtr").critic_terms(&on_critic);
    assert_terms(&golden, "jtr.critic", &terms, &[("replay.wasserstein", past), ("replay.classification", past)]);
    assert_gradients(&golden, "jtr.critic", "critic", &critic, &total(&terms));

    let terms = strategy("jtr").generator_terms(&on_generator);
    assert_terms(&golden, "jtr.generator", &terms, &[("replay.adversarial", past), ("replay.classification", past)]);
    assert_gradients(&golden, "jtr.generator", "generator", &generator, &total(&terms));

    for silent in ["sft", "jt"] {
        let strategy = strategy(silent);
        assert!(strategy.critic_terms(&on_critic).is_empty() && strategy.generator_terms(&on_generator).is_empty());
    }
    assert!(strategy("ra").critic_terms(&on_critic).is_empty());

    let lighter = round(LossWeights { class: 0.5, ..LossWeights::default() });
    let weights = |terms: &[Term]| terms.iter().map(|term| (term.name, term.weight)).collect::<Vec<_>>();
    let terms = strategy("jtr").critic_terms(&step(Role::Critic, &lighter));
    assert_eq!(weights(&terms), [("replay_wasserstein", past), ("replay_class_real", 0.5 * past)]);
    let terms = strategy("jtr").generator_terms(&step(Role::Generator, &lighter));
    assert_eq!(weights(&terms), [("replay_adversarial", past), ("replay_class_fake", 0.5 * past)]);
}

#[test]
fn conditional_batch_norm() {
    let golden = Golden::open("conditional_batch_norm");
    let classes = [4, 0, 7];
    let x = uniform(10, [6, 3, 4, 5], |u| u).variable();
    let scale = uniform(11, [10, 3], |u| 1.0 + 0.3 * u).variable();
    let shift = uniform(12, [10, 3], |u| 0.3 * u).variable();
    let [w, v] = [13, 14].map(|stream| uniform(stream, [6, 3, 4, 5], |u| u));
    let y = x.batch_norm_leaky_relu(&scale.index_select(0, &classes), &shift.index_select(0, &classes), 3, 1e-5, 1.0);
    let first = (&y * &w).sum().differentiable_gradients(&[&x, &scale, &shift]);
    let second = (&first[0] * &v).sum().gradients(&[&x, &scale]);
    let named =
        ["output", "first.grad.x", "first.grad.scale", "first.grad.shift", "second.grad.x", "second.grad.scale"];
    for (name, ours) in named.iter().zip([&y].into_iter().chain(&first).chain(&second)) {
        assert_equal(name, golden.pairs(name, ours), EXACT);
    }
}

/// Tests the critic's and the generator's losses of residual networks.
fn assert_losses(file: &str, sizes: ModelConfig) {
    let golden = Golden::open(file);
    let (critic, generator) = (critic(sizes), generator(sizes, GENERATOR));
    let real = images_for(sizes, 1, 2);
    let fake = generator.forward(&latents(2, 2), &Conditions::pure(&[CLASS]));
    assert_equal("forward.fake", golden.pairs("forward.fake", &fake), EXACT);
    let verdict = critic.forward(&real);
    assert_equal("forward.scores", golden.pairs("forward.scores", &verdict.score), EXACT);
    assert_equal("forward.logits", golden.pairs("forward.logits", &verdict.logits), EXACT);

    let fraction = uniform(3, [2, 1, 1, 1], |u| (u + 1.0) / 2.0);
    let terms = critic_terms(&critic, &real, &fake.detach(), &fraction, &[CLASS; 2], LossWeights::default());
    assert_terms(&golden, "critic", &terms, &[("wasserstein", 1.0), ("penalty", 1.0), ("classification", 1.0)]);
    assert_gradients(&golden, "critic", "critic", &critic, &total(&terms));

    let terms = generator_terms(&critic, &fake, &[CLASS; 2], LossWeights::default());
    assert_terms(&golden, "generator", &terms, &[("adversarial", 1.0), ("classification", 1.0)]);
    assert_gradients(&golden, "generator", "generator", &generator, &total(&terms));
}

/// Tests the networks for LSUN, with the penalty through layer norm.
#[test]
fn residual_networks() {
    assert_losses("resnet", RESNET);
}

#[test]
fn residual_networks_for_photographs() {
    assert_losses("residual", RESIDUAL);
}

/// A recipe of the released code, starting from the same weights, latents and images as PyTorch's.
struct Recipe {
    file: &'static str,
    sizes: ModelConfig,
    batch: usize,
    iterations: usize,
    critic_steps: usize,
}

const DIGITS: Recipe = Recipe { file: "iterations", sizes: SIZES, batch: 64, iterations: 10, critic_steps: 5 };
const LSUN: Recipe = Recipe { file: "resnet", sizes: RESNET, batch: 3, iterations: 3, critic_steps: 2 };

impl Recipe {
    fn follow(
        &self,
        name: &str,
        strategy: &dyn Strategy,
        task: usize,
        generator_losses: &[(&str, f64)],
        critic_losses: &[(&str, f64)],
    ) {
        let Recipe { file, sizes, batch, iterations, critic_steps } = *self;
        let golden = Golden::open(file);
        let adam = AdamOptions { beta1: 0.0, beta2: 0.9, epsilon: 1e-8 };
        let learner = Learner::new(&generator(sizes, GENERATOR), &critic(sizes), adam, |_| true);
        let Learner { mut generator, mut critic } = learner;
        let past: Vec<usize> = (0..task).collect();
        let compare = |case: &str, row: usize, losses: &Losses, names: &[(&str, f64)]| {
            for ((_, value), (suffix, factor)) in losses.read().iter().zip(names) {
                let name = format!("{name}.{case}.{suffix}");
                assert_equal(&name, [(value * factor, golden.get(&name)[row])], EXACT);
            }
            assert_eq!(losses.names().len(), names.len());
        };
        let (classes, old, replay_counter) = ([task], old(sizes), ReplayCounter::default());
        for iteration in 0..iterations {
            let round = |inner| StepInputs {
                old: Some(&old),
                past: &past,
                classes: &classes,
                grouping: Grouping::Pure,
                batch,
                mirror: false,
                augmentation: Augmentation::default(),
                weights: LossWeights::default(),
                rate: 1e-4,
                draws: draws(&Formula::Training, task, iteration, inner),
                replay_counter: &replay_counter,
            };
            if iteration > 0 {
                let losses = generator.step(&critic.network, strategy, &round(0));
                compare("generator", iteration - 1, &losses, generator_losses);
            }
            for inner in 0..critic_steps {
                let stream = training_stream(iteration as u32, 2, inner as u32);
                let real = Batch { images: images_for(sizes, stream, batch), labels: vec![task; batch] };
                let losses = critic.step(&generator.network, strategy, &round(inner), real);
                compare("critic", iteration * critic_steps + inner, &losses, critic_losses);
            }
        }
        assert_parameters(&golden, &format!("{name}.after.generator"), &generator.network);
        assert_parameters(&golden, &format!("{name}.after.critic"), &critic.network);
    }
}

fn assert_parameters<N: Network>(golden: &Golden, prefix: &str, network: &N) {
    for parameter in network.parameters() {
        let name = format!("{prefix}.{}", parameter.name);
        assert_equal(&name, golden.moments(&name, &parameter.value), 1e-7);
    }
}

const GENERATOR_LOSSES: [(&str, f64); 2] = [("adversarial", 1.0), ("classification", 1.0)];
const CRITIC_LOSSES: [(&str, f64); 3] = [("wasserstein", 1.0), ("penalty", 1.0), ("classification", 1.0)];

/// Returns the losses of joint replay, with the factor by which the terms of the past are multiplied.
fn with_replay(factor: f64) -> [Vec<(&'static str, f64)>; 2] {
    let replay = [("replay.adversarial", factor), ("replay.classification", factor)];
    let critic_replay = [("replay.wasserstein", factor), ("replay.classification", factor)];
    [[&GENERATOR_LOSSES[..], &replay].concat(), [&CRITIC_LOSSES[..], &critic_replay].concat()]
}

#[test]
fn standing_statistics_stand_in_for_the_batchs() {
    let golden = Golden::open("standing");
    let generator = generator(SIZES, GENERATOR);
    let mut standing = Standing::measure(&generator, []);
    for (parameter, stream) in standing.parameters_mut().iter_mut().zip(400..) {
        let value = if stream % 2 == 0 { |u: f64| 0.3 * u } else { |u: f64| 1.0 + 0.3 * u };
        parameter.value = uniform(stream, parameter.value.shape(), value);
    }
    let images = generator.forward_standing(&latents(2, 3), &Conditions::pure(&[4, 0, 7]), &standing);
    assert_equal("images", golden.pairs("images", &images), EXACT);
}

#[test]
fn ten_iterations_of_sft() {
    DIGITS.follow("sft", &*strategy("sft"), 0, &GENERATOR_LOSSES, &CRITIC_LOSSES);
}

#[test]
fn ten_iterations_of_jtr() {
    let [generator_losses, critic_losses] = with_replay(2.0);
    DIGITS.follow("jtr", &*strategy("jtr"), 2, &generator_losses, &critic_losses);
}

#[test]
fn ten_iterations_of_ra() {
    let generator_losses = [&GENERATOR_LOSSES[..], &[("alignment", 1e-3)]].concat();
    DIGITS.follow("ra", &*strategy("ra"), 2, &generator_losses, &CRITIC_LOSSES);
}

/// Returns the strategy that the preset `paper` trains on LSUN.
fn lsun_strategy(name: &str) -> Box<dyn Strategy> {
    let choice = Choice {
        dataset: "lsun".into(),
        architecture: Architecture::Resnet,
        strategy: name.into(),
        preset: "paper".into(),
        ..Choice::default()
    };
    let strategies = Strategies::built_in();
    strategies.build(name, &Config::resolve(&choice, &strategies, 4).unwrap().options).unwrap()
}

#[test]
fn iterations_of_lsun_sft() {
    LSUN.follow("sft", &*lsun_strategy("sft"), 0, &GENERATOR_LOSSES, &CRITIC_LOSSES);
}

#[test]
fn iterations_of_lsun_jtr() {
    let [generator_losses, critic_losses] = with_replay(1.0);
    LSUN.follow("jtr", &*lsun_strategy("jtr"), 2, &generator_losses, &critic_losses);
}

#[test]
fn iterations_of_lsun_ra() {
    let generator_losses = [&GENERATOR_LOSSES[..], &[("alignment", 1e-3)]].concat();
    LSUN.follow("ra", &*lsun_strategy("ra"), 2, &generator_losses, &CRITIC_LOSSES);
}
