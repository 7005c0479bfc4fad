//! HDF5's C library, which prepared datasets need: whether it is installed, and how to get it.

use std::env;
use std::process::Command;

use anyhow::Result;

use crate::debian;

/// The arguments with which cargo builds the command with prepared datasets.
pub const FEATURES: [&str; 2] = ["--features", "mergan-cli/hdf5"];

const ADVICE: &str = "HDF5's C library is not here, so the command is built without prepared datasets; get it by `apt-get \
                      install libhdf5-dev`, or build with `--features mergan-cli/hdf5-static`";

/// Returns the arguments for cargo if the library is found; otherwise prints how to get it.
pub fn features() -> &'static [&'static str] {
    if is_found() {
        return &FEATURES;
    }
    eprintln!("{ADVICE}");
    &[]
}

/// Installs the library if it is not found.
pub fn install() -> Result<()> {
    if is_found() { Ok(()) } else { debian::install("libhdf5-dev", ADVICE) }
}

fn is_found() -> bool {
    let asked = Command::new("pkg-config").args(["--exists", "hdf5"]).status();
    env::var_os("HDF5_DIR").is_some() || asked.is_ok_and(|status| status.success())
}
