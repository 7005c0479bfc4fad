//! Whole training steps on an emulated device, beside the CPU.

use mergan_emulator::ledger::Tier;
use mergan_emulator::sources;
use mergan_models::{Architecture, Critic, Generator, ModelConfig, Network};
use mergan_strategies::{
    Batch, Choice, Config, Draws, Grouping, Learner, Losses, Round, Snapshot, Tally, build_strategy,
};
use mergan_tensor::{Adam, AdamOptions, Address, Device, Moments, Random};

use crate::driver::device;

const SIZES: ModelConfig =
    ModelConfig { architecture: Architecture::Digit, width: 2, channels: 1, classes: 10, latent: 16 };
const ADAM: AdamOptions = AdamOptions { beta1: 0.0, beta2: 0.9, epsilon: 1e-8 };
const ITERATIONS: usize = 20;
const BATCH: usize = 12;
/// The task, counted from 0, and with it the class: two have been learned before.
const TASK: usize = 2;

/// A learner on another device: the same weights and the same state of the optimisers.
fn moved(learner: &Learner, device: Device) -> Learner {
    let adam = |adam: &Adam| {
        let moments = adam.moments().iter();
        let moments = moments.map(|m| Moments { first: m.first.to_device(device), second: m.second.to_device(device) });
        Adam::resume(ADAM, adam.steps(), moments.collect())
    };
    Learner {
        generator: learner.generator.on(device).trainable(),
        critic: learner.critic.on(device).trainable(),
        generator_adam: adam(&learner.generator_adam),
        critic_adam: adam(&learner.critic_adam),
    }
}

/// The largest difference of two networks' weights.
fn distance<N: Network>(ours: &N, theirs: &N) -> f64 {
    let pairs = ours.values().into_iter().zip(theirs.values());
    let differences = pairs.map(|(a, b)| {
        a.to_vec::<f64>().into_iter().zip(b.to_vec::<f64>()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    });
    differences.fold(0.0, f64::max)
}

/// An iteration of a generator step and two critic steps; all losses.
fn iterate(learner: &mut Learner, old: &Snapshot, strategy: &str, iteration: usize, device: Device) -> Vec<Losses> {
    let choice =
        Choice { dataset: "mnist".into(), strategy: strategy.into(), preset: "smoke".into(), ..Choice::default() };
    let options = Config::resolve(&choice, 10).expect("the preset smoke").options;
    let strategy = build_strategy(strategy, &options).expect("the strategy");
    let (noise, tally) = (Random::new(5), Tally::default());
    let round = |inner| Round {
        strategy: strategy.as_ref(),
        old: Some(old),
        conditions: &[TASK],
        past: &[0, 1],
        grouping: Grouping::Pure,
        batch: BATCH,
        images: BATCH,
        penalty: 10.0,
        rate: 1e-3,
        draws: Draws { noise: &noise, device, latent: SIZES.latent, task: TASK, iteration, inner },
        tally: &tally,
    };
    let mut losses = vec![learner.generator_step(&round(0))];
    for inner in 0..2 {
        let address = Address { stream: 99, iteration: iteration as u32, inner: inner as u32, ..Address::default() };
        let images = noise.normal(address, [BATCH, 1, 32, 32], device).tanh();
        losses.push(learner.critic_step(&round(inner), Batch { images, labels: vec![TASK; BATCH] }));
    }
    losses
}

/// Each iteration begins with the CPU's weights: differences in rounding, which training makes grow, cannot add up. Adam
/// moves a weight whose gradient is next to nothing by the whole rate in either direction, so weights are compared
/// loosely.
fn follows_the_cpu(strategy: &str) {
    let emulated = device(Tier::Fast, &sources::modules().expect("the project's kernels"));
    let random = Random::new(3);
    let network = |random| (Generator::new(SIZES, random, Device::Cpu), Critic::new(SIZES, random, Device::Cpu));
    let (generator, critic) = network(random);
    let mut cpu = Learner::new(&generator, &critic, ADAM, |_| true);
    let (generator, critic) = network(Random::new(4));
    let old = Snapshot { generator, critic };
    let old_emulated = Snapshot { generator: old.generator.on(emulated), critic: old.critic.on(emulated) };
    for iteration in 0..ITERATIONS {
        let mut other = moved(&cpu, emulated);
        let expected = iterate(&mut cpu, &old, strategy, iteration, Device::Cpu);
        let losses = iterate(&mut other, &old_emulated, strategy, iteration, emulated);
        for (ours, theirs) in losses.iter().zip(&expected).flat_map(|(a, b)| a.0.iter().zip(&b.0)) {
            let error = (ours.1 - theirs.1).abs() / theirs.1.abs().max(1.0);
            assert!(
                error < 1e-4,
                "{strategy}, iteration {iteration}: {} is {}, on the CPU {}",
                ours.0,
                ours.1,
                theirs.1
            );
        }
        let apart = distance(&other.generator, &cpu.generator).max(distance(&other.critic, &cpu.critic));
        assert!(apart < 5e-3, "{strategy}, iteration {iteration}: weights differ by {apart}");
    }
}

#[test]
fn sft_follows_the_cpu() {
    follows_the_cpu("sft");
}

#[test]
fn jtr_follows_the_cpu() {
    follows_the_cpu("jtr");
}

#[test]
fn ra_follows_the_cpu() {
    follows_the_cpu("ra");
}
