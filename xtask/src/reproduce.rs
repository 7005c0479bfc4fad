//! `cargo xtask reproduce`: builds the command and lets it reproduce the paper, from a fresh clone to the table.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;

use crate::cargo::{build_mergan, data_cache, must};

/// Calls `mergan reproduce` with these arguments; its data are kept in the clone.
pub fn run(arguments: &[OsString]) -> Result<()> {
    let mut reproduce = Command::new(build_mergan()?);
    reproduce.arg("reproduce").args(arguments).env("MERGAN_DATA", data_cache());
    must(&mut reproduce)
}
