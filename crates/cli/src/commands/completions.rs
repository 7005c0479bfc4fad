//! `mergan completions` and `mergan man`: describe the command line to shells and to `man`.

use std::fs;
use std::io;

use anyhow::{Context, Result};
use clap::CommandFactory;

use crate::args::{Arguments, CompletionsArguments, ManArguments};
use crate::console::Console;

/// Runs `mergan completions`.
pub fn completions(arguments: &CompletionsArguments, console: &Console) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "mergan", &mut script);
    console.print(String::from_utf8_lossy(&script).trim_end())
}

/// Runs `mergan man`, which writes a page for the program and one for each of its commands.
pub fn man(arguments: &ManArguments, console: &Console) -> Result<()> {
    let folder = &arguments.out;
    let writing = || format!("writing manual pages to {}", folder.display());
    fs::create_dir_all(folder).with_context(writing)?;
    clap_mangen::generate_to(Arguments::command(), folder).with_context(writing)?;
    let pages = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>).with_context(writing)?;
    console.note(format!(
        "{} holds {} pages; `man -l {}/mergan.1` shows the first",
        folder.display(),
        pages.len(),
        folder.display()
    ));
    Ok(())
}
