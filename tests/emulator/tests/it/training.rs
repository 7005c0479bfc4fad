//! Compares whole training steps on an emulated device with those on the CPU.

use mergan_emulator::ledger::Tier;
use mergan_models::{Architecture, Critic, ModelConfig, Network};
use mergan_strategies::losses::LossWeights;
use mergan_strategies::{
    Augmentation, Batch, Choice, Config, Draws, Grouping, Learner, Losses, Recorder, ReplayCounter, Snapshot,
    StepInputs, Strategies, Strategy,
};
use mergan_tensor::cuda::Precision;
use mergan_tensor::{AdamOptions, Address, Device, Random};

use crate::driver::whole_device;

/// The training run to check, and the tolerance between a device and the CPU.
pub struct Recipe {
    pub sizes: ModelConfig,
    pub batch: usize,
    pub critic_steps: usize,
    pub iterations: usize,
    pub rate: f64,
    /// The random changes through which the critic sees images; the real ones are then also mirrored.
    pub augmentation: Augmentation,
    /// Whether the device continues with its own weights. If not, each iteration begins with the CPU's weights, so
    /// that rounding differences, which training amplifies, cannot accumulate.
    pub free: bool,
    /// The largest relative error of a loss.
    pub losses: f64,
    /// The largest difference of a weight, in units of the learning rate. Adam moves a weight whose gradient is
    /// almost zero by a whole unit, in either direction.
    pub steps: f64,
}

/// Small networks, for an emulated device.
pub const SMOKE: Recipe = Recipe {
    sizes: ModelConfig { architecture: Architecture::Digit, width: 2, channels: 1, classes: 10, latent: 16 },
    batch: 12,
    critic_steps: 2,
    iterations: 20,
    rate: 1e-3,
    augmentation: Augmentation { color: false, translation: false, cutout: false },
    free: false,
    losses: 1e-4,
    steps: 5.0,
};

/// The paper's networks, for a GPU.
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
/// The classes learned before.
const PAST: [usize; 2] = [0, 1];
/// The task, counted from 0, which is also the class.
const TASK: usize = 2;

/// Returns the largest difference between two networks' weights.
fn distance<N: Network>(ours: &N, theirs: &N) -> f64 {
    let pairs = ours.values().into_iter().zip(theirs.values());
    let differences = pairs.map(|(a, b)| {
        a.to_vec::<f64>().into_iter().zip(b.to_vec::<f64>()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    });
    differences.fold(0.0, f64::max)
}

impl Recipe {
    /// Performs a generator step and the critic's steps; returns all losses.
    fn iterate(
        &self,
        learner: &mut Learner,
        mut recorder: Option<&mut Recorder>,
        old: &Snapshot,
        strategy: &dyn Strategy,
        iteration: usize,
    ) -> Vec<Losses> {
        let device = old.generator.values()[0].device();
        let (noise, replay_counter) = (Random::new(5), ReplayCounter::default());
        let inputs = |inner| StepInputs {
            old: Some(old),
            past: &PAST,
            classes: &[TASK],
            grouping: Grouping::Pure,
            batch: self.batch,
            mirror: self.augmentation != Augmentation::default(),
            augmentation: self.augmentation,
            weights: LossWeights::default(),
            rate: self.rate,
            draws: Draws { noise: &noise, device, latent: self.sizes.latent, task: TASK, iteration, inner },
            replay_counter: &replay_counter,
        };
        let mut losses = vec![match &mut recorder {
            Some(recorder) => recorder.generator_step(learner, strategy, &inputs(0)),
            None => learner.generator.step(&learner.critic.network, strategy, &inputs(0)),
        }];
        // Past classes in the batch have shares as large as that of the real images.
        let share = self.batch / (strategy.mixes_in(PAST.len()) + 1);
        for inner in 0..self.critic_steps {
            let address = Address { stream: 99, step: iteration as u32, substep: inner as u32, ..Address::default() };
            let images = noise.normal(address, [share, 1, 32, 32], device).tanh();
            let real = Batch { images, labels: vec![TASK; share] };
            losses.push(match &mut recorder {
                Some(recorder) => recorder.critic_step(learner, strategy, &inputs(inner), real),
                None => learner.critic.step(&learner.generator.network, strategy, &inputs(inner), real),
            });
        }
        losses
    }
}

/// The start of a training, on the CPU.
struct Start {
    strategy: Box<dyn Strategy>,
    learner: Learner,
    old: Snapshot,
}

impl Start {
    /// Returns the start of a training with the options of the preset `smoke`.
    fn new(name: &str, recipe: &Recipe) -> Start {
        let (dataset, preset) = ("mnist".into(), "smoke".into());
        let preset = Choice { dataset, strategy: name.into(), preset, ..Choice::default() };
        let options = Config::resolve(&preset, &Strategies::built_in(), 10).expect("the preset smoke").options;
        Start::with(name, &options, recipe)
    }

    fn with(name: &str, options: &toml::Table, recipe: &Recipe) -> Start {
        let strategy = Strategies::built_in().build(name, options).expect("the strategy");
        let networks = |seed| {
            let random = Random::new(seed);
            (strategy.generator(recipe.sizes, random), Critic::new(recipe.sizes, random, Device::Cpu))
        };
        let ((generator, critic), (old_generator, old_critic)) = (networks(3), networks(4));
        let learner = Learner::new(&generator, &critic, ADAM, |parameter| strategy.trains(parameter, TASK));
        Start { strategy, learner, old: Snapshot { generator: old_generator, critic: old_critic } }
    }

    fn old_on(&self, device: Device) -> Snapshot {
        Snapshot { generator: self.old.generator.on(device), critic: self.old.critic.on(device) }
    }
}

/// Trains on the CPU and on a device, and compares losses and weights after each iteration.
pub fn follow(name: &str, device: Device, recipe: &Recipe) {
    let start = Start::new(name, recipe);
    let (strategy, old_there) = (start.strategy.as_ref(), start.old_on(device));
    let mut cpu = start.learner;
    let (mut other, mut recorder) = (cpu.moved_to(device), Recorder::default());
    for iteration in 0..recipe.iterations {
        if !recipe.free {
            other = cpu.moved_to(device);
        }
        let expected = recipe.iterate(&mut cpu, None, &start.old, strategy, iteration);
        let losses = recipe.iterate(&mut other, Some(&mut recorder), &old_there, strategy, iteration);
        for (ours, theirs) in losses.iter().zip(&expected).flat_map(|(a, b)| a.read().into_iter().zip(b.read())) {
            let error = (ours.1 - theirs.1).abs() / theirs.1.abs().max(1.0);
            assert!(
                error < recipe.losses,
                "{name}, iteration {iteration}: {} {}, on the CPU {}",
                ours.0,
                ours.1,
                theirs.1
            );
        }
        let apart = distance(&other.generator.network, &cpu.generator.network)
            .max(distance(&other.critic.network, &cpu.critic.network))
            / recipe.rate;
        let allowed = recipe.steps * if recipe.free { (iteration + 1) as f64 } else { 1.0 };
        assert!(apart < allowed, "{name}, iteration {iteration}: weights are {apart} steps apart");
    }
    assert_eq!(recorder.is_recorded(), [true; 2], "{name}");
}

/// Trains freely, once with steps that are recorded and replayed and once with plain steps, and compares all bits.
pub fn recorded_steps_give_the_bits_of_plain_ones(device: Device, recipe: &Recipe, strategies: &[&str]) {
    for name in strategies {
        // The host moves pixels, and takes part in the steps that do so.
        let Augmentation { translation, cutout, .. } = recipe.augmentation;
        assert_same_bits(name, Start::new(name, recipe), device, recipe, [!translation && !cutout; 2]);
    }
}

/// Asserts that a training from this start has the same bits with a recorder and without one, and that the generator's
/// and the critic's steps are recorded as stated.
fn assert_same_bits(name: &str, start: Start, device: Device, recipe: &Recipe, is_recorded: [bool; 2]) {
    let old = start.old_on(device);
    let (mut recorded, mut recorder) = (start.learner.moved_to(device), Recorder::default());
    let mut plain = recorded.clone();
    for iteration in 0..recipe.iterations {
        let losses = recipe.iterate(&mut recorded, Some(&mut recorder), &old, start.strategy.as_ref(), iteration);
        let expected = recipe.iterate(&mut plain, None, &old, start.strategy.as_ref(), iteration);
        let read = |losses: &[Losses]| losses.iter().flat_map(Losses::read).collect::<Vec<_>>();
        assert_eq!(read(&losses), read(&expected), "{name}, iteration {iteration}");
        let apart = [
            distance(&recorded.generator.network, &plain.generator.network),
            distance(&recorded.critic.network, &plain.critic.network),
        ];
        assert_eq!(apart, [0.0; 2], "{name}, iteration {iteration}");
    }
    assert_eq!(recorder.is_recorded(), is_recorded, "{name}");
}

fn follows_the_cpu(strategy: &str) {
    follow(strategy, whole_device(Tier::Fast, Precision::F32), &SMOKE);
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

/// A new class trains its rows and its changes of the kernels, and kernels differ between the classes of a batch.
#[test]
fn adapters_follow_the_cpu() {
    follow("adapters", whole_device(Tier::Fast, Precision::F32), &Recipe { iterations: 4, ..SMOKE });
}

#[test]
fn ra_follows_the_cpu_on_tensor_cores() {
    // Operands keep 11 bits, and a critic's loss is a difference of sums that cancel.
    let recipe = Recipe { losses: 1e-2, ..SMOKE };
    follow("ra", whole_device(Tier::Fast, Precision::Tf32), &recipe);
}

#[test]
fn recorded_steps_give_the_bits_of_plain_steps() {
    let recipe = Recipe { iterations: 4, ..SMOKE };
    let device = whole_device(Tier::Fast, Precision::F32);
    recorded_steps_give_the_bits_of_plain_ones(device, &recipe, &["sft", "jtr", "ra"]);
}

#[test]
fn recorded_steps_with_augmentation_give_the_bits_of_plain_steps() {
    let color = Augmentation { color: true, ..Augmentation::default() };
    for augmentation in [color, Augmentation { translation: true, cutout: true, ..color }] {
        let recipe = Recipe { iterations: 3, augmentation, ..SMOKE };
        recorded_steps_give_the_bits_of_plain_ones(whole_device(Tier::Fast, Precision::F32), &recipe, &["jtr"]);
    }
}

/// The classes of a step are chosen anew in each, so a graph, which repeats one choice, must not replace it.
#[test]
fn only_steps_that_choose_among_the_past_classes_are_not_recorded() {
    let recipe = Recipe { iterations: 3, ..SMOKE };
    for (limit, is_recorded) in [(2, [true; 2]), (1, [false; 2])] {
        for replay in ["sum", "batch"] {
            let options = format!("replay = '{replay}'\nclasses_per_step = {limit}").parse().expect("options");
            let start = Start::with("jtr", &options, &recipe);
            assert_same_bits("jtr", start, whole_device(Tier::Fast, Precision::F32), &recipe, is_recorded);
        }
    }
}
