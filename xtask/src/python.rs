//! Virtual environments in the target directory, for what is compared with Python's programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cargo::{must, target_directory};

/// The version of PyTorch that is compared with.
pub const TORCH: &str = "torch==2.15.0";

/// A virtual environment, which need not be there yet.
pub struct Environment {
    folder: PathBuf,
    requirements: String,
}

impl Environment {
    /// The environment of this name with these requirements, a line each as pip reads them.
    pub fn new(name: &str, requirements: &str) -> Result<Self> {
        Ok(Environment { folder: target_directory()?.join(name), requirements: requirements.into() })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its Python.
    pub fn python(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// Whether everything that is required has been installed.
    pub fn is_ready(&self) -> bool {
        fs::read_to_string(self.installed()).is_ok_and(|installed| installed == self.requirements)
    }

    /// Makes it, where it is not there or was made for other requirements, and says its Python.
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
        // Written last: a folder without it was left half-made.
        fs::write(self.installed(), &self.requirements)
            .with_context(|| format!("writing {}", self.installed().display()))?;
        Ok(python)
    }

    fn installed(&self) -> PathBuf {
        self.folder.join("installed.txt")
    }
}
