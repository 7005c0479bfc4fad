//! Why a run cannot be started, resumed, scored, sampled or exported: the file, the place and the remedy.

use std::io;
use std::path::{Path, PathBuf};

use mergan_datasets::TaskError;
use mergan_metrics::{FeatureError, ImagesError};
use mergan_models::WeightsError;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder cannot be read or written.
    #[error("{action} {}", path.display())]
    Io {
        /// The action that failed, as in "writing".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A folder is not a run.
    #[error("cannot read {}; give a run directory that `mergan train` wrote", path.display())]
    NoRun {
        /// A file that every run has.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A run is not in the required state; the reason names the remedy.
    #[error("{reason}")]
    Run {
        /// The run directory.
        path: PathBuf,
        /// The problem and its remedy.
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
        /// The differences in the data, such as `3 added, 1 removed`.
        difference: String,
    },
    /// A file cannot be used for its purpose; the reason names it and the remedy.
    #[error("{reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// The problem and its remedy.
        reason: String,
        /// The error of its reader, if there is more to say.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A request cannot be met; the reason names the remedy.
    #[error("{0}")]
    Request(String),
    /// Some work failed for a reason that does not name the work.
    #[error("{doing}")]
    While {
        /// The work.
        doing: String,
        /// The reason.
        source: Box<Error>,
    },
    /// The files of a run cannot be read.
    #[error(transparent)]
    Record(#[from] mergan_record::Error),
    /// The images cannot be read.
    #[error(transparent)]
    Data(#[from] mergan_datasets::Error),
    /// The tasks do not fit the dataset.
    #[error(transparent)]
    Tasks(#[from] TaskError),
    /// The training cannot be set up or continued.
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
    /// No threads can be started.
    #[error("starting a thread")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

impl Error {
    /// Makes the error of a training on classes with these names, which the trainer knows by number only.
    pub(crate) fn in_training(error: mergan_strategies::Error, names: &[String]) -> Self {
        let mergan_strategies::Error::TooFewImages { classes, found, needed, largest } = error else {
            return Error::Training(error);
        };
        let names = classes.iter().map(|&class| names[class].as_str()).collect::<Vec<_>>().join(", ");
        let remedy = match largest {
            0 | 1 => "give more images".into(),
            _ => format!("give more images, or a smaller batch: --set training.batch={largest}"),
        };
        Error::Request(format!("{names}: {found} images to learn from, and a batch takes {needed}; {remedy}"))
    }

    /// Makes the error of a run directory that is not in the required state.
    pub(crate) fn run(path: &Path, reason: impl Into<String>) -> Self {
        Error::Run { path: path.into(), reason: reason.into() }
    }

    /// Makes the error of a file that cannot be used for its purpose.
    pub(crate) fn file(path: &Path, reason: impl Into<String>) -> Self {
        Error::File { path: path.into(), reason: reason.into(), source: None }
    }

    /// Makes the same error with that of its reader.
    pub(crate) fn file_for(
        path: &Path,
        reason: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Error::File { path: path.into(), reason: reason.into(), source: Some(source.into()) }
    }
}

/// Adds the name of the file to an error of a system operation.
pub(crate) trait At<T> {
    /// Here `action` is what was being done, as in "writing".
    fn at(self, action: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io { action, path: path.into(), source })
    }
}

/// Adds the name of the work to the error that interrupted it.
pub(crate) trait While<T> {
    /// Here `doing` names the work.
    fn while_(self, doing: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T, E: Into<Error>> While<T> for Result<T, E> {
    fn while_(self, doing: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|error| Error::While { doing: doing(), source: Box::new(error.into()) })
    }
}
