//! Why a training cannot be set up, go on or be resumed.

use std::path::PathBuf;

use mergan_datasets::{TaskError, suggestion};
use mergan_models::WeightsError;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that nothing is registered under.
    #[error("there is no {what} `{name}`; choose one of: {}{}", known.join(", "), suggestion(name, known))]
    UnknownName {
        /// What was looked for.
        what: &'static str,
        /// The name given.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A value of the configuration is missing, unknown or out of range.
    #[error("{place}: {reason}")]
    Config {
        /// The file or the part of the configuration.
        place: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The task sequence does not fit the dataset.
    #[error(transparent)]
    Tasks(#[from] TaskError),
    /// The images cannot be read.
    #[error(transparent)]
    Data(#[from] mergan_datasets::Error),
    /// A class has too few images.
    #[error(
        "the classes {classes:?} have {found} training images, a batch needs {needed}; take a smaller batch or more images"
    )]
    TooFewImages {
        /// The classes.
        classes: Vec<usize>,
        /// Images there are.
        found: usize,
        /// Images a batch takes.
        needed: usize,
    },
    /// The images have a size that the networks do not make.
    #[error("the images are {height} x {width} pixels; these networks make {side} x {side}")]
    ImageSize {
        /// Height in pixels.
        height: usize,
        /// Width in pixels.
        width: usize,
        /// Pixels on a side of what the networks make.
        side: usize,
    },
    /// A loss is no longer a number, or so large that training is lost.
    #[error(
        "task {task}, iteration {iteration}: the {name} is {value}; training has diverged. Start a new run \
         with a lower training.rate"
    )]
    Diverged {
        /// The task, counted from 1.
        task: usize,
        /// The iteration, counted from 1.
        iteration: usize,
        /// The loss.
        name: &'static str,
        /// Its value.
        value: f64,
    },
    /// Weights cannot be read or written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A checkpoint that cannot be continued from.
    #[error("checkpoint {}: {reason}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
}

impl Error {
    pub(crate) fn unknown_name(what: &'static str, name: &str, known: impl Iterator<Item = &'static str>) -> Self {
        Error::UnknownName { what, name: name.into(), known: known.map(String::from).collect() }
    }
}
