//! Times one training step of a convolution with 64 to 128 channels in the tensor libraries for Rust: the convolution, the
//! sum of its result's squares, and the gradients with respect to images and kernel.
//!
//! `tensors ROUNDS THREADS` prints a table. The sides take turns in one process, so that other load affects all alike, and
//! each is warmed up by one step. All of them get the same numbers; the table names the largest relative difference of the
//! kernels' gradients, so that nobody is timed doing something else.

use std::env;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

mod sides;

use sides::{SIDES, Side, Step};

/// Images in a batch, and their height and width.
const BATCH: usize = 32;
const SIDE: usize = 16;
const CHANNELS: [usize; 2] = [64, 128];

fn main() -> Result<()> {
    let arguments: Vec<usize> = env::args().skip(1).map(|argument| argument.parse()).collect::<Result<_, _>>()?;
    let [rounds, threads] = arguments[..].try_into().ok().context("usage: tensors ROUNDS THREADS")?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    println!("| library | 3x3, ms | 5x5, ms | times ours, 3x3 | times ours, 5x5 | gradients differ by |");
    println!("|---|---:|---:|---:|---:|---:|");
    let [three, five] = [3, 5].map(|kernel| measure(kernel, rounds));
    let (three, five) = (three?, five?);
    for (((name, _), three_ms), five_ms) in SIDES.iter().zip(&three.medians).zip(&five.medians) {
        let difference = three.differences[name].max(five.differences[name]);
        println!(
            "| {name} | {three_ms:.2} | {five_ms:.2} | {:.2} | {:.2} | {difference:.0e} |",
            three_ms / three.medians[0],
            five_ms / five.medians[0],
        );
    }
    Ok(())
}

/// The measurements of all sides.
struct Measured {
    /// In milliseconds, in the order of the sides; ours is the first.
    medians: Vec<f64>,
    /// By name, the largest difference of a number of the kernel's gradient from ours, relative to the largest number.
    differences: std::collections::HashMap<&'static str, f64>,
}

fn measure(kernel: usize, rounds: usize) -> Result<Measured> {
    let [inputs, outputs] = CHANNELS;
    let step = Step {
        images: [BATCH, inputs, SIDE, SIDE],
        kernel: [outputs, inputs, kernel, kernel],
        padding: kernel / 2,
        numbers: |i| ((i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f32 / (1 << 24) as f32 - 0.5,
    };
    let mut sides: Vec<(&'static str, Box<dyn Side>)> =
        SIDES.iter().map(|(name, make)| Ok((*name, make(&step)?))).collect::<Result<_>>()?;
    let gradients: Vec<Vec<f32>> = sides.iter_mut().map(|(_, side)| side.gradient()).collect::<Result<_>>()?;
    let largest = gradients[0].iter().fold(0f32, |largest, number| largest.max(number.abs()));
    let mut differences = std::collections::HashMap::new();
    for ((name, _), gradient) in sides.iter().zip(&gradients) {
        ensure!(gradient.len() == gradients[0].len(), "{name} has a gradient of another size");
        let pairs = gradient.iter().zip(&gradients[0]);
        let difference = pairs.fold(0f32, |most, (a, b)| most.max((a - b).abs()));
        differences.insert(*name, f64::from(difference / largest));
    }
    let mut times = vec![Vec::new(); sides.len()];
    for _ in 0..rounds {
        for ((_, side), times) in sides.iter_mut().zip(&mut times) {
            let begun = Instant::now();
            side.step()?;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    Ok(Measured { medians: times.into_iter().map(median).collect(), differences })
}
