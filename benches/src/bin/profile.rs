//! `cargo xtask bench profile`: what each operation of an iteration costs.
//!
//! Called as `profile STRATEGY SIDE WIDTH BATCH TASK ITERATIONS THREADS`; prints the table in Markdown.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use mergan_benches::server::{numbers, with_threads};
use mergan_benches::training::Training;
use mergan_tensor::{Cost, Operation, microkernel, profile};

/// The operations that together take less than this share of an iteration make one line.
const SMALL: f64 = 0.005;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [strategy, side, width, batch, task, iterations, threads] = arguments.as_slice() else {
        bail!("usage: profile STRATEGY SIDE WIDTH BATCH TASK ITERATIONS THREADS");
    };
    let [side, width, batch, task] = [side.parse()?, width.parse()?, batch.parse()?, task.parse()?];
    let iterations = iterations.parse()?;
    with_threads(threads, || run(&Training { strategy, side, width, batch, task }, iterations))
}

fn run(training: &Training, iterations: u32) -> Result<()> {
    let machine = Machine::measure();
    let mut trainer = training.begin()?;
    trainer.advance()?;
    let start = Instant::now();
    let (result, costs) = profile(|| (0..iterations).try_for_each(|_| trainer.advance().map(drop)));
    result?;
    let whole = start.elapsed();
    let Training { strategy, side, width, batch, task } = training;
    println!("\n## {strategy}, {side} x {side}, width {width}, batch {batch}, task {task}, {}\n", microkernel());
    println!(
        "{:.1} ms an iteration. The best 1024^3 product took {:.0} GFLOP/s, the best sum of large tensors {:.1} GB/s.\n",
        whole.as_secs_f64() * 1e3 / f64::from(iterations),
        machine.flops / 1e9,
        machine.bandwidth / 1e9,
    );
    println!("| operation | calls | ms | share | GFLOP/s | of peak | GB/s | of bandwidth |");
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    let measured: Duration = costs.iter().map(|(_, cost)| cost.time).sum();
    let (large, small): (Vec<_>, Vec<_>) =
        costs.into_iter().partition(|(_, cost)| seconds(cost) > SMALL * whole.as_secs_f64());
    let line = |name: &str, cost: &Cost| println!("{}", machine.line(name, cost, whole, iterations));
    for (operation, cost) in &large {
        line(&name(operation), cost);
    }
    let mut others = Cost::default();
    for (_, cost) in &small {
        others.calls += cost.calls;
        others.time += cost.time;
        others.bytes += cost.bytes;
        others.flops += cost.flops;
    }
    line(&format!("{} smaller ones", small.len()), &others);
    line("between the operations", &Cost { time: whole.saturating_sub(measured), ..Cost::default() });
    Ok(())
}

fn seconds(cost: &Cost) -> f64 {
    cost.time.as_secs_f64()
}

fn name(Operation { name, operands, result }: &Operation) -> String {
    let operands: Vec<_> = operands.iter().map(|shape| format!("{shape:?}")).collect();
    format!("{name}: {} to {result:?}", operands.join(", "))
}

/// The rates that the machine reaches, in operations and in bytes per second.
struct Machine {
    flops: f64,
    bandwidth: f64,
}

impl Machine {
    fn measure() -> Self {
        const SIDE: usize = 1024;
        let [a, b] = [0, 1].map(|stream| numbers(stream, [SIDE, SIDE]));
        let flops = 2.0 * (SIDE as f64).powi(3) / best(|| drop(black_box(a.linear(&b))));
        let [a, b] = [0, 1].map(|stream| numbers(stream, [SIDE, 16, SIDE]));
        let bytes = 3.0 * (a.shape().len() * size_of::<f32>()) as f64;
        Machine { flops, bandwidth: bytes / best(|| drop(black_box(&a + &b))) }
    }

    fn line(&self, name: &str, cost: &Cost, whole: Duration, iterations: u32) -> String {
        let seconds = seconds(cost).max(f64::MIN_POSITIVE);
        let (flops, bytes) = (cost.flops as f64 / seconds, cost.bytes as f64 / seconds);
        format!(
            "| {name} | {:.1} | {:.2} | {:.1} % | {:.1} | {:.0} % | {:.1} | {:.0} % |",
            cost.calls as f64 / f64::from(iterations),
            seconds * 1e3 / f64::from(iterations),
            100.0 * seconds / whole.as_secs_f64(),
            flops / 1e9,
            100.0 * flops / self.flops,
            bytes / 1e9,
            100.0 * bytes / self.bandwidth,
        )
    }
}

/// Returns the seconds of the fastest of several calls.
fn best(f: impl Fn()) -> f64 {
    let time = |_| {
        let start = Instant::now();
        f();
        start.elapsed().as_secs_f64()
    };
    (0..10).map(time).fold(f64::INFINITY, f64::min)
}
