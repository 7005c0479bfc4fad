//! `cargo xtask fuzz`: gives every reader of files from outside what libFuzzer makes up, and prints what came of it.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::cargo::{install_nightly, must, nightly};

/// The most memory that a reader may take, in MiB, with what AddressSanitizer adds.
const MEMORY: &str = "-rss_limit_mb=1024";
/// The longest that a reader may take for one file, in seconds.
const PATIENCE: &str = "-timeout=10";

#[derive(Args)]
pub struct Arguments {
    /// Seconds for all readers together.
    #[arg(long, default_value_t = 3600)]
    seconds: usize,
}

/// Runs the readers one after another. A panic, a wrong access to memory, too much memory or too much time ends it, and
/// the input that did it is kept below `fuzz/artifacts`.
pub fn run(arguments: &Arguments) -> Result<()> {
    install_nightly(&[])?;
    let nightly = || nightly("fuzz");
    if !nightly().args(["fuzz", "--version"]).output().is_ok_and(|output| output.status.success()) {
        must(nightly().args(["install", "cargo-fuzz", "--locked"]))?;
    }
    let seeds = nightly().args(["run", "--release", "--bin", "seeds", "--", "corpus"]).output()?;
    ensure!(seeds.status.success(), "the seeds cannot be made: {}", String::from_utf8_lossy(&seeds.stderr));
    let readers = String::from_utf8(seeds.stdout).context("the names of the readers")?;
    must(nightly().args(["fuzz", "build", "--fuzz-dir", ".", "--release", "readers"]))?;
    println!("| reader | seconds | files | files that reached something new | peak memory, MiB | slowest file, s |");
    println!("|---|---:|---:|---:|---:|---:|");
    let seconds = arguments.seconds / readers.lines().count();
    for reader in readers.lines() {
        let mut fuzz = nightly();
        // The readers' files need no disk.
        if Path::new("/dev/shm").is_dir() {
            fuzz.env("TMPDIR", "/dev/shm");
        }
        let corpus = format!("corpus/{reader}");
        let options = [&format!("-max_total_time={seconds}"), MEMORY, PATIENCE, "-print_final_stats=1"];
        fuzz.args(["fuzz", "run", "--fuzz-dir", ".", "--release", "readers", &corpus, "--"]).args(options);
        let output = fuzz.env("MERGAN_READER", reader).output().context("starting cargo fuzz")?;
        let text = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{reader}:\n{text}");
        let stat = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("stat::{name}:")));
            line.map(str::trim).with_context(|| format!("libFuzzer says no {name}:\n{text}"))
        };
        let [files, new] = [stat("number_of_executed_units")?, stat("new_units_added")?];
        let [memory, slowest] = [stat("peak_rss_mb")?, stat("slowest_unit_time_sec")?];
        println!("| {reader} | {seconds} | {files} | {new} | {memory} | {slowest} |");
    }
    Ok(())
}
