//! `cargo xtask ci`: everything that must pass before a change is merged. README's test command and `.ci/run` both
//! call it.

use std::env::consts::EXE_SUFFIX;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cargo::{add_target, build_mergan_and_module, cargo, metadata, must, root, target_directory};
use crate::{arm, browser, dependencies, hdf5, interop, kernels, module, outside, reproduce};

/// A step, which returns how many tests it ran.
type Step = fn() -> Result<usize>;

const STEPS: [(&str, Step); 17] = [
    ("what the system has to have", || {
        hdf5::install().and_then(|()| browser::install()).and_then(|()| arm::install()).map(|()| 0)
    }),
    ("format", || check(cargo().args(["fmt", "--all", "--check"]))),
    ("dependencies", || dependencies::check().map(|()| 0)),
    ("lints", || {
        check(
            cargo()
                .args(["clippy", "--workspace", "--all-targets"])
                .args(hdf5::FEATURES)
                .args(["--", "-D", "warnings"]),
        )
    }),
    ("documentation", || {
        check(cargo().args(["doc", "--workspace", "--no-deps"]).args(hdf5::FEATURES).env("RUSTDOCFLAGS", "-D warnings"))
    }),
    ("CUDA kernels compiled", || kernels::ptx(&kernels::Ptx { check: true }).map(|()| 0)),
    ("tests", tests),
    ("CUDA kernels by tier", || kernels::ledger().map(|()| 0)),
    ("examples in documentation", || count(cargo().args(["test", "--workspace", "--doc"]).args(hdf5::FEATURES))),
    ("examples", examples),
    ("programs outside the workspace", outside::run),
    ("packages", packages),
    ("wasm32", wasm32),
    ("kernels of ARM processors, in an emulator", || count(&mut arm::tests())),
    ("smoke reproduction, opened in a browser", smoke_reproduction),
    ("Python module", || count(&mut module::tests()?)),
    ("exports in other programs", || {
        interop::run(&build_mergan_and_module()?, &interop::Arguments::default()).map(|()| 0)
    }),
];

/// Runs every step, and stops at the first failure.
pub fn run() -> Result<()> {
    let mut passed = 0;
    let mut times = Vec::new();
    for (name, step) in STEPS {
        println!("ci: {name}");
        let begun = Instant::now();
        passed += step().with_context(|| format!("ci: step `{name}` failed"))?;
        times.push(format!("ci: {:6.1} s  {name}", begun.elapsed().as_secs_f64()));
    }
    println!("{}", times.join("\n"));
    println!("ci: {} steps passed; test result: ok. {passed} passed; 0 failed", STEPS.len());
    Ok(())
}

fn tests() -> Result<usize> {
    kernels::begin_ledger()?;
    let nextest = cargo().args(["nextest", "--version"]).output();
    if nextest.is_ok_and(|output| output.status.success()) {
        return count(cargo().args(["nextest", "run", "--workspace", "--no-fail-fast"]).args(hdf5::FEATURES));
    }
    let kinds = ["--lib", "--bins", "--tests", "--no-fail-fast"];
    count(cargo().args(["test", "--workspace"]).args(kinds).args(hdf5::FEATURES))
}

/// Runs the crates' example programs, which need neither arguments nor files nor a network.
fn examples() -> Result<usize> {
    // All examples are built together, as for the tests. Building those of one crate alone would rebuild its
    // dependencies with other features.
    check(cargo().args(["build", "--quiet", "--workspace", "--examples"]).args(hdf5::FEATURES))?;
    let folder = target_directory()?.join("debug/examples");
    let metadata = metadata()?;
    let array = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut programs = 0;
    for package in array(&metadata["packages"]) {
        for target in array(&package["targets"]).iter().filter(|target| target["kind"][0] == "example") {
            let [package, example] = [&package["name"], &target["name"]].map(|name| name.as_str().unwrap_or_default());
            println!("example {example} of {package}");
            check(Command::new(folder.join(format!("{example}{EXE_SUFFIX}"))).current_dir(root()))?;
            programs += 1;
        }
    }
    Ok(programs)
}

/// Checks that every crate can be packed by itself, with its licences and something to read; the programs outside the
/// workspace have already built them.
fn packages() -> Result<usize> {
    let own = ["xtask", "mergan-tests", "mergan-emulator", "mergan-faults", "mergan-benches", "mergan-python"];
    let others = own.map(|package| ["--exclude", package]).concat();
    check(cargo().args(["package", "--workspace", "--no-verify", "--allow-dirty"]).args(&others))?;
    for package in metadata()?["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        if own.contains(&name) {
            continue;
        }
        let output = cargo().args(["package", "--list", "--allow-dirty", "--package", name]).output()?;
        let files = String::from_utf8(output.stdout).context("the names of files")?;
        for needed in ["README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
            ensure!(files.lines().any(|file| file == needed), "the package {name} has no {needed}");
        }
    }
    Ok(0)
}

/// Builds the crates that programs in a browser use. rustup adds the target if it is missing.
fn wasm32() -> Result<usize> {
    const TARGET: &str = "wasm32-unknown-unknown";
    add_target(TARGET)?;
    check(cargo().args(["build", "--target", TARGET, "-p", "mergan-tensor", "-p", "mergan-nn", "-p", "mergan-models"]))
}

/// Trains, scores and reports on a dataset that takes seconds, and opens the report.
fn smoke_reproduction() -> Result<usize> {
    let folder = tempfile::tempdir().context("making a temporary directory")?;
    let runs = folder.path().join("runs");
    let smoke = ["shapes", "--preset", "smoke", "--tasks", "2", "--out"].map(OsString::from);
    reproduce::run(&build_mergan_and_module()?, &[&smoke[..], &[runs.clone().into()]].concat())?;
    browser::check(&runs.join("report.html"), None)?;
    Ok(0)
}

/// Runs a step that counts no tests.
fn check(command: &mut Command) -> Result<usize> {
    must(command).map(|()| 0)
}

/// Runs tests that must pass, and counts them in their output: `cargo test` and pytest report on the standard output,
/// nextest on the standard error.
fn count(command: &mut Command) -> Result<usize> {
    let (reader, writer) = std::io::pipe().context("making a pipe")?;
    let both = writer.try_clone().context("making a pipe")?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(both)
        .stderr(writer)
        .spawn()
        .with_context(|| format!("starting {command:?}"))?;
    // The command holds copies of the writing end, and the pipe ends only when all of them are closed.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut passed = 0;
    for line in BufReader::new(reader).lines() {
        let line = line.context("reading what cargo says")?;
        passed += passed_in(&line).unwrap_or(0);
        println!("{line}");
    }
    let status = child.wait().context("waiting for cargo")?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(passed)
}

/// Parses `test result: ok. 12 passed; 0 failed`, `12 tests run: 12 passed, 0 skipped` or pytest's `== 12 passed in 3s ==`.
fn passed_in(line: &str) -> Option<usize> {
    let of_pytest = line.starts_with("==") && line.ends_with("==");
    let summary = of_pytest || line.contains("test result: ") || line.contains(" run: ");
    let (before, _) = line.split_once(" passed").filter(|_| summary)?;
    before.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::passed_in;

    #[test]
    fn tests_are_counted_in_both_summaries() {
        assert_eq!(passed_in("test result: ok. 12 passed; 0 failed; 0 ignored"), Some(12));
        assert_eq!(passed_in("     Summary [   0.2s] 7 tests run: 7 passed (1 slow), 0 skipped"), Some(7));
        assert_eq!(passed_in("===== 9 passed, 2 warnings in 61.20s (0:01:01) ====="), Some(9));
        assert_eq!(passed_in("===== 1 failed, 8 passed in 2.10s ====="), Some(8));
        assert_eq!(passed_in("all 12 passed the gate"), None);
    }
}
