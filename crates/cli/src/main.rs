//! The `mergan` command, which is the library of this package.

use std::env;
use std::ffi::OsString;

use mergan_cli::{Call, ExitCode};

fn main() -> ExitCode {
    let mut words = env::args_os();
    let named = words.next().unwrap_or_else(|| OsString::from("mergan"));
    let program = vec![env::current_exe().map_or(named, OsString::from)];
    mergan_cli::run(Call { program, words: words.collect() })
}
