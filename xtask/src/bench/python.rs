//! Finding a Python with PyTorch, or making one.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::Common;
use crate::cargo::target_directory;

/// The torch that `--install` installs.
const TORCH: &str = "torch==2.15.0";

/// The Python to use, with torch in it.
pub fn python(common: &Common) -> Result<PathBuf> {
    if let Some(python) = &common.python {
        return Ok(python.clone());
    }
    let environment = target_directory()?.join("bench-venv");
    let python = environment.join("bin/python");
    if python.exists() {
        return Ok(python);
    }
    if !common.install {
        bail!("no PyTorch to compare with; give --python FILE, or --install to put one into {}", environment.display());
    }
    for command in [
        Command::new("python3").args(["-m", "venv"]).arg(&environment),
        Command::new(&python).args(["-m", "pip", "install", "--quiet", TORCH, "numpy"]),
    ] {
        let status = command.status().with_context(|| format!("starting {command:?}"))?;
        ensure!(status.success(), "{command:?} ended with {status}");
    }
    Ok(python)
}
