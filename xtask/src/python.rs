//! Virtual environments in the target directory, for comparisons with Python programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cargo::{must, target_directory};

/// The version of PyTorch used for comparison.
pub const TORCH: &str = "torch==2.15.0";

/// A virtual environment, which need not exist yet.
pub struct Environment {
    folder: PathBuf,
    requirements: String,
}

impl Environment {
    /// Describes the environment of this name with these requirements, one per line, in pip's format.
    pub fn new(name: &str, requirements: &str) -> Result<Self> {
        Ok(Environment { folder: target_directory()?.join(name), requirements: requirements.into() })
    }

    /// Returns its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns its Python.
    pub fn python(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// Returns whether everything that is required has been installed.
    pub fn is_ready(&self) -> bool {
        fs::read_to_string(self.installed()).is_ok_and(|installed| installed == self.requirements)
    }

    /// Creates it, if it does not exist or was made for other requirements, and returns its Python.
    pub fn install(&self) -> Result<PathBuf> {
        let python = self.python();
        if self.is_ready() {
            return Ok(python);
        }
        let packages = self.requirements.lines().map(str::trim).filter(|line| !line.is_empty());
        for command in [
            Command::new("python3").args(["-m", "venv", "--clear"]).arg(&self.folder),
            Command::new(&python)
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
                .args(packages),
        ] {
            must(command)?;
        }
        // This file is written last, so a folder without it is incomplete.
        fs::write(self.installed(), &self.requirements)
            .with_context(|| format!("writing {}", self.installed().display()))?;
        Ok(python)
    }

    fn installed(&self) -> PathBuf {
        self.folder.join("installed.txt")
    }
}
