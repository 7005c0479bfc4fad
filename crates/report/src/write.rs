//! Writes a report: everything is rendered first, and no file ever appears incomplete.

use crate::{Error, Run, html, ledger, results};
use mergan_record::write_whole;
use std::path::Path;
use std::time::Duration;

/// Writes the page of the runs at `page`, with `results.json` and `ledger.md` beside it.
///
/// # Errors
///
/// [`Error`] names the file. Nothing is written unless the runs can be compared.
pub fn write_report(runs: &[Run], page: &Path) -> Result<(), Error> {
    write(runs, page, None)
}

/// Writes the report of runs that still grow: a browser loads its page again at the interval `reload`, in whole
/// seconds.
///
/// # Errors
///
/// The errors of [`write_report`].
pub fn write_growing_report(runs: &[Run], page: &Path, reload: Duration) -> Result<(), Error> {
    write(runs, page, Some(reload))
}

fn write(runs: &[Run], page: &Path, reload: Option<Duration>) -> Result<(), Error> {
    let html = html::page(runs, reload)?;
    let ledger = ledger(runs)?;
    let results = serde_json::to_string_pretty(&results(runs)).expect("rows of numbers and strings are JSON");

    let write = |path: &Path, text: &str| {
        write_whole(path, text.as_bytes()).map_err(|source| Error::Write { path: path.into(), source })
    };
    write(&page.with_file_name("results.json"), &(results + "\n"))?;
    write(&page.with_file_name("ledger.md"), &ledger)?;
    write(page, &html)
}
