//! The part of `cargo xtask` that handles the kernels: `kernels ptx [--check]` and `kernels ledger ROWS`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use mergan_emulator::nvrtc::Nvrtc;
use mergan_emulator::{artifacts, ledger, sources};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    let modules = sources::modules()?;
    match arguments {
        ["ptx", cache] => artifacts::write(&compiled(&modules, cache)?, &artifacts::folder()),
        ["ptx", cache, "--check"] => artifacts::check(&compiled(&modules, cache)?, &artifacts::folder()),
        ["ledger", rows] => {
            let (table, complete) = ledger::table(&modules, Path::new(rows))?;
            print!("{table}");
            if !complete {
                bail!("a kernel lacks a tier that it must have been compared on");
            }
            Ok(())
        }
        _ => bail!("kernels ptx CACHE [--check] | kernels ledger ROWS"),
    }
}

fn compiled(modules: &[sources::Module], cache: &str) -> Result<artifacts::Files> {
    artifacts::compile(modules, &Nvrtc::open(&PathBuf::from(cache))?)
}
