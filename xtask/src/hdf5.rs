//! HDF5's C library, which prepared datasets need: whether it is here, and how to get it.

use std::env;
use std::process::Command;

use anyhow::Result;

use crate::debian;

/// What cargo is told to build the command with prepared datasets.
pub const FEATURES: [&str; 2] = ["--features", "mergan-cli/hdf5"];

const ADVICE: &str = "HDF5's C library is not here, so the command is built without prepared datasets; get it by `apt-get \
                      install libhdf5-dev`, or build with `--features mergan-cli/hdf5-static`";

/// What cargo is told, where the library is found; where it is not, how to get it is said.
pub fn features() -> &'static [&'static str] {
    if is_found() {
        return &FEATURES;
    }
    eprintln!("{ADVICE}");
    &[]
}

/// Installs the library where it is not found.
pub fn install() -> Result<()> {
    if is_found() { Ok(()) } else { debian::install("libhdf5-dev", ADVICE) }
}

fn is_found() -> bool {
    let asked = Command::new("pkg-config").args(["--exists", "hdf5"]).status();
    env::var_os("HDF5_DIR").is_some() || asked.is_ok_and(|status| status.success())
}
