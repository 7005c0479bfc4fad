//! Our side of `cargo xtask bench step`: whole iterations of the released code's recipe.
//!
//! Started as `step STRATEGY SIDE WIDTH BATCH TASK THREADS`. A line `iteration N` runs N iterations at that task. The
//! greeting is the number of additions and multiplications of one iteration.

use anyhow::{Result, bail};
use mergan_benches::server::{serve, timed, with_threads};
use mergan_benches::training::Training;
use mergan_tensor::count_conv2d_flops;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [strategy, side, width, batch, task, threads] = arguments.as_slice() else {
        bail!("usage: step STRATEGY SIDE WIDTH BATCH TASK THREADS");
    };
    let [side, width, batch, task] = [side.parse()?, width.parse()?, batch.parse()?, task.parse()?];
    with_threads(threads, || run(&Training { strategy, side, width, batch, task }))
}

fn run(training: &Training) -> Result<()> {
    let mut trainer = training.begin()?;
    let (advanced, flops) = count_conv2d_flops(|| trainer.advance());
    advanced?;
    serve(flops, |what, count| match what {
        "iteration" => timed(count, || Ok(trainer.advance()?)),
        other => bail!("`{other}` is nothing to time"),
    })
}
