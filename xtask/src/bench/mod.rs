//! `cargo xtask bench`: speed beside PyTorch.
//!
//! One process of ours and two of PyTorch's (NCHW and channels last) are kept waiting and asked in turn, so that whatever
//! else the machine does weighs on all alike. Medians and their ratios go into tables, with the rate of the best matrix
//! product of either side as the measure of what the machine can do.

mod conv2d;
mod inception;
mod others;
mod python;
mod record;
mod server;
mod sides;
mod step;

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
    /// Images to the features that FID compares, beside pytorch-fid.
    Inception(inception::Arguments),
}

/// What both benchmarks can be told.
#[derive(Args)]
struct Common {
    /// A Python that has torch, and for `inception` pytorch-fid.
    #[arg(long, value_name = "FILE", conflicts_with = "install")]
    python: Option<PathBuf>,
    /// Make a virtual environment with torch in the target directory, and use it.
    #[arg(long)]
    install: bool,
    /// How often each side is asked.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Threads of each side [default: one for each core].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Where the tables go [default: benches/results/DATE-BENCHMARK-MACHINE.md].
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
    }
}
