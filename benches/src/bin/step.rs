//! Our side of `cargo xtask bench step`: answers each line on the standard input with times on the standard output.
//!
//! Started as `step STRATEGY WIDTH TASK THREADS`. A line `iterations N` runs N iterations of the released code's recipe
//! at that task and answers their milliseconds, `product N` N products of two 1024 x 1024 matrices. The first line out is
//! the number of additions and multiplications of one iteration.

use std::io::stdin;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use mergan_strategies::{Choice, Config, Trainer};
use mergan_tensor::{Address, Device, Random, Shape, Tensor, conv2d_flops};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [strategy, width, task, threads] = arguments.as_slice() else {
        bail!("usage: step STRATEGY WIDTH TASK THREADS");
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build()?;
    pool.install(|| serve(strategy, width.parse()?, task.parse()?))
}

fn serve(strategy: &str, width: i64, task: usize) -> Result<()> {
    let data = mergan_datasets::load("mnist", &Default::default())?;
    let model = toml::Table::from_iter([("width".to_string(), width.into())]);
    let choice = Choice {
        dataset: "mnist".into(),
        strategy: strategy.into(),
        preset: "paper".into(),
        changes: toml::Table::from_iter([("model".to_string(), model.into())]),
        ..Choice::default()
    };
    let config = Config::resolve(&choice, data.class_names.len())?;
    let mut trainer = Trainer::new(config, data.class_names.len(), &data.train)?;
    while trainer.tasks_learned() + 1 < task {
        trainer.skip_task();
    }
    // A task's first iteration has no generator step.
    trainer.advance()?;
    let before = conv2d_flops();
    trainer.advance()?;
    println!("{}", conv2d_flops() - before);
    for line in stdin().lines() {
        let line = line.context("reading what to do")?;
        let (what, count) = line.split_once(' ').context("a line is `iterations N` or `product N`")?;
        let count: usize = count.parse()?;
        let times = match what {
            "iterations" => timed(count, || trainer.advance().map(drop))?,
            "product" => {
                let [a, b] = [0, 1].map(|stream| matrix(stream, 1024));
                timed(count, || {
                    a.linear(&b);
                    Ok(())
                })?
            }
            other => bail!("`{other}` is nothing to time"),
        };
        println!("{}", times.join(" "));
    }
    Ok(())
}

/// Milliseconds of each of `count` calls.
fn timed(count: usize, mut f: impl FnMut() -> Result<(), mergan_strategies::Error>) -> Result<Vec<String>> {
    let mut once = || {
        let start = Instant::now();
        f()?;
        Ok(format!("{:.3}", start.elapsed().as_secs_f64() * 1e3))
    };
    (0..count).map(|_| once()).collect()
}

fn matrix(stream: u16, size: usize) -> Tensor {
    Random::new(0).normal(Address { stream, ..Address::default() }, Shape::matrix(size, size), Device::Cpu)
}
