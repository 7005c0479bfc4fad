//! `mergan animate`: how a run learned, as a GIF.

use anyhow::Result;
use mergan_runs::{RunDir, export::animation};

use crate::args::AnimateArguments;
use crate::console::Console;

/// Answers `mergan animate`.
pub fn run(arguments: &AnimateArguments, console: &Console) -> Result<()> {
    let frames = animation::write(&arguments.out, &RunDir::new(&arguments.run), arguments.columns.get())?;
    console.note(format!("wrote {}: {frames} frames", arguments.out.display()));
    Ok(())
}
