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

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use crate::Error;

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

/// The first bytes of an HDF5 file, or of what follows other data of 512 bytes, twice as much, and so on.
const SIGNATURE: [u8; 8] = *b"\x89HDF\r\n\x1a\n";

/// Fails if a file is no HDF5 file.
pub(crate) fn require_hdf5(path: &Path) -> Result<(), Error> {
    let read_error = |source| Error::Read { path: path.into(), source };
    let mut file = File::open(path).map_err(read_error)?;
    let length = file.metadata().map_err(read_error)?.len();
    let places =
        std::iter::successors(Some(512), |place: &u64| place.checked_mul(2)).take_while(|place| *place < length);
    for place in [0].into_iter().chain(places) {
        let mut bytes = [0; SIGNATURE.len()];
        file.seek(SeekFrom::Start(place)).map_err(read_error)?;
        match file.read_exact(&mut bytes) {
            Ok(()) if bytes == SIGNATURE => return Ok(()),
            Err(error) if error.kind() != ErrorKind::UnexpectedEof => return Err(read_error(error)),
            _ => {}
        }
    }
    Err(Error::NoDataset { path: path.into() })
}

/// The names of the splits in a file.
#[cfg(feature = "hdf5")]
const SPLITS: [&str; 3] = ["train", "validation", "test"];
/// The name of the list of pictures that could not be read, in each split.
#[cfg(feature = "hdf5")]
const LEFT_OUT: &str = "left_out";
