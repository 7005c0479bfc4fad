//! The datasets this crate knows. Adding one takes a manifest, a file that opens it, and a line here.

use std::path::Path;

use crate::fetch::FetchOptions;
use crate::lsun::{self, LSUN};
use crate::mnist::{FASHION, MNIST};
use crate::shapes::SHAPES;
use crate::svhn::{self, SVHN};
use crate::{Dataset, Error, Manifest, arrays, folder, hold, prepared};

const KNOWN: [Entry; 5] = [MNIST, FASHION, SVHN, LSUN, SHAPES];

/// A dataset: what it is, and how it is opened.
pub(crate) struct Entry {
    /// The name as in the manifest.
    pub(crate) name: &'static str,
    /// The text of the manifest, which is part of the crate so that the crate can be packaged alone.
    pub(crate) manifest: &'static str,
    /// The options of `images` that have an effect on it.
    pub(crate) options: &'static [&'static str],
    /// Finds or fetches its files, and opens them.
    pub(crate) open: fn(&Manifest, &FetchOptions<'_>) -> Result<Dataset, Error>,
}

/// Returns the name of every dataset that [`load`] knows.
pub fn names() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|entry| entry.name)
}

/// Returns what is known about a dataset without fetching it. For a path to a user's own images, that is what the
/// names of the files tell.
///
/// # Errors
/// [`Error::UnknownDataset`] lists the names that are known, [`Error::NoEffect`] names an option that such a dataset
/// does not take; for a path, the errors of [`open`].
pub fn info(name: &str, options: &FetchOptions<'_>) -> Result<Manifest, Error> {
    match find(name, options)? {
        Found::Known(entry) => Manifest::parse(entry.manifest),
        Found::Path(path) => {
            let dataset = open_path(path, options)?;
            let description = match path.is_dir() && dataset.train.sources().is_some() {
                true => format!("Pictures in {}, upright, transparency over white", path.display()),
                false => format!("Images in {}", path.display()),
            };
            Ok(Manifest { description, ..dataset.manifest() })
        }
    }
}

/// Fetches, verifies and opens a dataset: a known name, or a path to a user's own images. The path may be a folder
/// with one subfolder per class, a folder with the files of SVHN or LSUN, or a file that [`convert`](crate::convert)
/// wrote. Images that lie in files of their own stay there and are decoded whenever they are requested.
///
/// # Errors
/// [`Error::UnknownDataset`] for a name that is neither known nor a path, [`Error::NoSuchPath`] for a path that does
/// not exist, [`Error::NoEffect`] for an option of `images` that the dataset does not take, the errors of
/// [`fetch`](crate::fetch), [`Error::Format`] when a file contradicts its format, and
/// [`Error::NoClasses`], [`Error::EmptyClass`] and [`Error::Outside`] for a folder.
pub fn open(name: &str, options: &FetchOptions<'_>) -> Result<Dataset, Error> {
    match find(name, options)? {
        Found::Known(entry) => (entry.open)(&Manifest::parse(entry.manifest)?, options),
        Found::Path(path) => open_path(path, options),
    }
}

/// [`open`]s a dataset and puts its images where they are quick to read: up to 256 MiB of them in memory, else in a
/// prepared file, which is written to the cache if the images still have to be decoded.
///
/// # Errors
/// The errors of [`open`], [`Error::Picture`] for a picture that cannot be read, [`Error::Altered`] for one that
/// changes meanwhile, [`Error::EmptyClass`] when no picture of a class can be read, and [`Error::Write`] or
/// [`Error::NoHdf5`] when a prepared file is needed but cannot be written.
pub fn load(name: &str, options: &FetchOptions<'_>) -> Result<Dataset, Error> {
    hold::quick(open(name, options)?, options)
}

enum Found<'n> {
    Known(&'static Entry),
    Path(&'n Path),
}

fn find<'n>(name: &'n str, options: &FetchOptions<'_>) -> Result<Found<'n>, Error> {
    let path = Path::new(name);
    match KNOWN.iter().find(|entry| entry.name == name) {
        Some(entry) => {
            options.images.require_effect(entry.options, name)?;
            Ok(Found::Known(entry))
        }
        None if path.exists() => Ok(Found::Path(path)),
        // A run stores the absolute path of its images, so a name with several parts was meant as a path.
        None if path.components().count() > 1 => Err(Error::NoSuchPath { path: path.into() }),
        None => Err(Error::UnknownDataset { name: name.into(), known: names().map(String::from).collect() }),
    }
}

fn open_path(path: &Path, options: &FetchOptions<'_>) -> Result<Dataset, Error> {
    let takes = |taken: &[&str]| options.images.require_effect(taken, &path.display().to_string());
    match path {
        path if arrays::are_in(path) => {
            takes(&["side", "channels", "fit", "limit"])?;
            arrays::open(path, options)
        }
        path if path.is_file() => {
            prepared::require_hdf5(path)?;
            takes(&[])?;
            (options.first_look)(path).map_err(|reason| Error::Prepared { path: path.into(), reason })?;
            prepared::open(path)
        }
        path if svhn::lies_in(path) => {
            takes(SVHN.options)?;
            svhn::open_folder(path)
        }
        path if lsun::lies_in(path) => {
            takes(LSUN.options)?;
            lsun::open_folder(path, options)
        }
        path => folder::open(path, options),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manifest_is_complete() {
        for name in names() {
            let manifest = info(name, &FetchOptions::default()).unwrap();
            assert_eq!(manifest.name, name);
            let has_source = !manifest.mirrors.is_empty() || !manifest.packages.is_empty();
            assert_eq!(has_source, !manifest.files.is_empty(), "{name}");
        }
    }

    #[test]
    fn a_path_at_which_nothing_lies_may_have_moved() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["pets", "pets.h5"] {
            let path = folder.path().join(name).display().to_string();
            let expected = format!("there is no file or folder {path}; it may have moved: give its new path");
            assert_eq!(load(&path, &FetchOptions::default()).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let options = FetchOptions::default();
        for error in [info("mnits", &options).unwrap_err(), load("mnits", &options).unwrap_err()] {
            let expected = "unknown dataset `mnits`, and no such file or folder; known datasets: mnist, fashion, svhn, lsun, shapes; did you mean `mnist`?";
            assert_eq!(error.to_string(), expected);
        }
    }
}
