//! `cargo xtask bench`: measures speed beside PyTorch, and beside the tensor libraries for Rust.
//!
//! One of our processes and two of PyTorch's (NCHW and channels last) are kept waiting and are asked in turn, so that
//! other load on the machine affects all of them alike. The tables hold medians and their ratios, with the rate of
//! the best matrix product of any side as the measure of what the machine can do.

mod conv2d;
mod inception;
mod others;
mod profile;
mod python;
mod record;
mod server;
mod sides;
mod step;
mod tensors;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};

/// `cargo xtask bench`.
#[derive(Subcommand)]
pub enum Bench {
    /// A whole training iteration: a generator step and five critic steps.
    Step(step::Arguments),
    /// Each map of each convolution of the networks.
    Conv2d(conv2d::Arguments),
    /// The way from images to the features that FID compares, beside pytorch-fid.
    Inception(inception::Arguments),
    /// What each operation of an iteration costs, as a share of what the machine can do.
    Profile(profile::Arguments),
    /// A training step of one convolution, and an iteration of the digit networks, beside burn and candle.
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
    /// The vector instructions of all sides [default: the best of the machine].
    #[arg(long, value_name = "NAME")]
    simd: Option<Simd>,
    /// The file for the tables [default: benches/results/DATE-BENCHMARK-MACHINE.md].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What is trained.
#[derive(Args)]
struct Networks {
    /// The side of the images in pixels: 32 for the digit networks, 64 for the residual ones.
    #[arg(long, value_name = "PIXELS", default_value_t = 32)]
    side: usize,
    /// Number of images in a batch.
    #[arg(long, value_name = "N", default_value_t = 64)]
    batch: usize,
    /// The widths of the networks.
    #[arg(long, value_delimiter = ',', default_value = "16,32,64")]
    widths: Vec<usize>,
}

/// Vector instructions that every side can be held to.
#[derive(Clone, Copy, ValueEnum)]
enum Simd {
    Avx2,
    Avx512,
}

impl Simd {
    /// The environment that holds our kernels, PyTorch's, oneDNN's and MKL's to these instructions.
    fn environment(self) -> [(&'static str, &'static str); 4] {
        let [ours, torch, onednn, mkl] = match self {
            Simd::Avx2 => ["avx2", "avx2", "AVX2", "AVX2"],
            Simd::Avx512 => ["avx512", "avx512", "AVX512_CORE_BF16", "AVX512"],
        };
        [
            ("MERGAN_SIMD", ours),
            ("ATEN_CPU_CAPABILITY", torch),
            ("ONEDNN_MAX_CPU_ISA", onednn),
            ("MKL_ENABLE_INSTRUCTIONS", mkl),
        ]
    }
}

impl Common {
    /// Sets the environment of a side's process.
    fn instruct<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.envs(self.simd.into_iter().flat_map(Simd::environment))
    }

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
        Bench::Profile(arguments) => profile::run(arguments),
        Bench::Tensors(arguments) => tensors::run(arguments),
    }
}
