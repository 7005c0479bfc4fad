//! The sources of images: folders of pictures, NumPy arrays, prepared files, and memory.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use mergan_datasets::npy::{Element, Npy};
use mergan_datasets::{FetchOptions, Labelled};
use ndarray::{Array4, s};
use zip::ZipArchive;

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
            "npy" => array(path, open_file(path)?),
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

/// The most bytes that are unpacked from an archive.
const LARGEST: u64 = 16 << 30;

fn extension(path: &Path) -> &str {
    path.extension().and_then(OsStr::to_str).unwrap_or_default()
}

fn open_file(path: &Path) -> Result<BufReader<File>, ImagesError> {
    File::open(path).map(BufReader::new).map_err(ImagesError::reading(path))
}

fn archive(path: &Path) -> Result<ZipArchive<BufReader<File>>, ImagesError> {
    let archive = ZipArchive::new(open_file(path)?);
    archive.map_err(|source| ImagesError::Archive { path: path.into(), source: source.into() })
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
    let name = only_array(path, &archive)?;
    let bad = |source| ImagesError::Entry { path: path.into(), name: name.clone(), source };
    // The whole array is unpacked at once because its reader borrows the archive.
    let mut bytes = Vec::new();
    let entry = archive.by_name(&name).map_err(|error| bad(error.into()))?;
    entry.take(LARGEST).read_to_end(&mut bytes).map_err(|error| bad(error.into()))?;
    array(path, Cursor::new(bytes))
}

/// Returns the name of the array of images in an archive.
fn only_array(path: &Path, archive: &ZipArchive<BufReader<File>>) -> Result<String, ImagesError> {
    let names: Vec<String> = archive.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect();
    match names.as_slice() {
        [name] => Ok(name.clone()),
        names if names.iter().any(|name| name == "arr_0.npy") => Ok("arr_0.npy".into()),
        names => Err(ImagesError::NoImages {
            path: path.into(),
            reason: format!(
                "holds the arrays {}; images are the only one, or arr_0, and statistics are mu and sigma",
                names.join(", ")
            ),
        }),
    }
}

/// Opens the images in an array, read on demand.
fn array(path: &Path, reader: impl Read + Send + 'static) -> Result<Images, ImagesError> {
    let path = path.to_path_buf();
    let mut npy = match Npy::open(reader) {
        Ok(npy) => npy,
        Err(source) => return Err(ImagesError::Array { path, source }),
    };
    let (count, image, channels_last) = match layout(&npy) {
        Ok(layout) => layout,
        Err(reason) => return Err(ImagesError::NoImages { path, reason }),
    };
    let batches = (0..count).step_by(BATCH).map(move |start| {
        let n = BATCH.min(count - start);
        let bytes = npy.bytes(n * image.iter().product::<usize>()).map_err(|source| ImagesError::File {
            action: "reading",
            path: path.clone(),
            source: source.into(),
        })?;
        let images =
            Array4::from_shape_vec((n, image[0], image[1], image[2]), bytes).expect("as many bytes as asked for");
        Ok(if channels_last { images.permuted_axes([0, 3, 1, 2]).as_standard_layout().into_owned() } else { images })
    });
    Ok(Images::new(count, batches))
}

/// Returns the number of images in an array, the shape of each, and whether channels come last. The error says why
/// the array holds no images.
fn layout(npy: &Npy<impl Read>) -> Result<(usize, [usize; 3], bool), String> {
    let shape = npy.shape();
    let is_channels = |channels| matches!(channels, 1 | 3);
    let (count, image, channels_last) = match *shape {
        [n, c, h, w] if is_channels(c) => (n, [c, h, w], false),
        [n, h, w, c] if is_channels(c) => (n, [h, w, c], true),
        [n, h, w] => (n, [1, h, w], false),
        _ => {
            return Err(format!(
                "has the axes {shape:?}; images are N x H x W x C or N x C x H x W with 1 or 3 channels"
            ));
        }
    };
    if npy.element() != Element::U8 || !npy.is_row_major() {
        return Err("holds no bytes in row-major order; images are uint8, from 0 to 255".into());
    }
    if image.iter().any(|length| !(1..1 << 16).contains(length)) {
        return Err(format!("has images of {image:?}"));
    }
    Ok((count, image, channels_last))
}
