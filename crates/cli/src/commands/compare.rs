//! `mergan compare`: prints runs side by side.

use anyhow::Result;
use mergan_report::{compare, compared_rows};

use crate::args::CompareArguments;
use crate::checked::load_runs;
use crate::console::Console;

/// Runs `mergan compare`.
pub fn run(arguments: &CompareArguments, console: &Console) -> Result<()> {
    let runs = load_runs(&arguments.runs, console)?;
    if arguments.json {
        let rows = compared_rows(&runs)?;
        return console.print(serde_json::to_string_pretty(&rows).expect("rows of numbers and text are JSON"));
    }
    console.print(compare(&runs)?)
}
