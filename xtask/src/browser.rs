//! Checks the report in a browser: headless Chromium, driven by `tests/browser/check.mjs`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cargo::{must, root, target_directory};
use crate::debian;

/// The names of Chromium on the systems that have it.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

const ADVICE: &str = "no Chromium to open the report with; install Debian's package chromium";

/// Opens the page and operates it; screenshots go into `pictures`, if a folder is given.
pub fn check(page: &Path, pictures: Option<&Path>) -> Result<()> {
    let chromium = chromium()?;
    // npm installs into the folder of the project, which must not be the source tree.
    let folder = target_directory()?.join("browser");
    fs::create_dir_all(&folder).with_context(|| format!("making the directory {}", folder.display()))?;
    for name in ["package.json", "check.mjs"] {
        let from = root().join("tests/browser").join(name);
        fs::copy(&from, folder.join(name)).with_context(|| format!("copying {}", from.display()))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["install", "--silent", "--no-audit", "--no-fund"]).current_dir(&folder);
    let mut node = Command::new("node");
    node.arg("check.mjs").arg(chromium).arg(page).args(pictures).current_dir(&folder);
    for mut command in [npm, node] {
        must(&mut command)?;
    }
    Ok(())
}

/// Installs Chromium if no such browser is found.
pub fn install() -> Result<()> {
    chromium().map(drop).or_else(|_| debian::install("chromium", ADVICE))
}

fn chromium() -> Result<PathBuf> {
    let folders: Vec<_> = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    let mut candidates = NAMES.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    candidates.find(|path| path.is_file()).context(ADVICE)
}
