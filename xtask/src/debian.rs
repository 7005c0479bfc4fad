//! What the checks need of the system, from Debian's packages.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Installs a package; where that cannot be, `advice` says what to do.
pub fn install(package: &str, advice: &'static str) -> Result<()> {
    for arguments in [&["update", "-qq"][..], &["install", "-y", "-qq", "--no-install-recommends", package]] {
        let mut apt = Command::new("apt-get");
        let status = apt.args(arguments).stdin(Stdio::null()).status().context(advice)?;
        ensure!(status.success(), "{apt:?} ended with {status}; {advice}");
    }
    Ok(())
}
