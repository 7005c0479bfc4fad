//! The `mergan` command as a library, for the program of this package and for the Python module. `args` defines the
//! command line, and each of `commands` runs one command; this file turns their results into exit codes.

mod args;
mod call;
mod checked;
mod commands;
mod config;
mod console;
mod data;
mod device;
mod exit;
mod inception;
mod out;
mod signals;

use anyhow::{Context, Result};
use clap::Parser;
use rayon::ThreadPool;

use args::{Arguments, Command};
use console::Console;

pub use call::Call;
pub use config::whole_path;
pub use console::explain;
pub use device::open as open_device;
pub use exit::ExitCode;
pub use inception::network_name;

/// Runs the command, once in a process. What went wrong is said on the standard error.
pub fn run(call: Call) -> ExitCode {
    let arguments = match Arguments::try_parse_from(call.command()) {
        Ok(arguments) => arguments,
        Err(answer) => return args::answer(&answer),
    };
    call.remember();
    let console = Console::new(arguments.verbosity());
    obey(&arguments, &console).unwrap_or_else(|error| match error.downcast_ref() {
        Some(misunderstood) => args::answer(misunderstood),
        None => {
            console.error(&error);
            ExitCode::FAILURE
        }
    })
}

/// Starts the threads that compute: by default one for each core. `MERGAN_SIMD` selects their vector instructions.
///
/// # Errors
/// When `MERGAN_SIMD` names none that the processor has, or the system starts no threads.
pub fn start_threads(count: Option<usize>) -> Result<ThreadPool> {
    if let Some(name) = std::env::var_os("MERGAN_SIMD") {
        mergan_tensor::use_microkernel(&name.to_string_lossy()).context("MERGAN_SIMD cannot be obeyed")?;
    }
    let count = count.unwrap_or_else(mergan_runs::default_threads);
    rayon::ThreadPoolBuilder::new().num_threads(count).build().context("starting the threads")
}

fn obey(arguments: &Arguments, console: &Console) -> Result<ExitCode> {
    let pool = start_threads(arguments.threads.map(usize::from))?;
    // Inside the pool, an operation starts without waking another thread first.
    pool.install(|| mergan_tensor::cuda::catch(|| answer(arguments, console))?)
}

fn answer(arguments: &Arguments, console: &Console) -> Result<ExitCode> {
    match &arguments.command {
        Command::Data(arguments) => commands::data::run(arguments, console)?,
        Command::Config(arguments) => commands::config::run(arguments, console)?,
        Command::Demo(arguments) => return commands::demo::run(arguments, console),
        Command::Train(arguments) => return commands::train::run(arguments, console),
        Command::Watch(arguments) => return commands::watch::run(arguments),
        Command::Extend(arguments) => return commands::extend::run(arguments, console),
        Command::Sample(arguments) => commands::sample::run(arguments, console)?,
        Command::Export(arguments) => commands::export::run(arguments, console)?,
        Command::Evaluate(arguments) => commands::evaluate::run(arguments, console)?,
        Command::Fid(arguments) => commands::fid::run(arguments, console)?,
        Command::Compare(arguments) => commands::compare::run(arguments, console)?,
        Command::Report(arguments) => return commands::report::run(arguments, console),
        Command::Reproduce(arguments) => commands::reproduce::run(arguments, console)?,
        Command::Animate(arguments) => commands::animate::run(arguments, console)?,
        Command::Selftest(arguments) => return commands::selftest::run(arguments, console),
        Command::Doctor(arguments) => return commands::doctor::run(arguments, console),
        Command::Completions(arguments) => commands::completions::completions(arguments, console)?,
        Command::Man(arguments) => commands::completions::man(arguments, console)?,
    }
    Ok(ExitCode::SUCCESS)
}
