//! Fetches NVRTC as a PyPI package.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::sources::sha256;

/// The version of NVRTC: the last one that compiles for Volta. A later one might also emit instructions that older drivers do
/// not know.
pub const VERSION: &str = "12.9.86";

const PACKAGE: &str = "nvidia-cuda-nvrtc-cu12";
const PLATFORM: &str = "manylinux_2_12_x86_64";
const WHEEL: &str = "nvidia_cuda_nvrtc_cu12-12.9.86-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl";
const SHA256: &str = "210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4";

/// The folder of the libraries in the package.
const LIBRARIES: &str = "nvidia/cuda_nvrtc/lib";

/// Returns the folder inside `cache` that holds the libraries; fetches them if they are missing.
pub fn fetch(cache: &Path) -> Result<PathBuf> {
    let unpacked = cache.join(VERSION);
    let libraries = unpacked.join(LIBRARIES);
    fs::create_dir_all(cache).with_context(|| format!("making {}", cache.display()))?;
    // Several processes may need the package at the same time.
    let lock = File::create(cache.join("lock")).context("making a lock")?;
    lock.lock().context("waiting for another process to fetch NVRTC")?;
    if libraries.exists() {
        return Ok(libraries);
    }
    let wheel = cache.join(WHEEL);
    if !wheel.exists() {
        let package = format!("{PACKAGE}=={VERSION}");
        let options = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--platform", PLATFORM];
        run(Command::new("python3").args(options).arg("--dest").arg(cache).arg(&package))
            .with_context(|| format!("fetching {package} with pip"))?;
    }
    let hash = sha256(&fs::read(&wheel).with_context(|| format!("reading {}", wheel.display()))?);
    ensure!(hash == SHA256, "{} has the checksum {hash}, not {SHA256}; delete it and try again", wheel.display());
    let partial = cache.join("partial");
    run(Command::new("python3").args(["-m", "zipfile", "--extract"]).args([&wheel, &partial])).context("unpacking")?;
    fs::rename(&partial, &unpacked).with_context(|| format!("making {}", unpacked.display()))?;
    fs::remove_file(&wheel).with_context(|| format!("removing {}", wheel.display()))?;
    Ok(libraries)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    ensure!(output.status.success(), "{command:?} says\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
