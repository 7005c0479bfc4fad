//! The Python module: built as a wheel, and tested where it is installed, as a user has it.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cargo::{cargo, commit, must, root, target_directory};
use crate::hdf5;
use crate::python::Environment;

/// The most bytes that a wheel may have.
const LARGEST: u64 = 15 << 20;

/// Builds and installs the wheel, and returns the command that tests it. What `build_mergan_and_module` has compiled is
/// not compiled again.
pub fn tests() -> Result<Command> {
    let folder = root().join("python");
    let requirements = folder.join("tests/requirements.txt");
    let requirements =
        fs::read_to_string(&requirements).with_context(|| format!("reading {}", requirements.display()))?;
    let environment = Environment::new("python-venv", &requirements)?;
    let python = environment.install()?;
    let wheel = build(&environment, &folder)?;
    let size = fs::metadata(&wheel).with_context(|| format!("reading {}", wheel.display()))?.len();
    println!("{} has {:.1} MiB", wheel.display(), size as f64 / f64::from(1 << 20));
    ensure!(size <= LARGEST, "the wheel has {size} bytes; {LARGEST} are the most");
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--force-reinstall", "--no-deps"]);
    must(install.arg(&wheel))?;
    let mut tests = Command::new(&python);
    // Python finds modules in the directory where it starts, and none of this name lies in the root.
    tests.args(["-m", "pytest", "-p", "no:cacheprovider"]).arg(folder.join("tests")).current_dir(root());
    Ok(tests)
}

/// Builds the wheel and returns its path. HDF5's library is used where the system has it, and is not put into the wheel.
fn build(environment: &Environment, folder: &Path) -> Result<std::path::PathBuf> {
    let wheels = target_directory()?.join("wheels");
    if wheels.exists() {
        fs::remove_dir_all(&wheels).with_context(|| format!("removing {}", wheels.display()))?;
    }
    let mut build = Command::new(environment.folder().join(format!("bin/maturin{}", env::consts::EXE_SUFFIX)));
    build.args(["build", "--quiet", "--release", "--auditwheel", "skip", "--out"]).arg(&wheels).current_dir(folder);
    build.env("CARGO", cargo().get_program());
    if !hdf5::features().is_empty() {
        build.args(["--features", "hdf5"]);
    }
    if let Some(commit) = commit() {
        build.env("MERGAN_COMMIT", commit);
    }
    must(&mut build).context("the wheel does not build")?;
    let mut files = fs::read_dir(&wheels).with_context(|| format!("reading {}", wheels.display()))?;
    Ok(files.next().context("maturin wrote no wheel")??.path())
}
