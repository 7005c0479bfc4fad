//! The errors of this crate. Each message names the file, the place in it and the remedy.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use crate::picture::PICTURE_KINDS;
use crate::suggestion;
use crate::tasks::TaskError;

/// Why a dataset could not be fetched, decoded or split into tasks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No dataset has this name.
    #[error("unknown dataset `{name}`, and no such file or folder; known datasets: {}{}", known.join(", "), suggestion(name, known))]
    UnknownDataset {
        /// The name asked for.
        name: String,
        /// Every name that is known.
        known: Vec<String>,
    },

    /// There is no file or folder at a path.
    #[error("there is no file or folder {}; it may have moved: give its new path", path.display())]
    NoSuchPath {
        /// The path asked for.
        path: PathBuf,
    },

    /// A file is of no kind that holds a dataset.
    #[error(
        "{} is no dataset: give a folder with one subfolder of pictures per class, arrays (.npz or .npy), or a prepared \
         file (HDF5)", path.display()
    )]
    NoDataset {
        /// The file.
        path: PathBuf,
    },

    /// Some files are not on this machine, and no source could supply them.
    #[error("{}", describe_unavailable(dataset, missing, attempts, remedy))]
    Unavailable {
        /// Name of the dataset.
        dataset: String,
        /// Names of the files that are missing.
        missing: Vec<String>,
        /// Every source tried, in order, and why it failed.
        attempts: Vec<Attempt>,
        /// The source of the files, their size and the place to put them.
        remedy: String,
    },

    /// The data directory that was given does not exist.
    #[error("the data directory {} is not a folder; give one that holds the files, or none", path.display())]
    DataDir {
        /// The path given.
        path: PathBuf,
    },

    /// The cache cannot be written.
    #[error("cannot {action} {}: {source}; make room or give write permission there, or choose another cache directory \
             (environment variable MERGAN_DATA)", path.display())]
    Cache {
        /// The action that failed, as in "create the folder".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },

    /// A verified file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },

    /// A file's content contradicts its format.
    #[error("{}: at byte {offset}: {reason}; the file is damaged or of another kind: put a good copy in its place", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The offset in the file, in bytes.
        offset: usize,
        /// The value that was found and the one that was expected.
        reason: String,
    },

    /// A folder of classes has no subfolder.
    #[error("{} holds no folders; give a folder with one subfolder of pictures for each class", path.display())]
    NoClasses {
        /// The folder.
        path: PathBuf,
    },

    /// A class has no image.
    #[error("class {class} has no image ({PICTURE_KINDS}) that can be read; give it some")]
    EmptyClass {
        /// The class: its folder or its name.
        class: String,
    },

    /// A class has images to test on and none to train on.
    #[error("{} is a class that the folder to train on lacks; give it pictures there as well", path.display())]
    UntrainedClass {
        /// The folder of the images to test on.
        path: PathBuf,
    },

    /// Two names in a folder differ only in bytes that are no text.
    #[error("{} holds two names that read `{name}`: they differ in bytes that are no UTF-8; rename one of them", folder.display())]
    SameName {
        /// The name, as far as it is text.
        name: String,
        /// The folder.
        folder: PathBuf,
    },

    /// A link leads to a folder whose pictures are listed already.
    #[error("{} leads to a folder whose pictures are taken already; take the link out of the folder", path.display())]
    ListedTwice {
        /// The link.
        path: PathBuf,
    },

    /// A link leads out of a dataset's folder.
    #[error("{} leads out of {}; follow such links (--follow-links), or put a copy in its place", path.display(), root.display())]
    Outside {
        /// The link.
        path: PathBuf,
        /// The folder.
        root: PathBuf,
    },

    /// A picture cannot be read.
    #[error(
        "{picture} cannot be read as an image: {reason}; take it out of the folder, or leave such pictures out (--skip-bad)"
    )]
    Picture {
        /// The location of the picture.
        picture: String,
        /// The problem that was found.
        reason: String,
    },

    /// A picture has changed since it was first read.
    #[error("{} was altered after it was first read; begin again, and leave it alone meanwhile", path.display())]
    Altered {
        /// The file.
        path: PathBuf,
    },

    /// An option for turning pictures into images is out of range.
    #[error("images.{option} must be {rule}")]
    ImageOptions {
        /// The name of the option.
        option: &'static str,
        /// The values that are allowed.
        rule: &'static str,
    },

    /// An option for turning pictures into images is given for images that are used as they are.
    #[error("images.{option} ({flag}) has no effect on {dataset}, whose images are used as they are; leave it out")]
    NoEffect {
        /// The name of the option.
        option: &'static str,
        /// The option of the command line.
        flag: &'static str,
        /// The dataset.
        dataset: String,
    },

    /// A prepared file contradicts its format.
    #[error("{}: {reason}; write it again by `mergan data convert`, or as the documentation of the format says", path.display())]
    Prepared {
        /// The file.
        path: PathBuf,
        /// The value that was found and the one that was expected.
        reason: String,
    },

    /// Arrays are not those of a dataset.
    #[error(
        "{}: {reason}; write one by numpy.savez(FILE, images=..., labels=...): images of N x H x W x C or N x H x W bytes \
         (uint8), labels from 0", path.display()
    )]
    Arrays {
        /// The file or folder.
        path: PathBuf,
        /// The value that was found and the one that was expected.
        reason: String,
    },

    /// A prepared file cannot be written.
    #[error("cannot write {}: {reason}; make room or give write permission there", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        reason: String,
    },

    /// This build lacks HDF5 support.
    #[error(
        "{}: images that take more than the memory are kept in HDF5 files, and this build reads and writes none; build \
         with `--features hdf5` where the C library is installed (Debian: apt-get install libhdf5-dev), or with \
         `--features hdf5-static`, which builds it (cmake 3.26)", path.display()
    )]
    NoHdf5 {
        /// The file asked for.
        path: PathBuf,
    },

    /// A manifest is malformed.
    #[error("bad dataset manifest: {reason}")]
    Manifest {
        /// The problem that was found.
        reason: String,
    },

    /// The numbers of images and labels differ.
    #[error("{images} images but {labels} labels; each image needs one label")]
    Unpaired {
        /// Number of images.
        images: usize,
        /// Number of labels.
        labels: usize,
    },

    /// Images in memory are no dataset; the reason says what does not fit.
    #[error("{reason}")]
    Images {
        /// The problem that was found.
        reason: String,
    },

    /// The classes cannot be split into the tasks asked for.
    #[error(transparent)]
    Tasks(#[from] TaskError),
}

/// A source that was tried, and why it did not supply the missing files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The source: a folder, an address or a package.
    pub from: String,
    /// Why it failed.
    pub reason: String,
}

/// Returns the remedy for files that no source supplies: placing them by hand, in one of the accepted forms.
pub(crate) fn place_by_hand(form: &str, cache: &Path, obtain: &str) -> String {
    let cache = cache.display();
    format!("place these files ({form}) in {cache}, or in a folder given as the data directory; {obtain}")
}

fn describe_unavailable(dataset: &str, missing: &[String], attempts: &[Attempt], remedy: &str) -> String {
    let missing = missing.join(", ");
    let mut text = format!("cannot obtain all files of dataset `{dataset}`; missing: {missing}\nsources tried:");
    for Attempt { from, reason } in attempts {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {from}: {reason}");
    }
    text + "\nremedy: " + remedy
}
