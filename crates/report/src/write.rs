//! Writing a report: everything is rendered first, and each file appears whole or not at all.

use crate::{Error, html, ledger, load_run, results};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Reads the run directories and writes the page at `page`, with `results.json` and `ledger.md` beside it.
///
/// # Errors
///
/// [`Error`] names the file; nothing is written unless all runs could be read and compared.
pub fn write_report(runs: &[PathBuf], page: &Path) -> Result<(), Error> {
    let runs = runs.iter().map(|dir| load_run(dir)).collect::<Result<Vec<_>, _>>()?;
    let html = html(&runs)?;
    let ledger = ledger(&runs)?;
    let results = serde_json::to_string_pretty(&results(&runs)).expect("rows of numbers and strings are JSON");

    write_whole(&page.with_file_name("results.json"), &(results + "\n"))?;
    write_whole(&page.with_file_name("ledger.md"), &ledger)?;
    write_whole(page, &html)
}

/// Writes under a temporary name and renames, so that no reader ever sees a part of the file.
fn write_whole(path: &Path, text: &str) -> Result<(), Error> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    write_and_rename(&temporary, path, text).map_err(|source| {
        // The write has failed already; a temporary file that cannot be removed either changes nothing.
        let _ = fs::remove_file(&temporary);
        Error::Write { path: path.into(), source }
    })
}

fn write_and_rename(temporary: &Path, path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create(temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(temporary, path)
}
