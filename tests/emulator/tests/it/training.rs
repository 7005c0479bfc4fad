//! Whole training steps on an emulated device, beside the CPU.

use mergan_emulator::ledger::Tier;
use mergan_models::{Architecture, Critic, Generator, ModelConfig, Network};
use mergan_strategies::{
    Batch, Choice, Config, Draws, Grouping, Learner, Losses, Round, Snapshot, Strategy, Tally, build_strategy,
};
use mergan_tensor::{Adam, AdamOptions, Address, Device, Moments, Random};

use crate::driver::whole_device;

/// What is trained, and how closely a device must follow the CPU.
pub struct Recipe {
    pub sizes: ModelConfig,
    pub batch: usize,
    pub critic_steps: usize,
    pub iterations: usize,
    pub rate: f64,
    /// Whether the device goes on with its own weights. Else each iteration begins with the CPU's: differences in rounding,
    /// which training makes grow, cannot add up.
    pub free: bool,
    /// The largest relative error of a loss.
    pub losses: f64,
    /// The largest difference of a weight, in steps of the rate. Adam moves a weight whose gradient is next to nothing by
    /// a whole step, in either direction.
    pub steps: f64,
}

/// Small networks, for a device that is emulated.
pub const SMOKE: Recipe = Recipe {
    sizes: ModelConfig { architecture: Architecture::Digit, width: 2, channels: 1, classes: 10, latent: 16 },
    batch: 12,
    critic_steps: 2,
    iterations: 20,
    rate: 1e-3,
    free: false,
    losses: 1e-4,
    steps: 5.0,
};

/// The paper's, for a GPU.
pub const PAPER: Recipe = Recipe {
    sizes: ModelConfig { width: 64, latent: 128, ..SMOKE.sizes },
    batch: 64,
    critic_steps: 5,
    iterations: 200,
    rate: 1e-4,
    losses: 1e-3,
    steps: 10.0,
    ..SMOKE
};

const ADAM: AdamOptions = AdamOptions { beta1: 0.0, beta2: 0.9, epsilon: 1e-8 };
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

impl Recipe {
    /// A generator step and the critic's steps; all losses.
    fn iterate(&self, learner: &mut Learner, old: &Snapshot, strategy: &dyn Strategy, iteration: usize) -> Vec<Losses> {
        let device = old.generator.values()[0].device();
        let (noise, tally) = (Random::new(5), Tally::default());
        let round = |inner| Round {
            strategy,
            old: Some(old),
            conditions: &[TASK],
            past: &[0, 1],
            grouping: Grouping::Pure,
            batch: self.batch,
            images: self.batch,
            penalty: 10.0,
            rate: self.rate,
            draws: Draws { noise: &noise, device, latent: self.sizes.latent, task: TASK, iteration, inner },
            tally: &tally,
        };
        let mut losses = vec![learner.generator_step(&round(0))];
        for inner in 0..self.critic_steps {
            let address =
                Address { stream: 99, iteration: iteration as u32, inner: inner as u32, ..Address::default() };
            let images = noise.normal(address, [self.batch, 1, 32, 32], device).tanh();
            losses.push(learner.critic_step(&round(inner), Batch { images, labels: vec![TASK; self.batch] }));
        }
        losses
    }
}

/// Trains on the CPU and on a device, and compares losses and weights after each iteration.
pub fn follow(name: &str, device: Device, recipe: &Recipe) {
    let preset = Choice { dataset: "mnist".into(), strategy: name.into(), preset: "smoke".into(), ..Choice::default() };
    let options = Config::resolve(&preset, 10).expect("the preset smoke").options;
    let strategy = build_strategy(name, &options).expect("the strategy");
    let networks = |seed| {
        let random = Random::new(seed);
        (Generator::new(recipe.sizes, random, Device::Cpu), Critic::new(recipe.sizes, random, Device::Cpu))
    };
    let ((generator, critic), (old_generator, old_critic)) = (networks(3), networks(4));
    let mut cpu = Learner::new(&generator, &critic, ADAM, |_| true);
    let mut other = moved(&cpu, device);
    let old_there = Snapshot { generator: old_generator.on(device), critic: old_critic.on(device) };
    let old = Snapshot { generator: old_generator, critic: old_critic };
    for iteration in 0..recipe.iterations {
        if !recipe.free {
            other = moved(&cpu, device);
        }
        let expected = recipe.iterate(&mut cpu, &old, strategy.as_ref(), iteration);
        let losses = recipe.iterate(&mut other, &old_there, strategy.as_ref(), iteration);
        for (ours, theirs) in losses.iter().zip(&expected).flat_map(|(a, b)| a.0.iter().zip(&b.0)) {
            let error = (ours.1 - theirs.1).abs() / theirs.1.abs().max(1.0);
            assert!(
                error < recipe.losses,
                "{name}, iteration {iteration}: {} {}, on the CPU {}",
                ours.0,
                ours.1,
                theirs.1
            );
        }
        let apart = distance(&other.generator, &cpu.generator).max(distance(&other.critic, &cpu.critic)) / recipe.rate;
        let allowed = recipe.steps * if recipe.free { (iteration + 1) as f64 } else { 1.0 };
        assert!(apart < allowed, "{name}, iteration {iteration}: weights are {apart} steps apart");
    }
}

fn follows_the_cpu(strategy: &str) {
    follow(strategy, whole_device(Tier::Fast), &SMOKE);
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
