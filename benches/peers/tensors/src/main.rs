//! Times the tensor libraries for Rust on a training step of one convolution, and on a training iteration of the paper's
//! digit networks without the gradient penalty.
//!
//! `tensors ROUNDS THREADS` prints a table of each. The sides take turns in one process, so that other load affects all
//! alike, and each is warmed up by one step. All of them get the same numbers. The tables name the largest relative
//! difference of their results from ours, and a larger one than rounding explains is an error, so that nobody is timed
//! doing something else.

use std::env;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

mod convolution;
mod digits;

/// A library that has the numbers of a comparison.
trait Side {
    /// Takes a step and returns numbers that follow from all of it.
    fn results(&mut self) -> Result<Vec<f32>>;

    /// Takes a step.
    fn step(&mut self) -> Result<()> {
        self.results().map(drop)
    }
}

/// The sides of a comparison by name; ours is the first.
type Sides = Vec<(&'static str, Box<dyn Side>)>;

/// The largest difference of results, relative to the largest of ours, that rounding may explain.
const TOLERANCE: f32 = 1e-4;

fn main() -> Result<()> {
    let arguments: Vec<usize> = env::args().skip(1).map(|argument| argument.parse()).collect::<Result<_, _>>()?;
    let [rounds, threads] = arguments[..].try_into().ok().context("usage: tensors ROUNDS THREADS")?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    compare(["3x3", "5x5"], "gradients", [convolution::sides(3)?, convolution::sides(5)?], rounds)?;
    println!();
    compare(["width 16", "width 32"], "losses", [digits::sides(16)?, digits::sides(32)?], rounds)
}

/// Prints the table of two cases.
fn compare(names: [&str; 2], results: &str, cases: [Sides; 2], rounds: usize) -> Result<()> {
    let [first, second] = names;
    println!(
        "| library | {first}, ms | {second}, ms | times ours, {first} | times ours, {second} | {results} differ by |\n\
         |---|---:|---:|---:|---:|---:|"
    );
    let [left, right] = cases.map(|sides| measure(sides, rounds));
    let (left, right) = (left?, right?);
    for (a, b) in left.iter().zip(&right) {
        println!(
            "| {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.0e} |",
            a.name,
            a.median,
            b.median,
            a.median / left[0].median,
            b.median / right[0].median,
            a.difference.max(b.difference),
        );
    }
    Ok(())
}

/// The measurements of a side.
struct Measured {
    name: &'static str,
    /// The median time of a step in milliseconds.
    median: f64,
    /// The largest difference of a result from ours, relative to the largest of ours.
    difference: f32,
}

fn measure(mut sides: Sides, rounds: usize) -> Result<Vec<Measured>> {
    let results: Vec<Vec<f32>> = sides.iter_mut().map(|(_, side)| side.results()).collect::<Result<_>>()?;
    let ours = &results[0];
    let largest = ours.iter().fold(0f32, |largest, number| largest.max(number.abs()));
    let mut times = vec![Vec::new(); sides.len()];
    for _ in 0..rounds {
        for ((_, side), times) in sides.iter_mut().zip(&mut times) {
            let begun = Instant::now();
            side.step()?;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
    }
    let measured = sides.iter().zip(&results).zip(times).map(|(((name, _), results), mut times)| {
        ensure!(results.len() == ours.len(), "{name} has {} results, not {}", results.len(), ours.len());
        let differences = results.iter().zip(ours).map(|(theirs, ours)| (theirs - ours).abs());
        // In the total order NaN is the largest, so it is not overlooked.
        let difference = differences.max_by(f32::total_cmp).context("a step without results")? / largest;
        ensure!(difference <= TOLERANCE, "the results of {name} differ from ours by {difference:.0e}");
        times.sort_by(f64::total_cmp);
        Ok(Measured { name, median: times[times.len() / 2], difference })
    });
    measured.collect()
}
