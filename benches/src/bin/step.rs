//! Our side of `cargo xtask bench step`: whole iterations of the released code's recipe.
//!
//! Started as `step STRATEGY WIDTH TASK THREADS`. A line `iteration N` runs N iterations at that task. The first line
//! of output is the number of additions and multiplications of one iteration.

use anyhow::{Result, bail};
use mergan_benches::server::{serve, timed, with_threads};
use mergan_strategies::{Choice, Config, Strategies, Trainer};
use mergan_tensor::count_conv2d_flops;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [strategy, width, task, threads] = arguments.as_slice() else {
        bail!("usage: step STRATEGY WIDTH TASK THREADS");
    };
    with_threads(threads, || run(strategy, width.parse()?, task.parse()?))
}

fn run(strategy: &str, width: i64, task: usize) -> Result<()> {
    let data = mergan_datasets::load("mnist", &Default::default())?;
    let model = toml::Table::from_iter([("width".to_string(), width.into())]);
    let choice = Choice {
        dataset: "mnist".into(),
        strategy: strategy.into(),
        preset: "paper".into(),
        changes: toml::Table::from_iter([("model".to_string(), model.into())]),
        ..Choice::default()
    };
    let strategies = Strategies::built_in();
    let config = Config::resolve(&choice, &strategies, data.class_names.len())?;
    let mut trainer = Trainer::new(config, &strategies, data.class_names.len(), &data.train)?;
    while trainer.tasks_learned() + 1 < task {
        trainer.skip_task()?;
    }
    // A task's first iteration has no generator step, so the second one is counted.
    trainer.advance()?;
    let (advanced, flops) = count_conv2d_flops(|| trainer.advance());
    advanced?;
    serve(flops, |what, count| match what {
        "iteration" => timed(count, || Ok(trainer.advance()?)),
        other => bail!("`{other}` is nothing to time"),
    })
}
