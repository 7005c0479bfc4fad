//! The files that images are made from, whose bytes identify a folder of pictures.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::Error;
use crate::fetch::for_each_chunk;
use crate::picture::{Fit, bounded};

/// The SHA-256 of a file, or of an image's pixels.
pub(crate) type Sum = [u8; 32];

/// The file of each image of a store, in the order of its rows.
///
/// The bytes of the files identify the images, whether these are still to be decoded or have been copied into memory
/// or a prepared file.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    files: Vec<Arc<Source>>,
    /// The way in which pictures that are not square became square.
    pub(crate) fit: Fit,
}

impl Sources {
    /// Takes these files, which lie in `root`.
    pub(crate) fn new(root: &Path, files: impl IntoIterator<Item = PathBuf>, fit: Fit) -> Self {
        let source = |path: PathBuf| Arc::new(Source { name: name(&path, root), path, sum: OnceLock::new() });
        Self { files: files.into_iter().map(source).collect(), fit }
    }

    /// Returns the files of these rows.
    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        Self { files: rows.iter().map(|&row| Arc::clone(&self.files[row])).collect(), fit: self.fit }
    }

    /// Returns the file of this row.
    pub(crate) fn file(&self, row: usize) -> &Source {
        &self.files[row]
    }

    /// Returns the path of each file inside the dataset's folder, which is the same on every system.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| file.name.as_str())
    }

    /// Returns the SHA-256 of each file. A file that was decoded before is not read again.
    pub(crate) fn sums(&self) -> Result<Vec<Sum>, Error> {
        self.files.par_iter().map(|file| file.sum()).collect()
    }
}

/// A file that an image is made from.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    name: String,
    /// The SHA-256 of its bytes when they were first read.
    sum: OnceLock<Sum>,
}

impl Source {
    /// Applies `decode` to the file's bytes; if that fails, the error says why.
    ///
    /// # Errors
    /// [`Error::Altered`] when the file has changed since it was first read: a fingerprint would then cover other
    /// bytes than the images.
    pub(crate) fn decode<T>(&self, decode: impl Fn(&[u8]) -> Result<T, String>) -> Result<T, Error> {
        let fault = |reason| Error::Picture { picture: self.path.display().to_string(), reason };
        let bytes = File::open(&self.path).and_then(bounded).map_err(|error| fault(error.to_string()))?;
        let decoded = decode(&bytes).map_err(fault)?;
        let sum = Sha256::digest(&bytes).into();
        if *self.sum.get_or_init(|| sum) == sum { Ok(decoded) } else { Err(Error::Altered { path: self.path.clone() }) }
    }

    fn sum(&self) -> Result<Sum, Error> {
        if let Some(sum) = self.sum.get() {
            return Ok(*sum);
        }
        let mut hash = Sha256::new();
        let file = File::open(&self.path).map_err(|source| self.read_error(source))?;
        let update = |chunk: &[u8]| {
            hash.update(chunk);
            Ok(())
        };
        for_each_chunk(file, update, |source| self.read_error(source))?;
        Ok(*self.sum.get_or_init(|| hash.finalize().into()))
    }

    fn read_error(&self, source: io::Error) -> Error {
        Error::Read { path: self.path.clone(), source }
    }
}

/// Returns the path inside `root`, its parts joined by slashes.
fn name(path: &Path, root: &Path) -> String {
    let inner = path.strip_prefix(root).unwrap_or(path);
    inner.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}
