//! The prepared format: images of one shape in an HDF5 file, which other software reads and writes too.
//!
//! ```text
//! class_names        strings, one per class
//! train/images       bytes, N x height x width x channels
//! train/labels       whole numbers, N: indices into class_names
//! validation, test   the same; either may be absent
//! */left_out         whole numbers: the indices, among all pictures, of those that could not be read; absent if all could
//! ```
//!
//! The format needs the C library, so it is a feature of the crate; without it such a file is refused.

#[cfg(feature = "hdf5")]
mod read;
#[cfg(feature = "hdf5")]
mod write;

#[cfg(feature = "hdf5")]
pub(crate) use {
    read::{open, open_copy},
    write::write,
};

#[cfg(not(feature = "hdf5"))]
mod absent {
    use std::path::Path;

    use crate::{Dataset, Error, FetchOptions};

    pub(crate) fn open(path: &Path) -> Result<Dataset, Error> {
        Err(Error::NoHdf5 { path: path.into() })
    }

    pub(crate) fn open_copy(path: &Path, _: &Dataset) -> Result<Dataset, Error> {
        Err(Error::NoHdf5 { path: path.into() })
    }

    pub(crate) fn write(_: &Dataset, path: &Path, _: &FetchOptions<'_>) -> Result<(), Error> {
        Err(Error::NoHdf5 { path: path.into() })
    }
}

#[cfg(not(feature = "hdf5"))]
pub(crate) use absent::{open, open_copy, write};

/// The names of the splits in a file.
#[cfg(feature = "hdf5")]
const SPLITS: [&str; 3] = ["train", "validation", "test"];
/// The name of the list of pictures that could not be read, in each split.
#[cfg(feature = "hdf5")]
const LEFT_OUT: &str = "left_out";
