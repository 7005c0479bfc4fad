//! Writing a report: everything is rendered first, and each file appears whole or not at all.

use crate::{Error, Run, html, ledger, results};
use atomic_write_file::AtomicWriteFile;
use std::io::Write;
use std::path::Path;

/// Writes the page of the runs at `page`, with `results.json` and `ledger.md` beside it.
///
/// # Errors
///
/// [`Error`] names the file; nothing is written unless the runs can be compared.
pub fn write_report(runs: &[Run], page: &Path) -> Result<(), Error> {
    let html = html(runs)?;
    let ledger = ledger(runs)?;
    let results = serde_json::to_string_pretty(&results(runs)).expect("rows of numbers and strings are JSON");

    write_whole(&page.with_file_name("results.json"), &(results + "\n"))?;
    write_whole(&page.with_file_name("ledger.md"), &ledger)?;
    write_whole(page, &html)
}

/// Writes under a temporary name and renames, so that no reader ever sees a part of the file.
fn write_whole(path: &Path, text: &str) -> Result<(), Error> {
    let attempt = || {
        let mut file = AtomicWriteFile::open(path)?;
        file.write_all(text.as_bytes())?;
        file.commit()
    };
    attempt().map_err(|source| Error::Write { path: path.into(), source })
}
