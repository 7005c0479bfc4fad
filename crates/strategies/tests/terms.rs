//! Tests of what strategies add to single steps: past classes to the batch, and terms to the losses.

use std::collections::BTreeMap;

use mergan_models::{Conditions, Critic, Generator, ModelConfig};
use mergan_strategies::losses::LossWeights;
use mergan_strategies::{
    Augmentation, Batch, Draws, Grouping, ReplayCounter, Role, Snapshot, Step, StepInputs, Strategies, Strategy, Term,
};
use mergan_tensor::{Device, Random, Tensor};

/// The classes learned before, and the new one.
const PAST: [usize; 9] = [3, 1, 4, 0, 5, 2, 6, 8, 7];
const NEW: usize = 9;
/// The number of images in a batch.
const BATCH: usize = 12;
/// The weight of the class terms.
const CLASS: f64 = 0.5;

/// The networks and random numbers of a step.
struct Bench {
    generator: Generator,
    critic: Critic,
    old: Snapshot,
    noise: Random,
    replay_counter: ReplayCounter,
}

impl Bench {
    fn new() -> Self {
        let sizes = ModelConfig { width: 2, latent: 4, ..ModelConfig::default() };
        let networks = |seed| {
            let random = Random::new(seed);
            (Generator::new(sizes, random, Device::Cpu), Critic::new(sizes, random, Device::Cpu))
        };
        let ((generator, critic), (old_generator, old_critic)) = (networks(0), networks(1));
        let old = Snapshot { generator: old_generator, critic: old_critic };
        Bench { generator, critic, old, noise: Random::new(2), replay_counter: ReplayCounter::default() }
    }

    /// Returns what `read` finds in step `inner` of an iteration, after the first `past` classes.
    fn step<T>(
        &self,
        strategy: &dyn Strategy,
        role: Role,
        past: usize,
        (iteration, inner): (usize, usize),
        augmentation: Augmentation,
        read: impl FnOnce(&Step) -> T,
    ) -> T {
        let inputs = StepInputs {
            old: Some(&self.old),
            past: &PAST[..past],
            classes: &[NEW],
            grouping: Grouping::Pure,
            batch: BATCH,
            mirror: false,
            augmentation,
            weights: LossWeights { class: CLASS, ..LossWeights::default() },
            rate: 1e-3,
            draws: Draws { noise: &self.noise, device: Device::Cpu, latent: 4, task: past, iteration, inner },
            replay_counter: &self.replay_counter,
        };
        read(&Step::new(strategy, role, &self.generator, &self.critic, &inputs))
    }

    /// Returns the terms that the strategy adds to the loss of a role in one step after the first `past` classes.
    fn terms(&self, strategy: &dyn Strategy, role: Role, past: usize, augmentation: Augmentation) -> Vec<Term> {
        self.step(strategy, role, past, (1, 0), augmentation, |step| match role {
            Role::Critic => strategy.critic_terms(step),
            Role::Generator => strategy.generator_terms(step),
        })
    }
}

fn strategy(name: &str, options: &str) -> Box<dyn Strategy> {
    Strategies::built_in().build(name, &options.parse().unwrap()).unwrap()
}

/// JTR's own terms judge images through the same changes as the others.
#[test]
fn replayed_images_are_augmented_too() {
    let (bench, strategy) = (Bench::new(), strategy("jtr", "replay = 'sum'"));
    let values = |augmentation: Augmentation| {
        let terms = [Role::Critic, Role::Generator].map(|role| bench.terms(&*strategy, role, 1, augmentation)).concat();
        terms.iter().map(|term| (term.name, term.value.item())).collect::<Vec<_>>()
    };
    let plain = values(Augmentation::default());
    let changed = values(Augmentation { translation: true, ..Augmentation::default() });
    assert_eq!(plain.len(), 4);
    for ((name, plain), (_, changed)) in plain.into_iter().zip(changed) {
        assert_ne!(plain, changed, "{name}");
    }
}

#[test]
fn the_weight_of_an_aligned_class_falls_with_the_root_of_their_number() {
    let bench = Bench::new();
    let alignment = |scaling: &str, past| {
        ["", "classes_per_step = 2"].map(|limit| {
            let strategy = strategy("ra", &format!("lambda = 0.1\nscaling = '{scaling}'\n{limit}"));
            let terms = bench.terms(&*strategy, Role::Generator, past, Augmentation::default());
            let [Term { name: "alignment", weight: 0.1, value }] = &terms[..] else { panic!("other terms") };
            value.item()
        })
    };
    for (past, root) in [(1, 1.0), (4, 2.0), (9, 3.0)] {
        let [per_class, by_root] = ["per-class", "root"].map(|scaling| alignment(scaling, past));
        for (per_class, by_root) in per_class.into_iter().zip(by_root) {
            assert!(per_class > 0.0);
            approx::assert_relative_eq!(per_class, root * by_root, max_relative = 1e-6);
        }
    }
}

/// The critic sees replayed, real and fake images of the same classes in the same shares and in the same order.
#[test]
fn a_batch_of_chosen_classes_has_as_many_real_as_fake_images_of_each() {
    let (bench, strategy) = (Bench::new(), strategy("jtr", "replay = 'batch'\nclasses_per_step = 2"));
    for (past, share) in [(0, 12), (1, 6), (2, 4), (9, 4)] {
        let (conditions, mixed_in, images, batch) =
            bench.step(&*strategy, Role::Critic, past, (0, 0), Augmentation::default(), |step| {
                let real =
                    Batch { images: Tensor::full(0.0, [share, 1, 32, 32], Device::Cpu), labels: vec![NEW; share] };
                (step.conditions.clone(), step.mixed_in.clone(), step.images, strategy.batch(step, real))
            });
        assert_eq!(mixed_in.len(), past.min(2));
        assert!(mixed_in.iter().all(|class| PAST[..past].contains(class)));
        assert_eq!(conditions, [&mixed_in[..], &[NEW]].concat());
        assert_eq!((images, batch.images.shape()[0]), (BATCH, BATCH));
        assert_eq!(batch.labels, Conditions::pure(&conditions).labels(BATCH));
    }
}

#[test]
fn chosen_classes_take_turns_and_every_step_has_its_own() {
    const STEPS: usize = 900;
    for options in ["replay = 'batch'\nclasses_per_step = 3", "replay = 'mean'\nclasses_per_step = 3"] {
        let (bench, strategy) = (Bench::new(), strategy("jtr", options));
        let chosen = |role, at| {
            bench.step(&*strategy, role, 9, at, Augmentation::default(), |step| {
                let chosen = step.choose(Some(3));
                assert!(step.mixed_in.is_empty() || step.mixed_in == chosen);
                chosen
            })
        };
        for role in [Role::Critic, Role::Generator] {
            let steps: Vec<_> = (0..STEPS).map(|i| chosen(role, (i / 2, i % 2))).collect();
            let mut counts = BTreeMap::<usize, usize>::new();
            steps.iter().flatten().for_each(|&class| *counts.entry(class).or_default() += 1);
            // The standard deviation of a count is 14.
            assert!(counts.len() == 9 && counts.values().all(|count| count.abs_diff(STEPS / 3) < 60), "{counts:?}");
            assert!(steps.windows(2).filter(|pair| pair[0] == pair[1]).count() < STEPS / 20, "few choices repeat");
        }
        assert!((0..9).any(|i| chosen(Role::Critic, (i, 0)) != chosen(Role::Generator, (i, 0))));
    }
}

/// Separate terms weigh the past as they do when all of it is replayed, whose mean they estimate.
#[test]
fn terms_of_chosen_classes_keep_the_weight_of_the_past() {
    for (replay, weight) in [("sum", 9.0), ("mean", 1.0)] {
        for (limit, per_class) in [("", 1), ("classes_per_step = 3", 4), ("classes_per_step = 30", 1)] {
            let (bench, strategy) = (Bench::new(), strategy("jtr", &format!("replay = '{replay}'\n{limit}")));
            let weights = |role| {
                let terms = bench.terms(&*strategy, role, 9, Augmentation::default());
                terms.iter().map(|term| (term.name, term.weight)).collect::<Vec<_>>()
            };
            let [score, class] = [weight, CLASS * weight];
            assert_eq!(weights(Role::Generator), [("replay_adversarial", score), ("replay_class_fake", class)]);
            assert_eq!(weights(Role::Critic), [("replay_wasserstein", score), ("replay_class_real", class)]);
            let counts = bench.replay_counter.counts();
            assert_eq!(counts.len(), if per_class == 4 { 3 } else { 9 }, "{replay} {limit}");
            assert!(counts.values().all(|&count| count == per_class), "{replay} {limit}: {counts:?}");
        }
    }
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let expected = "classes_per_step is 0; leave it out to take all past classes in every step";
    let ra = "lambda = 0.1\nscaling = 'root'";
    for (name, options) in [
        ("jtr", "replay = 'batch'\nclasses_per_step = 0".to_string()),
        ("jtr", "replay = 'sum'\nclasses_per_step = 0".to_string()),
        ("ra", format!("{ra}\nclasses_per_step = 0")),
        ("ra-features", "lambda = 0.1\nclasses_per_step = 0".to_string()),
        ("jtr-ra", format!("jtr = {{ replay = 'batch', classes_per_step = 0 }}\n[ra]\n{ra}")),
        ("jtr-ra", format!("jtr = {{ replay = 'batch' }}\n[ra]\n{ra}\nclasses_per_step = 0")),
        ("adapters", format!("base = 5\nrank = 4\n[ra]\n{ra}\nclasses_per_step = 0")),
    ] {
        let error = Strategies::built_in().build(name, &options.parse().unwrap()).err().unwrap().to_string();
        assert!(error.contains(expected) && error.contains(&format!("strategy {name}")), "{error}");
    }
    for (wrong, expected) in [
        ("base = 0\nrank = 4", "base is 0; it must be at least 1"),
        ("base = 5\nrank = 0", "rank is 0; it must be at least 1"),
        ("base = 5\nrank = -4", "rank: invalid value: integer `-4`"),
        ("rank = 4", "missing field `base`"),
        ("base = 5\nrank = 4\nranks = 4", "unknown field `ranks`"),
    ] {
        let options = format!("{wrong}\n[ra]\n{ra}").parse().unwrap();
        let error = Strategies::built_in().build("adapters", &options).err().unwrap().to_string();
        assert!(error.contains(expected) && error.contains("strategy adapters"), "{error}");
    }
    for wrong in ["-1", "1.5", "'two'"] {
        let options = format!("replay = 'batch'\nclasses_per_step = {wrong}").parse().unwrap();
        let error = Strategies::built_in().build("jtr", &options).err().unwrap().to_string();
        assert!(error.contains("classes_per_step: invalid"), "{error}");
    }
    let options = "lambda = 0.1\nscaling = 'roots'".parse().unwrap();
    let error = Strategies::built_in().build("ra", &options).err().unwrap().to_string();
    assert!(error.contains("scaling: unknown variant `roots`") && error.contains("`root`"), "{error}");
}
