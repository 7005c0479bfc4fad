//! Programs outside the workspace. Only such a program shows that each library crate is useful alone.
//!
//! Each file in `tests/outside` becomes a package that depends on the crates it names, by path. Together they form a
//! workspace in the target directory, so that a crate is compiled once for all of them. A single build gives a crate
//! the features that any of its dependents requests, so each package is also checked by itself. That check fails if a
//! crate uses a feature that it does not request.

use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cargo::{cargo, data_cache, must, root, target_directory};

/// Builds, checks and runs every program; returns how many there were.
pub fn run() -> Result<usize> {
    let target = target_directory()?;
    let workspace = target.join("outside");
    let programs = write_workspace(&workspace)?;
    let cargo_there = |arguments: &[&str]| {
        let mut command = cargo();
        command.args(arguments).arg("--quiet").current_dir(&workspace).env("CARGO_TARGET_DIR", &target);
        command
    };
    must(&mut cargo_there(&["build"]))?;
    for program in &programs {
        must(&mut cargo_there(&["check", "--package", program]))?;
        let mut run = Command::new(target.join("debug").join(format!("{program}{EXE_SUFFIX}")));
        must(run.current_dir(&workspace).env("MERGAN_DATA", data_cache()))?;
    }
    Ok(programs.len())
}

/// Writes the workspace of the programs afresh, and returns the names of its packages.
fn write_workspace(folder: &Path) -> Result<Vec<String>> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    let sources = root().join("tests/outside");
    let mut programs = Vec::new();
    for source in files(&sources)? {
        let text = fs::read_to_string(&source).with_context(|| format!("reading {}", source.display()))?;
        let program = format!("outside-{}", source.file_stem().unwrap_or_default().to_string_lossy());
        write(&folder.join(&program).join("src/main.rs"), &text)?;
        write(&folder.join(&program).join("Cargo.toml"), &package(&program, &text)?)?;
        programs.push(program);
    }
    // The workspace uses the versions and profiles of this one, so that what the tests have built is reused.
    let manifest = fs::read_to_string(root().join("Cargo.toml")).context("reading Cargo.toml")?;
    let profiles = manifest.find("\n[profile.").map_or("", |start| &manifest[start..]);
    write(&folder.join("Cargo.toml"), &format!("[workspace]\nresolver = '3'\nmembers = ['outside-*']\n{profiles}"))?;
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).context("copying Cargo.lock")?;
    programs.sort();
    Ok(programs)
}

/// Returns the manifest of a program, which depends on those of the project's crates that its source names.
fn package(name: &str, source: &str) -> Result<String> {
    let mut manifest = format!("[package]\nname = '{name}'\nedition = '2024'\n[dependencies]\n");
    for path in files(&root().join("crates"))? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if source.contains(&format!("mergan_{name}::")) {
            manifest += &format!("mergan-{name} = {{ path = '{}' }}\n", path.display());
        }
    }
    Ok(manifest)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    entries.with_context(|| format!("reading {}", folder.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().context("a path of a file")?;
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_that_read_runs_take_no_tensors() {
        let mut tree = cargo();
        tree.args(["tree", "--edges", "normal", "--prefix", "none", "-p", "mergan-record", "-p", "mergan-report"]);
        let output = tree.output().unwrap();
        let tree = String::from_utf8_lossy(&output.stdout);
        assert!(tree.contains("mergan-report "), "{}", String::from_utf8_lossy(&output.stderr));
        for heavy in ["mergan-tensor ", "mergan-models ", "cudarc "] {
            assert!(!tree.contains(heavy), "{heavy} is among\n{tree}");
        }
    }
}
