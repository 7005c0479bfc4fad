//! Running cargo, and finding the workspace.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The root of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}

/// The cargo that runs this, called in the root of the workspace.
pub fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    // What belongs to the package xtask must not reach the packages that this cargo builds.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// The folder that cargo builds into; xtask itself is built into another one (`.cargo/config.toml`).
pub fn target_directory() -> Result<PathBuf> {
    let output = cargo().args(["metadata", "--no-deps", "--format-version", "1"]).output().context("running cargo")?;
    ensure!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).context("reading cargo's metadata")?;
    let directory = metadata["target_directory"].as_str().context("cargo's metadata names no target directory")?;
    Ok(directory.into())
}

/// Builds the `mergan` command in release and returns its path.
pub fn build_mergan() -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--release", "--package", "mergan-cli"]).stdin(Stdio::null());
    ensure!(build.status().context("running cargo")?.success(), "the mergan command does not build");
    Ok(target_directory()?.join("release").join(format!("mergan{}", env::consts::EXE_SUFFIX)))
}
