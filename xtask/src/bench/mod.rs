//! `cargo xtask bench`: measures speed beside PyTorch, and beside the tensor libraries for Rust.
//!
//! One of our processes and two of PyTorch's (NCHW and channels last) are kept waiting and are asked in turn, so that
//! other load on the machine affects all of them alike. The tables hold medians and their ratios, with the rate of
//! the best matrix product of any side as the measure of what the machine can do.

mod conv2d;
mod inception;
mod others;
mod python;
mod record;
mod server;
mod sides;
mod step;
mod tensors;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread;

use anyhow::Result;
use clap::{Args, Subcommand};

/// `cargo xtask bench`.
#[derive(Subcommand)]
pub enum Bench {
    /// A whole training iteration: a generator step and five critic steps.
    Step(step::Arguments),
    /// Each map of each convolution of the networks.
    Conv2d(conv2d::Arguments),
    /// The way from images to the features that FID compares, beside pytorch-fid.
    Inception(inception::Arguments),
    /// A training step of one convolution, beside burn and candle.
    Tensors(tensors::Arguments),
}

/// The Python of the other side.
#[derive(Args)]
struct Peer {
    /// A Python that has torch and, for `inception`, pytorch-fid.
    #[arg(long, value_name = "FILE", conflicts_with = "install")]
    python: Option<PathBuf>,
    /// Make a virtual environment with torch in the target directory, and use it.
    #[arg(long)]
    install: bool,
}

/// The options that all benchmarks share.
#[derive(Args)]
struct Common {
    /// How often each side is timed.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Number of threads of each side [default: one for each core].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// The file for the tables [default: benches/results/DATE-BENCHMARK-MACHINE.md].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Common {
    fn threads(&self) -> usize {
        self.threads.or_else(|| thread::available_parallelism().ok()).map_or(1, usize::from)
    }
}

/// Runs the benchmark and writes its tables.
pub fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Step(arguments) => step::run(arguments),
        Bench::Conv2d(arguments) => conv2d::run(arguments),
        Bench::Inception(arguments) => inception::run(arguments),
        Bench::Tensors(arguments) => tensors::run(arguments),
    }
}
