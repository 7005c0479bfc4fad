//! `mergan animate`: writes a GIF that shows how a run learned.

use anyhow::Result;
use mergan_runs::{RunDir, export::animation};

use crate::args::AnimateArguments;
use crate::console::Console;
use crate::out::Form;

/// Runs `mergan animate`.
pub fn run(arguments: &AnimateArguments, console: &Console) -> Result<()> {
    let AnimateArguments { run, out, columns, scale } = arguments;
    Form::of(out, &[Form::File("gif")])?;
    let frames = animation::write(out, &RunDir::new(run), columns.get(), *scale)?;
    console.note(format!("wrote {}: {frames} frames", out.display()));
    Ok(())
}
