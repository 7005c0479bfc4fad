//! The datasets this crate knows. A new one is a manifest, a file that decodes it, and a line here.

use crate::fetch::{FetchOptions, Files, fetch};
use crate::mnist::MNIST;
use crate::shapes::SHAPES;
use crate::{Dataset, Error, Manifest};

const KNOWN: [Entry; 2] = [MNIST, SHAPES];

/// A dataset: what it is, and how its files become images.
pub(crate) struct Entry {
    /// The name as in the manifest.
    pub(crate) name: &'static str,
    /// The text of the manifest; it lies inside the crate, so that the crate packages alone.
    pub(crate) manifest: &'static str,
    /// Decodes verified files.
    pub(crate) decode: fn(&Manifest, &Files) -> Result<Dataset, Error>,
}

/// The name of every dataset that [`load`] knows.
pub fn names() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|entry| entry.name)
}

/// What is known about a dataset without fetching it.
///
/// # Errors
/// [`Error::UnknownDataset`] with the names that are known.
pub fn info(name: &str) -> Result<Manifest, Error> {
    Manifest::parse(find(name)?.manifest)
}

/// Fetches, verifies and decodes a dataset.
///
/// # Errors
/// [`Error::UnknownDataset`] for an unknown name, the errors of [`fetch`], and [`Error::Format`] when a file is not what
/// its format promises.
pub fn load(name: &str, options: &FetchOptions<'_>) -> Result<Dataset, Error> {
    let entry = find(name)?;
    let manifest = Manifest::parse(entry.manifest)?;
    let files = fetch(&manifest, options)?;
    (entry.decode)(&manifest, &files)
}

fn find(name: &str) -> Result<&'static Entry, Error> {
    KNOWN
        .iter()
        .find(|entry| entry.name == name)
        .ok_or_else(|| Error::UnknownDataset { name: name.into(), known: names().map(String::from).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manifest_is_complete() {
        for name in names() {
            let manifest = info(name).unwrap();
            assert_eq!(manifest.name, name);
            let has_source = !manifest.mirrors.is_empty() || manifest.npm.is_some();
            assert_eq!(has_source, !manifest.files.is_empty(), "{name}");
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        for error in [info("mnits").unwrap_err(), load("mnits", &FetchOptions::default()).unwrap_err()] {
            assert_eq!(error.to_string(), "unknown dataset `mnits`; known datasets: mnist, shapes");
        }
    }
}
