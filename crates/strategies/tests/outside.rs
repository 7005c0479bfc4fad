//! A strategy that is defined outside the crate is trained, measured, forked, extended and resumed as the built-in ones
//! are.

use std::path::Path;

use mergan_datasets::Dataset;
use mergan_models::{Generator, ModelConfig, Network, Weights};
use mergan_strategies::{
    Advance, Choice, Config, Extension, FromOptions, Step, Strategies, Strategy, Term, Trainer, presets,
};
use mergan_tensor::{Device, Random};
use serde::Deserialize;

/// Holds the generator's weights near zero.
struct Decay {
    weight: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default = "usual_weight")]
    weight: f64,
}

fn usual_weight() -> f64 {
    0.5
}

impl Strategy for Decay {
    fn generator_terms(&self, step: &Step) -> Vec<Term> {
        vec![Term::new("decay", self.weight, step.generator.values()[0].square().mean())]
    }
}

impl FromOptions for Decay {
    type Options = Options;
    const NAME: &'static str = "decay";
    fn from_options(Options { weight }: Options) -> Result<Self, String> {
        Ok(Decay { weight })
    }
}

fn strategies() -> Strategies {
    Strategies::built_in().with::<Decay>()
}

fn shapes() -> Dataset {
    mergan_datasets::load("shapes", &Default::default()).unwrap()
}

fn choice(strategy: &str, tasks: usize) -> Choice {
    let [dataset, strategy, preset] = ["shapes", strategy, "smoke"].map(String::from);
    Choice { dataset, strategy, preset, tasks: Some(tasks), ..Choice::default() }
}

fn config(strategy: &str, tasks: usize) -> Config {
    Config::resolve(&choice(strategy, tasks), &strategies(), 10).unwrap()
}

/// Trains up to iteration `until` of the current task and returns, for each iteration, whether the strategy's term is
/// among the losses.
fn decays(trainer: &mut Trainer, until: usize) -> Vec<bool> {
    let mut decays = Vec::new();
    while trainer.iterations_done() < until {
        let Some(Advance::Iteration { losses, .. }) = trainer.advance().unwrap() else { panic!("the task has ended") };
        decays.push(losses.names().contains(&"decay"));
    }
    decays
}

fn bits(trainer: &Trainer) -> Vec<u32> {
    trainer.generator().values().iter().flat_map(|value| value.to_vec::<f32>()).map(f32::to_bits).collect()
}

#[test]
fn options_that_no_preset_knows_are_the_types_own() {
    for preset in presets() {
        let choice = Choice { preset: preset.into(), ..choice("decay", 2) };
        let config = Config::resolve(&choice, &strategies(), 10).unwrap();
        assert_eq!((config.strategy.as_str(), config.options.len()), ("decay", 0));
        let changes = toml::toml! { options = { weight = 2.0 } };
        let config = Config::resolve(&Choice { changes, ..choice.clone() }, &strategies(), 10).unwrap();
        assert_eq!(config.options, toml::toml! { weight = 2.0 });
        let changes = toml::toml! { options = { lambda = 2.0 } };
        let error = Config::resolve(&Choice { changes, ..choice }, &strategies(), 10).unwrap_err().to_string();
        assert!(error.starts_with("options of strategy decay: unknown field `lambda`"), "{error}");
    }
}

#[test]
fn a_resumed_training_goes_on_with_its_terms() {
    let (data, folder) = (shapes(), tempfile::tempdir().unwrap());
    let path = folder.path().join("checkpoint.safetensors");
    let mut straight = Trainer::new(config("decay", 1), &strategies(), 10, &data.train).unwrap();
    // The first iteration has no generator step.
    assert_eq!(decays(&mut straight, 3), [false, true, true]);
    straight.save(&path).unwrap();
    let mut resumed = Trainer::resume(config("decay", 1), &strategies(), 10, &data.train, &path).unwrap();
    for trainer in [&mut straight, &mut resumed] {
        assert_eq!(decays(trainer, 8), [true; 5]);
    }
    assert!(bits(&straight) == bits(&resumed));
}

#[test]
fn a_training_is_not_resumed_with_another_strategy() {
    let (data, folder) = (shapes(), tempfile::tempdir().unwrap());
    let path = folder.path().join("checkpoint.safetensors");
    Trainer::new(config("decay", 1), &strategies(), 10, &data.train).unwrap().save(&path).unwrap();
    let refused = |strategy: &str, strategies: Strategies| {
        Trainer::resume(config(strategy, 1), &strategies, 10, &data.train, &path).err().unwrap().to_string()
    };
    let unknown = refused("decay", Strategies::built_in());
    assert!(unknown.starts_with("there is no strategy `decay`; choose one of: sft,"), "{unknown}");
    let other = refused("sft", strategies());
    assert!(other.contains("`strategy = \"decay\"` there, `strategy = \"sft\"` now"), "{other}");
}

#[test]
fn a_training_is_measured_forked_and_extended() {
    let (data, folder) = (shapes(), tempfile::tempdir().unwrap());
    let path = folder.path().join("end.safetensors");
    let mut first = Trainer::new(config("decay", 1), &strategies(), 10, &data.train).unwrap();
    assert_eq!(first.seconds_per_iteration().unwrap().len(), 1);
    while first.advance().unwrap().is_some() {}
    first.save(&path).unwrap();

    let fork = Trainer::fork(config("ra", 2), &strategies(), 10, &data.train, &path).unwrap();
    assert_eq!((fork.tasks_learned(), fork.config().strategy.as_str()), (1, "ra"));
    let images = "folder".into();
    let ring = Extension {
        name: "ring".into(),
        class: 1,
        images,
        limit: None,
        skip_bad: false,
        follow_links: false,
        sha256: String::new(),
        scorer: None,
    };
    let mut extended = Trainer::extend(ring, &strategies(), 10, &data.train.of_class(1), &path).unwrap();
    assert_eq!(decays(&mut extended, 3), [false, true, true]);
}

#[test]
fn a_sampler_that_nobody_reads_is_refused() {
    let path = Path::new("generator.safetensors");
    let generator = Generator::new(ModelConfig::default(), Random::new(0), Device::Cpu);
    let mut weights = Weights::default();
    weights.insert_network("", &generator);
    weights.insert_network("mine.", &generator);
    let sampler = |weights: &Weights| Strategies::built_in().sampler(path, weights, &generator, &[0]).map(drop);
    assert!(sampler(&weights).is_ok(), "files of other programs may hold more");
    weights.note = "ours".into();
    let error = sampler(&weights).unwrap_err().to_string();
    assert!(error.starts_with("generator.safetensors holds the tensor `mine."), "{error}");
}
