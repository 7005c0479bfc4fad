//! `mergan report`: compares runs with each other and with the paper.

use anyhow::{Context, Result};
use mergan_report::{results, table, write_report};

use crate::args::ReportArguments;
use crate::checked::load_runs;
use crate::console::Console;

/// Runs `mergan report`.
pub fn run(arguments: &ReportArguments, console: &Console) -> Result<()> {
    let page = &arguments.out;
    let runs = load_runs(&arguments.runs, console)?;
    if let Some(folder) = page.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("making the directory {}", folder.display()))?;
    }
    write_report(&runs, page)?;
    if arguments.json {
        console.print(serde_json::to_string_pretty(&results(&runs)).expect("rows of numbers and text are JSON"))?;
    } else {
        console.print(table(&runs)?)?;
    }
    for path in [page.with_file_name("results.json"), page.with_file_name("ledger.md"), page.clone()] {
        console.note(format!("wrote {}", path.display()));
    }
    Ok(())
}
