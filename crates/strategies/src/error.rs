//! The reasons why training cannot be set up, continued or resumed.

use std::path::PathBuf;

use mergan_datasets::{TaskError, suggestion};
use mergan_models::{Architecture, WeightsError};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name is not among the known ones.
    #[error("there is no {what} `{name}`; choose one of: {}{}", known.join(", "), suggestion(name, known))]
    UnknownName {
        /// The kind of thing that was looked up, such as "strategy".
        what: &'static str,
        /// The name that was given.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// A value of the configuration is missing, unknown or out of range.
    #[error("{place}: {reason}")]
    Config {
        /// The file or the part of the configuration where the value is.
        place: String,
        /// A description of what is wrong and what would be right.
        reason: String,
    },
    /// The task sequence does not fit the dataset.
    #[error(transparent)]
    Tasks(#[from] TaskError),
    /// The images cannot be read.
    #[error(transparent)]
    Data(#[from] mergan_datasets::Error),
    /// There are too few images for a batch.
    #[error(
        "the classes {classes:?} have {found} training images, and a batch takes {needed}; training.batch may be {largest} at \
         most, or give more images"
    )]
    TooFewImages {
        /// The classes that the images belong to.
        classes: Vec<usize>,
        /// The number of images found.
        found: usize,
        /// The number of their images in a batch.
        needed: usize,
        /// The largest batch for which there are enough images, as in `training.batch`.
        largest: usize,
    },
    /// The images have a size that the networks cannot generate.
    #[error(
        "the images are {height} x {width} pixels, and the networks `{}` make {side} x {side}; {}",
        architecture.name(), remedy(*height, *width), side = architecture.side()
    )]
    ImageSize {
        /// Height in pixels.
        height: usize,
        /// Width in pixels.
        width: usize,
        /// The architecture of the networks.
        architecture: Architecture,
    },
    /// A loss or a weight is not finite, or a loss is so large that training has diverged.
    #[error(
        "task {task}, iteration {iteration}: the {name} is {value}; training has diverged. Start a new run \
         with a lower training.rate"
    )]
    Diverged {
        /// The task, counted from 1.
        task: usize,
        /// The iteration, counted from 1.
        iteration: usize,
        /// The name of the loss.
        name: &'static str,
        /// The value of the loss.
        value: f64,
    },
    /// Weights cannot be read or written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A checkpoint cannot be continued from.
    #[error("checkpoint {}: {reason}", path.display())]
    Checkpoint {
        /// The file of the checkpoint.
        path: PathBuf,
        /// A description of what is wrong and what to do about it.
        reason: String,
    },
}

/// Returns what to do with images of a size that the chosen networks cannot generate.
fn remedy(height: usize, width: usize) -> String {
    let fitting: Vec<_> = Architecture::of_side(height).filter(|_| height == width).map(Architecture::name).collect();
    if fitting.is_empty() {
        return format!("there are networks for {}", Architecture::image_sizes());
    }
    format!("model.architecture may be {}", fitting.join(" or "))
}

impl Error {
    pub(crate) fn unknown_name(what: &'static str, name: &str, known: impl Iterator<Item = &'static str>) -> Self {
        Error::UnknownName { what, name: name.into(), known: known.map(String::from).collect() }
    }
}
