//! `mergan extend`: teaches a finished run one more class, without the earlier data.

use anyhow::Result;
use mergan_datasets::ImageOptions;
use mergan_runs::{NewClass, RunDir, extend};
use mergan_strategies::Strategies;

use super::train;
use crate::args::ExtendArguments;
use crate::console::Console;
use crate::exit::ExitCode;

/// Runs `mergan extend`.
pub fn run(arguments: &ExtendArguments, console: &Console) -> Result<ExitCode> {
    let ExtendArguments { run, name, images, limit, into, dataset, pictures, .. } = arguments;
    let new = NewClass { name, images, limit: *limit, moved: dataset.as_deref(), into: into.as_deref() };
    let pictures = pictures.apply(ImageOptions::default());
    let strategies = Strategies::built_in();
    let extended = arguments
        .data
        .with_options(&pictures, console, |fetch| extend(&RunDir::new(run), &new, &strategies, fetch, console))?;
    console.note(format!("{} learns {name} in {}", run.display(), extended.root().display()));
    train::resume(extended.root(), &arguments.training(), console)
}
