//! The sources of images: folders of pictures, NumPy arrays, prepared files, and memory.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use mergan_datasets::npy::{Npy, NpyError};
use mergan_datasets::npz::Npz;
use mergan_datasets::{FetchOptions, Labelled};
use ndarray::{Array4, s};

use super::{BATCH, ImagesError, pictures, statistics};
use crate::FeatureStatistics;

/// One side of a distance.
pub enum Input {
    /// Images that still have to go through the network.
    Images(Images),
    /// The mean and covariance of a network's features, from a file.
    Statistics(FeatureStatistics),
}

impl Input {
    /// Opens the same inputs as [`Images::open`], and pytorch-fid's statistics files `.npz` as well.
    ///
    /// # Errors
    /// When the path is none of these.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ImagesError> {
        Self::open_with(path, &FetchOptions::default())
    }

    /// Opens the same inputs; for a folder, `options.images` say which pictures are taken, see
    /// [`list_pictures`](mergan_datasets::list_pictures).
    ///
    /// # Errors
    /// When the path is none of these.
    pub fn open_with(path: impl AsRef<Path>, options: &FetchOptions<'_>) -> Result<Self, ImagesError> {
        let path = path.as_ref();
        if path.is_file()
            && extension(path) == "npz"
            && let Some(statistics) = statistics::read(path, &mut archive(path)?)?
        {
            return Ok(Input::Statistics(statistics));
        }
        Images::open_with(path, options).map(Input::Images)
    }
}

impl From<Images> for Input {
    fn from(images: Images) -> Self {
        Input::Images(images)
    }
}

impl From<Array4<u8>> for Input {
    fn from(images: Array4<u8>) -> Self {
        Input::Images(images.into())
    }
}

impl From<FeatureStatistics> for Input {
    fn from(statistics: FeatureStatistics) -> Self {
        Input::Statistics(statistics)
    }
}

/// A sequence of small batches of byte images, N x C x H x W.
type Batches = dyn Iterator<Item = Result<Array4<u8>, ImagesError>> + Send;

/// Images of one size, read a batch at a time.
pub struct Images {
    count: usize,
    batches: Box<Batches>,
}

impl Images {
    /// Takes `count` images, which arrive in batches N x C x H x W.
    pub fn new(count: usize, batches: impl Iterator<Item = Result<Array4<u8>, ImagesError>> + Send + 'static) -> Self {
        Images { count, batches: Box::new(batches) }
    }

    /// Opens a folder of pictures ([`PICTURE_ENDINGS`](mergan_datasets::PICTURE_ENDINGS), in colour at their own size;
    /// those in its subfolders too), an array `.npy` or `.npz` of
    /// images, or a prepared file `.h5` (which needs the feature `hdf5` or `hdf5-static`). Arrays are bytes: N x H x
    /// W x C, as most tools write them, N x C x H x W, as `mergan sample` does, or N x H x W for grey images.
    ///
    /// # Errors
    /// When the path is none of these.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ImagesError> {
        Self::open_with(path, &FetchOptions::default())
    }

    /// Opens the same inputs; for a folder, `options.images` say which pictures are taken, see
    /// [`list_pictures`](mergan_datasets::list_pictures).
    ///
    /// # Errors
    /// When the path is none of these.
    pub fn open_with(path: impl AsRef<Path>, options: &FetchOptions<'_>) -> Result<Self, ImagesError> {
        let path = path.as_ref();
        match extension(path) {
            _ if path.is_dir() => pictures::open(path, options),
            "h5" | "hdf5" => prepared(path, options),
            "npy" => array(path, Npy::open(open_file(path)?)),
            "npz" => zipped(path),
            _ => Err(ImagesError::UnknownKind { path: path.into() }),
        }
    }

    /// Returns the number of images.
    pub fn count(&self) -> usize {
        self.count
    }
}

impl IntoIterator for Images {
    type Item = Result<Array4<u8>, ImagesError>;
    type IntoIter = Box<Batches>;
    fn into_iter(self) -> Self::IntoIter {
        self.batches
    }
}

/// Takes images in memory, N x C x H x W.
impl From<Array4<u8>> for Images {
    fn from(images: Array4<u8>) -> Self {
        let count = images.dim().0;
        let batches = (0..count)
            .step_by(BATCH)
            .map(move |start| Ok(images.slice(s![start..count.min(start + BATCH), .., .., ..]).to_owned()));
        Images::new(count, batches)
    }
}

/// Takes the images of a dataset, whatever their classes.
impl From<Labelled> for Images {
    fn from(images: Labelled) -> Self {
        let count = images.len();
        let slabs: Vec<Labelled> = images.slabs(BATCH).collect();
        Images::new(count, slabs.into_iter().map(|slab| Ok(slab.images()?.into_owned())))
    }
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(OsStr::to_str).unwrap_or_default()
}

fn open_file(path: &Path) -> Result<BufReader<File>, ImagesError> {
    File::open(path).map(BufReader::new).map_err(ImagesError::reading(path))
}

fn archive(path: &Path) -> Result<Npz, ImagesError> {
    Npz::open(path).map_err(|source| ImagesError::Archive { path: path.into(), source: source.into() })
}

/// Opens the images of all splits of a prepared file.
fn prepared(path: &Path, options: &FetchOptions<'_>) -> Result<Images, ImagesError> {
    let dataset = mergan_datasets::open(&path.to_string_lossy(), options)?;
    let splits = [dataset.train, dataset.validation, dataset.test].map(Images::from);
    let count = splits.iter().map(Images::count).sum();
    Ok(Images::new(count, splits.into_iter().flatten()))
}

/// Opens the array of images in an archive.
fn zipped(path: &Path) -> Result<Images, ImagesError> {
    let mut archive = archive(path)?;
    let names = archive.names();
    let name = match names.as_slice() {
        [name] => name,
        names => names.iter().find(|name| ["arr_0", "images"].contains(&name.as_str())).ok_or_else(|| {
            let reason = format!(
                "holds the arrays {}; images are the only one, or arr_0 or images, and statistics are mu and sigma",
                names.join(", ")
            );
            ImagesError::NoImages { path: path.into(), reason }
        })?,
    };
    array(path, archive.array(name))
}

/// Opens the images in an array, read on demand.
fn array(path: &Path, npy: Result<Npy<impl Read + Send + 'static>, NpyError>) -> Result<Images, ImagesError> {
    let path = path.to_path_buf();
    let mut npy = match npy {
        Ok(npy) => npy,
        Err(source) => return Err(ImagesError::Array { path, source }),
    };
    let layout = match npy.images() {
        Ok(layout) => layout,
        Err(error) => return Err(ImagesError::NoImages { path, reason: error.to_string() }),
    };
    let count = layout.count;
    let batches = (0..count).step_by(BATCH).map(move |start| {
        let images = npy.read_images(layout, BATCH.min(count - start));
        images.map_err(|source| ImagesError::File { action: "reading", path: path.clone(), source: source.into() })
    });
    Ok(Images::new(count, batches))
}
