//! Times one iteration of the released code's recipe: a generator step and five critic steps, batch 40 (a class of
//! the drawn dataset), at the second task (one past class to replay).

use divan::Bencher;
use mergan_datasets::Dataset;
use mergan_strategies::{Advance, Choice, Config, Strategies, Trainer};

#[divan::bench(args = ["sft", "jtr", "ra"], consts = [16, 32], sample_count = 20)]
fn iteration<const WIDTH: i64>(bencher: Bencher, strategy: &str) {
    let data: Dataset = mergan_datasets::load("shapes", &Default::default()).expect("shapes are drawn in code");
    let changes = toml::toml! {
        [training]
        batch = 40
        first_iterations = 1
        iterations = 1_000_000
    };
    let mut choice = Choice {
        dataset: "shapes".into(),
        strategy: strategy.into(),
        preset: "paper".into(),
        tasks: Some(2),
        changes,
        ..Choice::default()
    };
    choice.changes.insert("model".into(), toml::Table::from_iter([("width".to_string(), WIDTH.into())]).into());
    let strategies = Strategies::built_in();
    let config = Config::resolve(&choice, &strategies, data.class_names.len()).expect("a valid configuration");
    let mut trainer = Trainer::new(config, &strategies, data.class_names.len(), &data.train).expect("a trainer");
    while !matches!(trainer.advance().expect("an iteration"), Some(Advance::TaskEnd { task: 1 })) {}
    // A task's first iteration has no generator step, so it is not timed.
    trainer.advance().expect("an iteration");
    bencher.bench_local(|| trainer.advance().expect("an iteration"));
}

fn main() {
    divan::main();
}
