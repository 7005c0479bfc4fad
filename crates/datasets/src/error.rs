//! Everything that can go wrong, said with the file, the place and the remedy.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use crate::tasks::TaskError;

/// Why a dataset could not be fetched, decoded or split into tasks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No dataset has this name.
    #[error("unknown dataset `{name}`; known datasets: {}", known.join(", "))]
    UnknownDataset {
        /// The name asked for.
        name: String,
        /// Every name that would do.
        known: Vec<String>,
    },

    /// Some files are neither at hand nor to be had from any source.
    #[error("{}", describe_unavailable(dataset, missing, attempts, cache))]
    Unavailable {
        /// Name of the dataset.
        dataset: String,
        /// Names of the files that are missing.
        missing: Vec<String>,
        /// Every source tried, in order, and why it failed.
        attempts: Vec<Attempt>,
        /// The folder in which files placed by hand are found.
        cache: PathBuf,
    },

    /// The data directory given is not there.
    #[error("the data directory {} is not a folder; give one that holds the files, or none", path.display())]
    DataDir {
        /// The path given.
        path: PathBuf,
    },

    /// The cache cannot be written.
    #[error("cannot {action} {}: {source}; make room or give write permission there, or choose another cache directory \
             (environment variable MERGAN_DATA)", path.display())]
    Cache {
        /// What was being done, as in "create the folder".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// A verified file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// A file's content is not what its format promises.
    #[error("{}: at byte {offset}: {reason}; delete the file and it is fetched again", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Where in the file, in bytes.
        offset: usize,
        /// What was found and what would be right.
        reason: String,
    },

    /// A manifest is malformed.
    #[error("bad dataset manifest: {reason}")]
    Manifest {
        /// What is wrong with it.
        reason: String,
    },

    /// Images and labels do not pair up.
    #[error("{images} images but {labels} labels; each image needs one label")]
    Unpaired {
        /// Number of images.
        images: usize,
        /// Number of labels.
        labels: usize,
    },

    /// The classes cannot be split into the tasks asked for.
    #[error(transparent)]
    Tasks(#[from] TaskError),
}

/// One source that was tried, and why it did not give the missing files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The source: a folder, an address or a package.
    pub from: String,
    /// Why it failed.
    pub reason: String,
}

fn describe_unavailable(dataset: &str, missing: &[String], attempts: &[Attempt], cache: &Path) -> String {
    let missing = missing.join(", ");
    let mut text = format!("cannot obtain all files of dataset `{dataset}`; missing: {missing}\nsources tried:");
    for Attempt { from, reason } in attempts {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {from}: {reason}");
    }
    let _ = write!(
        text,
        "\nremedy: place these files (uncompressed, or each with .gz added to its name) in {}, or in a folder given as \
         the data directory",
        cache.display()
    );
    text
}
