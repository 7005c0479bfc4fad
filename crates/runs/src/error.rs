//! Why a run cannot be started, go on, or be scored, drawn from or exported: the file, the place and the remedy.

use std::io;
use std::path::{Path, PathBuf};

use mergan_datasets::TaskError;
use mergan_metrics::{FeatureError, ImagesError};
use mergan_models::WeightsError;
use mergan_tensor::SimdError;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder cannot be read or written.
    #[error("{action} {}", path.display())]
    Io {
        /// What was being done, as in "writing".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder is no run.
    #[error("cannot read {}; give a run directory that `mergan train` wrote", path.display())]
    NoRun {
        /// The file that a run would have.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A run is not in the state that was asked for; the reason names the remedy.
    #[error("{reason}")]
    Run {
        /// The run directory.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The data are not those that a run was started with.
    #[error(
        "the data of {} are not those that this run began to learn from: {difference}. Put them back, or go on deliberately with \
         --accept-changed-data", path.display()
    )]
    ChangedData {
        /// The run directory.
        path: PathBuf,
        /// What is otherwise, such as `3 added, 1 removed`.
        difference: String,
    },
    /// A file is not what it was given for; the reason names it and the remedy.
    #[error("{reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
        /// What its reader said, where it said more.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// What was asked for cannot be had; the reason names the remedy.
    #[error("{0}")]
    Request(String),
    /// Work that failed for a reason that does not name it.
    #[error("{doing}")]
    While {
        /// The work.
        doing: String,
        /// The reason.
        source: Box<Error>,
    },
    /// What a run has left cannot be read.
    #[error(transparent)]
    Record(#[from] mergan_record::Error),
    /// The images cannot be read.
    #[error(transparent)]
    Data(#[from] mergan_datasets::Error),
    /// The tasks do not fit the dataset.
    #[error(transparent)]
    Tasks(#[from] TaskError),
    /// The training cannot be set up or go on.
    #[error(transparent)]
    Training(#[from] mergan_strategies::Error),
    /// Weights cannot be read or written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Features cannot be compared.
    #[error(transparent)]
    Features(#[from] FeatureError),
    /// Images cannot be compared.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// The vector instructions asked for cannot be used.
    #[error(transparent)]
    Simd(#[from] SimdError),
    /// No threads can be started.
    #[error("starting a thread")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

impl Error {
    /// A run directory that is not in the state that was asked for.
    pub(crate) fn run(path: &Path, reason: impl Into<String>) -> Self {
        Error::Run { path: path.into(), reason: reason.into() }
    }

    /// A file that is not what it was given for.
    pub(crate) fn file(path: &Path, reason: impl Into<String>) -> Self {
        Error::File { path: path.into(), reason: reason.into(), source: None }
    }

    /// The same, with what its reader said.
    pub(crate) fn file_for(
        path: &Path,
        reason: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Error::File { path: path.into(), reason: reason.into(), source: Some(source.into()) }
    }
}

/// Names the file that an operation of the system failed on.
pub(crate) trait At<T> {
    /// `action` is what was being done, as in "writing".
    fn at(self, action: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io { action, path: path.into(), source })
    }
}

/// Names the work that an error interrupted.
pub(crate) trait While<T> {
    /// `doing` names the work.
    fn while_(self, doing: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T, E: Into<Error>> While<T> for Result<T, E> {
    fn while_(self, doing: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|error| Error::While { doing: doing(), source: Box::new(error.into()) })
    }
}
