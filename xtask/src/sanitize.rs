//! `cargo xtask sanitize`: the tests of the tensor crate where every wrong access to memory is noticed, by
//! AddressSanitizer with all kernels and by Miri with the portable ones. Buffers lie apart there, instead of one after
//! another in the pool.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::cargo::{install_nightly, must, nightly, target_directory};

const TARGET: &str = "x86_64-unknown-linux-gnu";
const APART: &str = "--cfg mergan_pool=\"apart\"";
const PLANTED: &str = "a_number_beyond_an_array_is_noticed";
/// The tests that Miri runs, which takes a thousand times as long as the processor: buffers, and the portable kernels that
/// have tests on small tensors.
const MIRI: [&str; 5] = ["pool::", "cpu::pack::", "vectorised_loops", "ops::pool2d::", "ops::interpolate::"];
/// How Miri judges: crossbeam's queues, which rayon uses, keep the rules of Tree Borrows alone, and the threads of rayon's
/// pool never end.
const MIRI_RULES: &str = "-Zmiri-tree-borrows -Zmiri-ignore-leaks";

/// Runs all of it.
pub fn run() -> Result<()> {
    install_nightly(&["rust-src", "miri"])?;
    for microkernel in ["portable", "avx2", "avx512"] {
        println!("AddressSanitizer, MERGAN_SIMD={microkernel}");
        must(sanitized("test")?.env("MERGAN_SIMD", microkernel).args(["--target", TARGET, "--lib", "--tests"]))?;
    }
    println!("AddressSanitizer, a planted fault");
    let planted = ["--target", TARGET, "--lib", "--", "--ignored", PLANTED];
    let output = sanitized("test")?.args(planted).output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let found = text.lines().find(|line| line.contains("AddressSanitizer: heap-buffer-overflow"));
    ensure!(!output.status.success() && found.is_some(), "the planted fault was not found:\n{text}");
    println!("found: {}", found.unwrap_or_default());
    println!("Miri");
    for tests in MIRI {
        let mut miri = sanitized("miri")?;
        miri.env("RUSTFLAGS", APART).env("MIRIFLAGS", MIRI_RULES).args(["test", "--lib", "--", tests]);
        let output = miri.stderr(Stdio::inherit()).output().context("starting Miri")?;
        let text = String::from_utf8_lossy(&output.stdout);
        print!("{text}");
        ensure!(output.status.success() && !text.contains("ok. 0 passed"), "{miri:?} ended with {}", output.status);
    }
    Ok(())
}

/// Returns a command of the nightly cargo for the tensor crate, whose tests are built with AddressSanitizer.
fn sanitized(command: &str) -> Result<Command> {
    let mut cargo = nightly("crates/tensor");
    cargo.arg(command).env("CARGO_TARGET_DIR", target_directory()?.join("sanitize"));
    cargo.env("RUSTFLAGS", format!("-Zsanitizer=address {APART}"));
    // The threads of a pool may end after the test that has dropped it, and what they hold then would count as lost.
    cargo.env("ASAN_OPTIONS", "detect_leaks=0");
    Ok(cargo)
}
