//! Programs outside the workspace: each library crate is useful alone, which only a project of its own can show.
//!
//! Each file in `tests/outside` becomes a project in a temporary directory that depends on the crates it names, by path.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use crate::cargo::{cargo, data_cache, root, target_directory};

/// Builds and runs every program; says how many there were.
pub fn run() -> Result<usize> {
    let folder = root().join("tests/outside");
    let mut programs = fs::read_dir(&folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>())
        .with_context(|| format!("reading {}", folder.display()))?;
    programs.sort();
    for program in &programs {
        run_alone(program).with_context(|| format!("{} does not work outside the workspace", program.display()))?;
    }
    Ok(programs.len())
}

fn run_alone(program: &Path) -> Result<()> {
    let source = fs::read_to_string(program)?;
    let project = tempfile::tempdir()?;
    fs::create_dir(project.path().join("src"))?;
    fs::write(project.path().join("src/main.rs"), &source)?;
    fs::write(project.path().join("Cargo.toml"), manifest(&source)?)?;
    // The same versions as in the workspace, so that nothing is downloaded or built twice.
    fs::copy(root().join("Cargo.lock"), project.path().join("Cargo.lock"))?;
    let mut run = cargo();
    run.args(["run", "--quiet"]).current_dir(project.path()).stdin(Stdio::null());
    run.env("CARGO_TARGET_DIR", target_directory()?.join("outside"));
    run.env("MERGAN_DATA", data_cache());
    ensure!(run.status()?.success(), "it does not build or run");
    Ok(())
}

/// A manifest with the project's crates that the source names.
fn manifest(source: &str) -> Result<String> {
    let mut manifest = String::from(
        "[package]\nname = 'outside'\nedition = '2024'\n[workspace]\n[profile.dev.package.'*']\nopt-level = 3\n\
         debug = false\n[dependencies]\n",
    );
    for entry in fs::read_dir(root().join("crates"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if source.contains(&format!("mergan_{name}::")) {
            manifest += &format!("mergan-{name} = {{ path = '{}' }}\n", path.display());
        }
    }
    Ok(manifest)
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
