//! `cargo xtask ptx` and `cargo xtask ledger`: work on the CUDA kernels that needs no GPU.
//!
//! The package mergan-emulator does the work; this builds its command and runs it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::cargo::{cargo, must, target_directory};

/// The arguments of `cargo xtask ptx`.
#[derive(Args)]
pub struct Ptx {
    /// Compare the files with a fresh compile instead of writing them.
    #[arg(long)]
    pub check: bool,
}

/// Compiles the kernels with NVRTC, which is fetched from PyPI, into `crates/tensor/ptx`.
pub fn ptx(arguments: &Ptx) -> Result<()> {
    let nvrtc = target_directory()?.join("nvrtc").display().to_string();
    let check = arguments.check.then_some("--check");
    run(&["ptx", &nvrtc].into_iter().chain(check).collect::<Vec<_>>())
}

/// Prints which kernel was compared on which tier; fails if a required comparison is missing.
pub fn ledger() -> Result<()> {
    run(&["ledger", &rows()?.display().to_string()])
}

/// Removes the record of what earlier tests compared.
pub fn begin_ledger() -> Result<()> {
    let rows = rows()?;
    if rows.exists() {
        fs::remove_file(&rows).with_context(|| format!("removing {}", rows.display()))?;
    }
    Ok(())
}

/// Returns the file in which the tests record what they compared, in cargo's folder for test files.
fn rows() -> Result<PathBuf> {
    Ok(target_directory()?.join("tmp/kernel-ledger.tsv"))
}

fn run(arguments: &[&str]) -> Result<()> {
    let mut kernels = cargo();
    kernels.args(["run", "--quiet", "--package", "mergan-emulator", "--bin", "kernels", "--"]).args(arguments);
    must(&mut kernels)
}
