//! `cargo xtask reproduce`: lets the command reproduce the paper, from a fresh clone to the table.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::cargo::{data_cache, must};

/// Calls `mergan reproduce` with these arguments; its data are kept in the clone.
pub fn run(mergan: &Path, arguments: &[OsString]) -> Result<()> {
    let mut reproduce = Command::new(mergan);
    reproduce.arg("reproduce").args(arguments).env("MERGAN_DATA", data_cache());
    must(&mut reproduce)
}
