//! Everything that can go wrong between a file of images and a number, said with the file and the remedy.

use std::io;
use std::path::PathBuf;

use mergan_datasets::npy::NpyError;
use mergan_models::WeightsError;

use crate::FeatureError;

/// What a reader or writer of some format said.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why images, or features of them, cannot be read or compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImagesError {
    /// A file or folder cannot be read or written.
    #[error("{action} {}", path.display())]
    File {
        /// What was tried, as in "reading".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system or the format's reader said.
        source: Cause,
    },

    /// A file inside an archive cannot be read.
    #[error("reading {name} in {}", path.display())]
    Entry {
        /// The archive.
        path: PathBuf,
        /// The file inside it.
        name: String,
        /// What the archive's or the array's reader said.
        source: Cause,
    },

    /// A file is not the archive that its name promises.
    #[error("{} is no .npz archive", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// What the archive's reader said.
        source: Cause,
    },

    /// A file is not the array that its name promises.
    #[error("{} is no array of images", path.display())]
    Array {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: NpyError,
    },

    /// A path is of no kind that images are read from.
    #[error(
        "{} is no set of images; give a folder of pictures, an array .npy or .npz, a prepared file .h5, or statistics .npz",
        path.display()
    )]
    UnknownKind {
        /// The path.
        path: PathBuf,
    },

    /// A file or folder holds something else than images that can be compared.
    #[error("{} {reason}", path.display())]
    NoImages {
        /// The file or folder.
        path: PathBuf,
        /// What it holds and what would be right.
        reason: String,
    },

    /// A picture cannot be read.
    #[error("{} is no picture that can be read; take it out of the folder or restore it from a copy", path.display())]
    Picture {
        /// The picture.
        path: PathBuf,
        /// What its reader said.
        source: io::Error,
    },

    /// The pictures of a folder are not of one size.
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
        /// What it holds instead.
        reason: String,
    },

    /// There are no weights of FID's network in the cache.
    #[error(
        "there are no weights of Inception on this machine; get them with `mergan data fetch inception` where there is a \
         network, or else put {file} (from {mirror}) at {} or give it with --weights", path.display()
    )]
    NoWeights {
        /// The file's name.
        file: String,
        /// Where it is published.
        mirror: String,
        /// Where it is looked for.
        path: PathBuf,
    },

    /// Weights are not those of FID's network, and no other name was given for it.
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
        /// The SHA-256 of the weights that FID is defined by.
        expected: String,
    },

    /// Images do not have the shape that a network takes.
    #[error("images of {} x {} x {} (channels, height, width) do not suit the network, which takes {takes}", shape[0], shape[1], shape[2])]
    Shape {
        /// Channels, height and width of the images.
        shape: [usize; 3],
        /// What would be right.
        takes: String,
    },

    /// A classifier has no such class.
    #[error("the classifier knows {classes} classes, counted from 0, and no class {class}; choose one of those")]
    UnknownClass {
        /// The class asked for, from 0.
        class: usize,
        /// How many classes it knows.
        classes: usize,
    },

    /// A metric needs the features themselves, of which there is only the mean and covariance.
    #[error("a file of statistics has a Frechet distance only; give the images or their features")]
    StatisticsOnly,

    /// Features cannot be compared.
    #[error(transparent)]
    Features(#[from] FeatureError),

    /// The weights of a network cannot be read.
    #[error(transparent)]
    Weights(#[from] WeightsError),

    /// A prepared file, or the weights, cannot be had.
    #[error(transparent)]
    Data(#[from] mergan_datasets::Error),
}

impl ImagesError {
    /// Says which file could not be read.
    pub(super) fn reading(path: &std::path::Path) -> impl Fn(io::Error) -> Self {
        move |source| ImagesError::File { action: "reading", path: path.into(), source: source.into() }
    }
}
