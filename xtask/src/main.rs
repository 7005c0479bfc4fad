//! `cargo xtask`: what the project does with itself. It imports no crate of the project: it builds the command and runs
//! it, as a person would.

mod bench;
mod browser;
mod cargo;
mod ci;
mod debian;
mod gpu;
mod hdf5;
mod interop;
mod kernels;
mod outside;
mod python;
mod reproduce;

use std::ffi::OsString;
use std::path::{Path, PathBuf, absolute};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What the project does with itself.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Train the strategies on a dataset, score them, and set the result beside the paper's: `mergan reproduce`, built now.
    #[command(disable_help_flag = true)]
    Reproduce {
        /// What `mergan reproduce` takes, such as `mnist --seeds 3`; `--help` shows all of it.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        arguments: Vec<OsString>,
    },
    /// Measure speed beside PyTorch.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Check what the command hands to ONNX, TensorBoard and PyTorch with those programs.
    Interop(interop::Arguments),
    /// Compile the CUDA kernels to the PTX that ships.
    Ptx(kernels::Ptx),
    /// Print which CUDA kernel was compared on which tier.
    Ledger,
    /// Open a report in headless Chromium and use it; pictures of it go into a folder.
    Browse {
        /// The report.
        page: PathBuf,
        /// The folder of the pictures.
        #[arg(long, value_name = "DIR")]
        pictures: Option<PathBuf>,
    },
    /// Run what needs a GPU, or pack it for a machine that has one.
    Gpu(gpu::Arguments),
    /// Everything that must pass before a change is merged: format, lints, docs, tests and a smoke reproduction.
    Ci,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Reproduce { arguments } => reproduce::run(&arguments),
        Task::Bench(bench) => bench::run(&bench),
        Task::Interop(arguments) => interop::run(&arguments),
        Task::Ptx(arguments) => kernels::ptx(&arguments),
        Task::Ledger => kernels::ledger(),
        Task::Browse { page, pictures } => browse(&page, pictures.as_deref()),
        Task::Gpu(arguments) => gpu::run(&arguments),
        Task::Ci => ci::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The browser starts in another folder.
fn browse(page: &Path, pictures: Option<&Path>) -> anyhow::Result<()> {
    let pictures = pictures.map(absolute).transpose()?;
    browser::check(&absolute(page)?, pictures.as_deref())
}
