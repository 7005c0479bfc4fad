//! Installs what the checks need from Debian's packages.

use std::process::Command;

use anyhow::{Context, Result};

use crate::cargo::must;

/// Installs a package; if that is not possible, `advice` tells the user what to do.
pub fn install(package: &str, advice: &'static str) -> Result<()> {
    for arguments in [&["update", "-qq"][..], &["install", "-y", "-qq", "--no-install-recommends", package]] {
        let mut apt = Command::new("apt-get");
        must(apt.args(arguments)).context(advice)?;
    }
    Ok(())
}
