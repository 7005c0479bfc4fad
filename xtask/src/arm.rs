//! The kernels of ARM processors, tested on any machine by an emulator.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::cargo::{add_target, cargo};
use crate::debian;

const TARGET: &str = "aarch64-unknown-linux-gnu";

/// The emulator, the linker and the C library, each with the package that it is in.
const NEEDED: [(&str, &str); 3] = [
    ("/usr/bin/qemu-aarch64", "qemu-user"),
    ("/usr/bin/aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    ("/usr/aarch64-linux-gnu/lib/libc.so.6", "libc6-dev-arm64-cross"),
];

const ADVICE: &str = "the tests of ARM's kernels need an emulator and a cross compiler; get them by `apt-get install \
                      qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross`";

/// Installs what the tests need. rustup adds the target if it is missing.
pub fn install() -> Result<()> {
    for (file, package) in NEEDED {
        if !Path::new(file).exists() {
            debian::install(package, ADVICE)?;
        }
    }
    add_target(TARGET)
}

/// Returns the command that runs the tensor crate's unit tests as a program for 64-bit ARM.
pub fn tests() -> Command {
    let mut tests = cargo();
    tests
        .args(["test", "--package", "mergan-tensor", "--lib", "--target", TARGET])
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc")
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", "qemu-aarch64 -L /usr/aarch64-linux-gnu");
    tests
}
