//! The errors between a file of images and a number. Each message names the file and the remedy.

use std::io;
use std::path::PathBuf;

use mergan_datasets::npy::NpyError;
use mergan_models::WeightsError;

use crate::FeatureError;

/// The error of a reader or writer of some format.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why images, or features of them, cannot be read or compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImagesError {
    /// A file or folder cannot be read or written.
    #[error("{action} {}", path.display())]
    File {
        /// The action that failed, as in "reading".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the system or of the format's reader.
        source: Cause,
    },

    /// A file is not an archive, although its name says so.
    #[error("{} is no .npz archive", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// The error of the archive's reader.
        source: Cause,
    },

    /// A file is not an array, although its name says so.
    #[error("{} is no array of images", path.display())]
    Array {
        /// The file.
        path: PathBuf,
        /// The problem that was found.
        source: NpyError,
    },

    /// A path is not of a kind that images are read from.
    #[error(
        "{} is no set of images; give a folder of pictures, an array .npy or .npz, a prepared file .h5, or statistics .npz",
        path.display()
    )]
    UnknownKind {
        /// The path.
        path: PathBuf,
    },

    /// A file or folder does not hold images that can be compared.
    #[error("{} {reason}", path.display())]
    NoImages {
        /// The file or folder.
        path: PathBuf,
        /// The contents that were found and those that were expected.
        reason: String,
    },

    /// The pictures of a folder differ in size.
    #[error(
        "images of mixed sizes: {} has {} x {} pixels, {} has {} x {}; bring them to one size first, for how that is done is \
         part of the result", first.display(), expected[0], expected[1], path.display(), found[0], found[1]
    )]
    MixedSizes {
        /// The first picture.
        first: PathBuf,
        /// Its width and height.
        expected: [usize; 2],
        /// The picture that differs.
        path: PathBuf,
        /// Its width and height.
        found: [usize; 2],
    },

    /// An archive's mean and covariance do not belong together.
    #[error("{} holds no mean and covariance of one network: {reason}", path.display())]
    Statistics {
        /// The archive.
        path: PathBuf,
        /// The contents that were found instead.
        reason: String,
    },

    /// The weights of FID's network are not in the cache.
    #[error(
        "there are no weights of Inception on this machine; get them with `mergan data fetch inception` where there is a \
         network, or else put {file} (from {mirror}) at {} or give it with --weights", path.display()
    )]
    NoWeights {
        /// The file's name.
        file: String,
        /// The address where it is published.
        mirror: String,
        /// The path where it is expected.
        path: PathBuf,
    },

    /// The weights are not those of FID's network, and no other name was given for the network.
    #[error(
        "{} is not the network that FID is defined by: its SHA-256 begins with {}, not with {}; get that one with `mergan data \
         fetch inception`, or give this one a name with --network, and its distances are called FD-NAME",
        path.display(), &found[..8], &expected[..8]
    )]
    OtherNetwork {
        /// The file.
        path: PathBuf,
        /// The SHA-256 of the file, in lower-case hexadecimal.
        found: String,
        /// The SHA-256 of the weights that define FID.
        expected: String,
    },

    /// The images do not have the shape that a network takes.
    #[error("images of {} x {} x {} (channels, height, width) do not suit the network, which takes {takes}", shape[0], shape[1], shape[2])]
    Shape {
        /// The channels, height and width of the images.
        shape: [usize; 3],
        /// The shape that the network takes.
        takes: String,
    },

    /// A classifier does not have the requested class.
    #[error("the classifier knows {classes} classes, counted from 0, and no class {class}; choose one of those")]
    UnknownClass {
        /// The requested class, from 0.
        class: usize,
        /// The number of classes it knows.
        classes: usize,
    },

    /// A metric needs the features themselves, but only their mean and covariance are given.
    #[error("a file of statistics has a Frechet distance only; give the images or their features")]
    StatisticsOnly,

    /// Features cannot be compared.
    #[error(transparent)]
    Features(#[from] FeatureError),

    /// The weights of a network cannot be read.
    #[error(transparent)]
    Weights(#[from] WeightsError),

    /// A prepared file or the weights cannot be opened or fetched.
    #[error(transparent)]
    Data(#[from] mergan_datasets::Error),
}

impl ImagesError {
    /// Adds the name of the file that could not be read.
    pub(super) fn reading(path: &std::path::Path) -> impl Fn(io::Error) -> Self {
        move |source| ImagesError::File { action: "reading", path: path.into(), source: source.into() }
    }
}
