//! Reads results, and says which of them have no checksum that could be verified.

use std::iter;
use std::path::{Path, PathBuf};

use anyhow::Result;
use mergan_report::load_run;
use mergan_runs::{RunDir, Trained};

use crate::console::Console;

/// Reads a generator, or the newest one of a run directory.
pub fn load_trained(source: &Path, console: &Console) -> Result<Trained> {
    let path = RunDir::generator_of(source)?;
    let trained = Trained::load(&path)?;
    if !trained.checked {
        console.note(format!("{} has no checksum and was not checked", path.display()));
    }
    Ok(trained)
}

/// Reads run directories for a report.
pub fn load_runs(directories: &[PathBuf], console: &Console) -> Result<Vec<mergan_report::Run>> {
    let runs = directories.iter().map(|run| load_run(run)).collect::<Result<Vec<_>, _>>()?;
    for run in &runs {
        let scores =
            run.tasks.iter().zip(1..).map(|(task, number)| (task.checked, format!("tasks/{number:02}/scores.json")));
        let files = iter::once((run.config.checked, "config.toml".into())).chain(scores);
        let unchecked: Vec<_> = files.filter(|(checked, _)| !checked).map(|(_, file)| file).collect();
        if !unchecked.is_empty() {
            let files = unchecked.join(", ");
            console.note(format!("{}: files without a checksum were not checked: {files}", run.dir.display()));
        }
    }
    Ok(runs)
}
