//! `cargo xtask sanitize`: the tests of the tensor crate where every wrong access to memory is noticed, by
//! AddressSanitizer with all kernels and by Miri with the portable ones. Buffers lie apart there, instead of one after
//! another in the pool.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::cargo::{must, root, target_directory};

const TARGET: &str = "x86_64-unknown-linux-gnu";
const APART: &str = "--cfg mergan_pool=\"apart\"";
const PLANTED: &str = "a_number_beyond_an_array_is_noticed";
/// The tests that Miri runs, which takes a thousand times as long as the processor: buffers, storage, and kernels on
/// small tensors.
const MIRI: [&str; 3] = ["pool::", "storage::", "tensor::"];

/// Runs all of it.
pub fn run() -> Result<()> {
    let components = ["--profile", "minimal", "--component", "rust-src", "--component", "miri"];
    must(Command::new("rustup").args(["toolchain", "install", "nightly"]).args(components))?;
    for microkernel in ["portable", "avx2", "avx512"] {
        println!("AddressSanitizer, MERGAN_SIMD={microkernel}");
        must(nightly("test")?.env("MERGAN_SIMD", microkernel).args(["--target", TARGET, "--lib", "--tests"]))?;
    }
    println!("AddressSanitizer, a planted fault");
    let planted = ["--target", TARGET, "--lib", "--", "--ignored", PLANTED];
    let output = nightly("test")?.args(planted).output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let found = text.lines().find(|line| line.contains("AddressSanitizer: heap-buffer-overflow"));
    ensure!(!output.status.success() && found.is_some(), "the planted fault was not found:\n{text}");
    println!("found: {}", found.unwrap_or_default());
    println!("Miri");
    must(nightly("miri")?.env("RUSTFLAGS", APART).args(["test", "--lib", "--"]).args(MIRI))
}

/// Returns a command of the nightly cargo for the tensor crate, whose tests are built with AddressSanitizer.
fn nightly(command: &str) -> Result<Command> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root()).args(["+nightly", command]);
    // The cargo that runs this program must not choose the toolchain.
    for name in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "RUSTDOC"] {
        cargo.env_remove(name);
    }
    cargo.env("CARGO_TARGET_DIR", target_directory()?.join("sanitize"));
    cargo.env("RUSTFLAGS", format!("-Zsanitizer=address {APART}"));
    Ok(cargo)
}
