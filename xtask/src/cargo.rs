//! Runs cargo and finds the workspace.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::hdf5;

/// Returns the root of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}

/// Returns the cargo that runs this program, to be called in the root of the workspace.
pub fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    // Variables that describe the package xtask must not reach the packages that this cargo builds.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Returns the nightly cargo, to be called in this folder of the workspace.
pub fn nightly(folder: &str) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root().join(folder)).arg("+nightly");
    // The cargo that runs this program must not choose the toolchain and the folder.
    for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN", "CARGO_TARGET_DIR"] {
        cargo.env_remove(name);
    }
    cargo
}

/// Has rustup install the nightly toolchain, or renew it.
pub fn install_nightly(components: &[&str]) -> Result<()> {
    let components = components.iter().flat_map(|component| ["--component", component]);
    must(Command::new("rustup").args(["toolchain", "install", "nightly", "--profile", "minimal"]).args(components))
}

/// Runs a command that reads no input and must succeed.
pub fn must(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("starting {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

/// Has rustup add a target if it is missing.
pub fn add_target(target: &str) -> Result<()> {
    must(Command::new("rustup").args(["target", "add", target]))
}

/// Returns cargo's metadata about the packages of the workspace.
pub fn metadata() -> Result<Value> {
    let output = cargo().args(["metadata", "--no-deps", "--format-version", "1"]).output().context("running cargo")?;
    ensure!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("reading cargo's metadata")
}

/// Returns the folder that cargo builds into; xtask itself is built into a different one (`.cargo/config.toml`).
pub fn target_directory() -> Result<PathBuf> {
    let metadata = metadata()?;
    let directory = metadata["target_directory"].as_str().context("cargo's metadata names no target directory")?;
    Ok(directory.into())
}

/// Returns the cache of downloads and scoring classifiers, which is the clone's unless another one is chosen.
pub fn data_cache() -> PathBuf {
    env::var_os("MERGAN_DATA").map_or_else(|| root().join("data/cache"), PathBuf::from)
}

/// Returns the commit that is checked out, followed by `-dirty` if tracked files have changed; `None` outside a
/// clone.
pub fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(root()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    let commit = git(&["rev-parse", "--short", "HEAD"])?;
    let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changes.is_empty() { commit } else { commit + "-dirty" })
}

/// Builds the `mergan` command in release and returns its path.
pub fn build_mergan() -> Result<PathBuf> {
    build_release(&["mergan-cli"])
}

/// Builds the `mergan` command and the Python module in release, and returns the path of the command. Packages that are
/// built together share the features of their dependencies, which are therefore compiled once for both.
pub fn build_mergan_and_module() -> Result<PathBuf> {
    build_release(&["mergan-cli", "mergan-python"])
}

fn build_release(packages: &[&str]) -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--release"]).args(packages.iter().flat_map(|package| ["--package", package]));
    build.args(hdf5::features());
    if let Some(commit) = commit() {
        build.env("MERGAN_COMMIT", commit);
    }
    must(&mut build).context("the mergan command does not build")?;
    Ok(target_directory()?.join("release").join(format!("mergan{}", env::consts::EXE_SUFFIX)))
}
