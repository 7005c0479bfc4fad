//! `cargo xtask`: the development tasks of the project. It imports no crate of the project, but builds the command
//! and runs it, as a user would.

mod arm;
mod bench;
mod browser;
mod cargo;
mod ci;
mod debian;
mod dependencies;
mod fuzz;
mod gpu;
mod hdf5;
mod interop;
mod kernels;
mod module;
mod outside;
mod python;
mod reproduce;
mod sanitize;

use std::ffi::OsString;
use std::path::{Path, PathBuf, absolute};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use cargo::build_mergan;

/// The development tasks of the project.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Train the strategies on a dataset, score them, and compare the results with the paper's: `mergan reproduce`,
    /// built now.
    #[command(disable_help_flag = true)]
    Reproduce {
        /// The arguments of `mergan reproduce`, such as `mnist --seeds 3`; `--help` shows all of them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        arguments: Vec<OsString>,
    },
    /// Measure speed beside PyTorch.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Check the command's output for ONNX, TensorBoard and PyTorch with those programs.
    Interop(interop::Arguments),
    /// Compile the CUDA kernels to the PTX files that are shipped.
    Ptx(kernels::Ptx),
    /// Print which CUDA kernel was compared on which tier.
    Ledger,
    /// Open a report in headless Chromium and operate it; screenshots go into a folder.
    Browse {
        /// The report.
        page: PathBuf,
        /// The folder for the screenshots.
        #[arg(long, value_name = "DIR")]
        pictures: Option<PathBuf>,
    },
    /// Run the checks that need a GPU, or pack them for a machine that has one.
    Gpu(gpu::Arguments),
    /// Run the tensor crate's tests under AddressSanitizer and Miri, of the nightly toolchain.
    Sanitize,
    /// Give every reader of files from outside what libFuzzer makes up, by cargo-fuzz and the nightly toolchain.
    Fuzz(fuzz::Arguments),
    /// Run everything that must pass before a change is merged: format, lints, docs, tests and a smoke reproduction.
    Ci,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Reproduce { arguments } => build_mergan().and_then(|mergan| reproduce::run(&mergan, &arguments)),
        Task::Bench(bench) => bench::run(&bench),
        Task::Interop(arguments) => build_mergan().and_then(|mergan| interop::run(&mergan, &arguments)),
        Task::Ptx(arguments) => kernels::ptx(&arguments),
        Task::Ledger => kernels::ledger(),
        Task::Browse { page, pictures } => browse(&page, pictures.as_deref()),
        Task::Gpu(arguments) => gpu::run(&arguments),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Sanitize => sanitize::run(),
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

/// The paths are made absolute because the browser starts in another folder.
fn browse(page: &Path, pictures: Option<&Path>) -> anyhow::Result<()> {
    let pictures = pictures.map(absolute).transpose()?;
    browser::check(&absolute(page)?, pictures.as_deref())
}
