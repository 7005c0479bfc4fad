//! `mergan animate`: writes a GIF that shows how a run learned.

use anyhow::Result;
use mergan_runs::{RunDir, export::animation};

use crate::args::AnimateArguments;
use crate::console::Console;

/// Runs `mergan animate`.
pub fn run(arguments: &AnimateArguments, console: &Console) -> Result<()> {
    let frames = animation::write(&arguments.out, &RunDir::new(&arguments.run), arguments.columns.get())?;
    console.note(format!("wrote {}: {frames} frames", arguments.out.display()));
    Ok(())
}
