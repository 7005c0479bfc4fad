//! `cargo xtask interop`: checks the command's output for other programs with those programs, in Python.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::cargo::{data_cache, must, root};
use crate::python::{Environment, TORCH};

/// The arguments of `cargo xtask interop`.
#[derive(Args, Default)]
#[command(after_help = "Examples:\n  cargo xtask interop\n  cargo xtask interop --torch --run runs/ra")]
pub struct Arguments {
    /// Check this run, of a strategy whose generator knows its classes [default: a smoke run made for it].
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// Also compare with PyTorch, which is large to install.
    #[arg(long)]
    pub torch: bool,
}

/// Runs the check; its script says what it compares.
pub fn run(mergan: &Path, arguments: &Arguments) -> Result<()> {
    let folder = root().join("tests/python");
    let requirements = folder.join("requirements.txt");
    let mut requirements =
        fs::read_to_string(&requirements).with_context(|| format!("reading {}", requirements.display()))?;
    let name = if arguments.torch { "interop-torch-venv" } else { "interop-venv" };
    if arguments.torch {
        requirements += TORCH;
    }
    let work = tempfile::tempdir().context("making a temporary directory")?;
    let mut check = Command::new(Environment::new(name, &requirements)?.install()?);
    check.arg(folder.join("check.py")).arg(mergan).arg(work.path()).env("MERGAN_DATA", data_cache());
    if let Some(run) = &arguments.run {
        check.arg("--run").arg(run);
    }
    if arguments.torch {
        check.arg("--torch");
    }
    must(&mut check).context("the check in other programs failed")
}
