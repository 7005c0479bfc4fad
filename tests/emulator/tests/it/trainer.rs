//! Tests what the trainer waits for on an emulated device.

use mergan_datasets::Dataset;
use mergan_emulator::ledger::Tier;
use mergan_strategies::{Advance, Choice, Config, Error, Strategies, Trainer};
use mergan_tensor::cuda::Precision;

use crate::driver::{reads, whole_device};

fn shapes() -> Dataset {
    mergan_datasets::load("shapes", &Default::default()).expect("a dataset that is drawn")
}

fn trainer(data: &Dataset, strategy: &str, changes: toml::Table) -> Trainer {
    let (dataset, strategy, preset) = ("shapes".into(), strategy.into(), "smoke".into());
    let choice = Choice { dataset, strategy, preset, tasks: Some(2), changes, ..Choice::default() };
    let strategies = Strategies::built_in();
    let config = Config::resolve(&choice, &strategies, data.class_names.len()).expect("the preset smoke");
    let trainer = Trainer::new(config, &strategies, data.class_names.len(), &data.train).expect("a training");
    trainer.on(whole_device(Tier::Fast, Precision::F32))
}

#[test]
fn an_iteration_waits_for_nothing() {
    let data = shapes();
    for strategy in ["jtr", "ra"] {
        let mut trainer = trainer(&data, strategy, toml::Table::new());
        let mut iterations = 0;
        loop {
            let before = reads();
            match trainer.advance().expect("a training that goes well") {
                Some(Advance::Iteration { losses, .. }) => {
                    assert_eq!(reads(), before, "{strategy}: copies from the device in an iteration");
                    assert!(losses.read().iter().all(|(_, value)| value.is_finite()));
                    assert!(reads() > before, "{strategy}: the losses are read when they are asked for");
                    iterations += 1;
                }
                Some(Advance::TaskEnd { .. }) => {}
                None => break,
            }
        }
        let expected: usize = (0..2).map(|task| trainer.config().iterations(task)).sum();
        assert_eq!(iterations, expected, "{strategy}");
    }
}

#[test]
fn a_training_that_has_diverged_is_not_saved() {
    let (data, folder) = (shapes(), tempfile::tempdir().expect("a folder"));
    let mut trainer = trainer(&data, "sft", toml::toml! { training = { rate = 10.0 } });
    for _ in 0..3 {
        trainer.advance().expect("nobody has looked at the losses yet");
    }
    let path = folder.path().join("checkpoint.safetensors");
    let error = trainer.save(&path).expect_err("losses beyond measure");
    assert!(matches!(error, Error::Diverged { task: 1, iteration: 1..=3, .. }), "{error}");
    assert!(!path.exists());
}
