//! The `mergan` command. This file turns results into exit codes; [`args`] defines the command line, and each of
//! [`commands`] runs one command.

mod args;
mod checked;
mod commands;
mod config;
mod console;
mod data;
mod device;
mod inception;
mod signals;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use args::{Arguments, Command};
use console::Console;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let console = Console::new(arguments.verbosity());
    run(&arguments, &console).unwrap_or_else(|error| {
        console.error(&error);
        ExitCode::FAILURE
    })
}

fn run(arguments: &Arguments, console: &Console) -> Result<ExitCode> {
    if let Some(name) = std::env::var_os("MERGAN_SIMD") {
        mergan_tensor::use_microkernel(&name.to_string_lossy()).context("MERGAN_SIMD cannot be obeyed")?;
    }
    let threads = arguments.threads.map_or_else(mergan_runs::default_threads, usize::from);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("starting the threads")?;
    // Inside the pool, an operation starts without waking another thread first.
    pool.install(|| mergan_tensor::cuda::catch(|| answer(arguments, console))?)
}

fn answer(arguments: &Arguments, console: &Console) -> Result<ExitCode> {
    match &arguments.command {
        Command::Data(arguments) => commands::data::run(arguments, console)?,
        Command::Config(arguments) => commands::config::run(arguments, console)?,
        Command::Train(arguments) => return commands::train::run(arguments, console),
        Command::Extend(arguments) => return commands::extend::run(arguments, console),
        Command::Sample(arguments) => commands::sample::run(arguments, console)?,
        Command::Export(arguments) => commands::export::run(arguments, console)?,
        Command::Evaluate(arguments) => commands::evaluate::run(arguments, console)?,
        Command::Fid(arguments) => commands::fid::run(arguments, console)?,
        Command::Compare(arguments) => commands::compare::run(arguments, console)?,
        Command::Report(arguments) => commands::report::run(arguments, console)?,
        Command::Reproduce(arguments) => commands::reproduce::run(arguments, console)?,
        Command::Animate(arguments) => commands::animate::run(arguments, console)?,
        Command::Selftest(arguments) => return commands::selftest::run(arguments, console),
        Command::Doctor(arguments) => return commands::doctor::run(arguments, console),
        Command::Completions(arguments) => commands::completions::completions(arguments, console)?,
        Command::Man(arguments) => commands::completions::man(arguments, console)?,
    }
    Ok(ExitCode::SUCCESS)
}
