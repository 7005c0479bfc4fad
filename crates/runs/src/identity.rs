//! Checks that a run's data are those that it was started with. A run identifies them by their fingerprint, which is
//! stored in its directory; the fingerprint's SHA-256 is in its configuration, its checkpoints and the cards of its
//! scores.

use std::fs;
use std::io::ErrorKind;

use mergan_datasets::{Dataset, Fingerprint};
use mergan_record::write_whole;
use mergan_strategies::Config;

use crate::dir::RunDir;
use crate::error::{At, Error};
use crate::extension;

/// Returns how `data` differ from those that the run expects, as the end of a sentence. Returns `None` if they do not
/// differ, or if the run was made by a version that took no fingerprints.
pub(crate) fn difference(dir: &RunDir, config: &Config, data: &Dataset) -> Result<Option<String>, Error> {
    let now = data.fingerprint()?;
    if let Some(then) = expected(dir)? {
        return Ok(then.difference(&now));
    }
    let is_other = match (config.extensions.last(), &config.data) {
        // The configuration names the data of the run before it was extended; for the run's own class it has the
        // SHA-256 of the pixels.
        (Some(extension), _) => extension.sha256 != extension::sha256(data)?,
        (None, then) => then.as_ref().is_some_and(|then| *then != now.sha256),
    };
    Ok(is_other.then(|| "other images".into()))
}

/// Reads the fingerprint stored in a run directory.
pub(crate) fn expected(dir: &RunDir) -> Result<Option<Fingerprint>, Error> {
    let path = dir.data();
    let text = match fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.at("reading", &path)?,
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        let reason = format!("{} is no fingerprint of data; restore it from a copy, or remove it", path.display());
        Error::file_for(&path, reason, error)
    })
}

/// Makes the run expect these data from now on.
pub(crate) fn expect(dir: &RunDir, data: &Dataset) -> Result<(), Error> {
    let path = dir.data();
    let text = serde_json::to_string_pretty(&data.fingerprint()?).expect("fingerprints are names and text") + "\n";
    write_whole(&path, text.as_bytes()).at("writing", &path)
}

/// Refuses data other than those that a configuration names.
pub(crate) fn require(config: &Config, data: &Dataset) -> Result<(), Error> {
    match &config.data {
        Some(then) if *then != data.fingerprint()?.sha256 => {
            let reason = format!(
                "the configuration names other data than {} now has (its `data` is {then}); give the data that it was made \
                 with, or take the line `data` out of it",
                config.dataset
            );
            Err(Error::Request(reason))
        }
        _ => Ok(()),
    }
}
