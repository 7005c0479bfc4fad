//! Our side of the timings on a GPU: `gpu-step STRATEGY SIDE WIDTH BATCH TASK ITERATIONS PRECISION [plain]` trains as
//! `mergan train` does, on random images of either size (see [`Training`]), and prints the milliseconds of an iteration: a
//! generator step and five critic steps. With `plain`, kernels are launched one by one instead of as CUDA graphs.

use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use mergan_benches::training::Training;
use mergan_strategies::{Advance, Trainer};
use mergan_tensor::cuda::{self, Options, Precision};

const USAGE: &str = "usage: gpu-step STRATEGY SIDE WIDTH BATCH TASK ITERATIONS f32|tf32 [plain]";

/// The number of times that the iterations are timed.
const ROUNDS: usize = 5;

fn main() -> Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let graphs = arguments.pop_if(|last| last == "plain").is_none();
    let [strategy, sizes @ .., precision] = arguments.as_slice() else { bail!(USAGE) };
    let sizes = sizes.iter().map(|size| size.parse().context(USAGE)).collect::<Result<Vec<usize>>>()?;
    let &[side, width, batch, task, iterations] = sizes.as_slice() else { bail!(USAGE) };
    ensure!(iterations > 0, "there must be at least one iteration");
    let mut precisions = [Precision::F32, Precision::Tf32].into_iter();
    let precision = precisions.find(|known| known.to_string() == *precision).context(USAGE)?;
    let device = cuda::open(0, Options { precision, graphs })?;

    let mut trainer = Training { strategy, side, width, batch, task }.begin()?.on(device);
    // The first iterations are not timed: they load kernels, fill the pool and record the graphs.
    run(&mut trainer, 3)?;
    let mut times = (0..ROUNDS).map(|_| run(&mut trainer, iterations)).collect::<Result<Vec<f64>>>()?;
    times.sort_by(f64::total_cmp);
    let plain = if graphs { "" } else { ", kernels one by one" };
    println!("mergan, {strategy}, {side} x {side}, width {width}, {precision}{plain}: {:.3} ms", times[ROUNDS / 2]);
    Ok(())
}

/// Trains for this many iterations and returns the milliseconds of one.
fn run(trainer: &mut Trainer, iterations: usize) -> Result<f64> {
    let start = Instant::now();
    let mut last = None;
    for _ in 0..iterations {
        last = trainer.advance()?;
    }
    let Some(Advance::Iteration { losses, .. }) = last else { bail!("the task is too short for so many iterations") };
    // Reading the losses waits for the device.
    losses.read();
    Ok(start.elapsed().as_secs_f64() * 1e3 / iterations as f64)
}
