//! Opens prepared files. Labels are read at once, images on demand.

use std::path::{Path, PathBuf};

use hdf5::filters::Filter;
use hdf5::plist::dataset_create::Layout;
use hdf5::types::{FixedAscii, FixedUnicode, TypeDescriptor, VarLenAscii, VarLenUnicode};
use hdf5::{Dataset as Table, File, Group, LinkType};
use ndarray::{Array4, Axis, Ix4, s};
use sha2::{Digest, Sha256};

use super::{LEFT_OUT, SPLITS};
use crate::hex::hex;
use crate::labelled::Stored;
use crate::printable::printable;
use crate::{Dataset, Error, Labelled};

/// The most images that a file may claim, because their labels are read at once. LSUN's largest scene has three
/// million.
const MOST_IMAGES: usize = 10_000_000;
/// The most classes that a file may name.
const MOST_CLASSES: usize = 100_000;
/// The most bytes of a class's name, if names have a fixed length.
const MOST_NAME: usize = 1024;
/// The most pixels along each side.
const MOST_SIDE: usize = 1024;

/// Opens a prepared file.
pub(crate) fn open(path: &Path) -> Result<Dataset, Error> {
    let fault = |reason: String| Error::Prepared { path: path.into(), reason };
    let read_error = |error: hdf5::Error| fault(error.to_string());
    let size = std::fs::metadata(path).map_err(|source| Error::Read { path: path.into(), source })?.len();
    let file = File::open(path).map_err(read_error)?;
    refuse_links(&file).map_err(fault)?;
    let class_names = names(&file).map_err(fault)?;
    if !file.link_exists(SPLITS[0]) {
        return Err(fault("it has no group `train`".into()));
    }
    let [train, validation, test] = SPLITS.map(|name| match file.link_exists(name) {
        false => Ok(None),
        true => {
            let split = file.group(name).map_err(|error| error.to_string());
            let split = split.and_then(|group| split_of(&group, path, class_names.len()));
            split.map(Some).map_err(|reason| fault(format!("{name}: {reason}")))
        }
    });
    let train = train?.expect("it was found to exist");
    let or_none = |split: Option<Labelled>| split.unwrap_or_else(|| train.select(&[]));
    let (validation, test) = (or_none(validation?), or_none(test?));
    if [&validation, &test].iter().any(|split| split.image_shape() != train.image_shape()) {
        return Err(fault("the images of its splits have different shapes".into()));
    }

    // The name includes a hash of the data because a classifier for scoring these images is looked up by this name.
    let mut print = Sha256::new();
    print.update(format!("{size} {class_names:?} {:?}", train.image_shape()));
    for split in [&train, &validation, &test] {
        split.labels().iter().for_each(|&label| print.update((label as u64).to_le_bytes()));
    }
    let print = hex(&print.finalize()[..4]);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    Ok(Dataset { name: format!("{stem}-{print}"), class_names, train, validation, test })
}

/// Opens the prepared file that was written from `original`. If its images are identified by files of their own, so
/// are these.
pub(crate) fn open_copy(path: &Path, original: &Dataset) -> Result<Dataset, Error> {
    let fault = |reason: String| Error::Prepared { path: path.into(), reason };
    let copy = open(path)?;
    let file = File::open(path).map_err(|error| fault(error.to_string()))?;
    let pair = |name: &str, copy: Labelled, original: &Labelled| {
        if original.sources().is_none() {
            return Ok(copy);
        }
        let left_out = left_out(&file, name).map_err(|reason| fault(format!("{name}: {reason}")))?;
        let original = original.without(&left_out);
        match copy.labels() == original.labels() {
            true => Ok(copy.copied_from(&original)),
            false => Err(fault(format!("{name}: it does not have the images that it was made of; delete it"))),
        }
    };
    let [train, validation, test] = SPLITS;
    Ok(Dataset {
        name: original.name.clone(),
        class_names: copy.class_names,
        train: pair(train, copy.train, &original.train)?,
        validation: pair(validation, copy.validation, &original.validation)?,
        test: pair(test, copy.test, &original.test)?,
    })
}

/// Returns which pictures of a split could not be read when the file was written.
fn left_out(file: &File, split: &str) -> Result<Vec<usize>, String> {
    let name = format!("{split}/{LEFT_OUT}");
    if !file.link_exists(&name) {
        return Ok(Vec::new());
    }
    let table = table(file, &name)?;
    match table.shape()[..] {
        [..=MOST_IMAGES] => table.read_raw().map_err(|error| error.to_string()),
        ref shape => Err(format!("{LEFT_OUT} has shape {shape:?}, expected [0] to [{MOST_IMAGES}]")),
    }
}

/// Reads the names of the classes.
fn names(file: &File) -> Result<Vec<String>, String> {
    let table = table(file, "class_names")?;
    let count = match table.shape()[..] {
        [count @ 1..=MOST_CLASSES] => count,
        ref shape => return Err(format!("class_names has shape {shape:?}, expected [1] to [{MOST_CLASSES}]")),
    };
    let text = |error: hdf5::Error| error.to_string();
    let names: Vec<String> = match table.dtype().and_then(|kind| kind.to_descriptor()).map_err(text)? {
        TypeDescriptor::VarLenUnicode => {
            table.read_1d::<VarLenUnicode>().map_err(text)?.iter().map(|name| printable(name)).collect()
        }
        TypeDescriptor::VarLenAscii => {
            table.read_1d::<VarLenAscii>().map_err(text)?.iter().map(|name| printable(name)).collect()
        }
        // The library converts strings of a fixed length to longer ones.
        TypeDescriptor::FixedUnicode(..=MOST_NAME) => {
            table.read_1d::<FixedUnicode<MOST_NAME>>().map_err(text)?.iter().map(|name| printable(name)).collect()
        }
        TypeDescriptor::FixedAscii(..=MOST_NAME) => {
            table.read_1d::<FixedAscii<MOST_NAME>>().map_err(text)?.iter().map(|name| printable(name)).collect()
        }
        other => return Err(format!("class_names holds {other}, expected strings, of at most {MOST_NAME} bytes each")),
    };
    debug_assert_eq!(names.len(), count);
    Ok(names)
}

/// Fails if a link in a group leads to another file: whoever opens a file must not read others by it.
fn refuse_links(group: &Group) -> Result<(), String> {
    let mut other = None;
    let visited = group.iter_visit_default(|name, link| {
        if link.link_type == LinkType::External {
            other.get_or_insert(name.to_owned());
        }
        Ok(())
    });
    visited.map_err(|error| error.to_string())?;
    match other {
        Some(name) => Err(format!("`{}` is a link to another file, which is not followed", printable(&name))),
        None => Ok(()),
    }
}

/// Reads the images and labels of a group.
fn split_of(group: &Group, path: &Path, classes: usize) -> Result<Labelled, String> {
    refuse_links(group)?;
    let images = table(group, "images")?;
    let (count, shape) = match images.shape()[..] {
        [count, height @ 1..=MOST_SIDE, width @ 1..=MOST_SIDE, channels @ (1 | 3)] if count <= MOST_IMAGES => {
            (count, [channels, height, width])
        }
        ref shape => return Err(format!("images has shape {shape:?}, expected [N, height, width, 1 or 3]")),
    };
    let text = |error: hdf5::Error| error.to_string();
    if !images.dtype().map_err(text)?.is::<u8>() {
        return Err("images are not of unsigned bytes (u8)".into());
    }
    let labels = table(group, "labels")?;
    if labels.shape() != [count] {
        return Err(format!("labels has shape {:?}, expected [{count}] as there are images", labels.shape()));
    }
    match labels.dtype().and_then(|kind| kind.to_descriptor()).map_err(text)? {
        TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_) => {}
        other => return Err(format!("labels holds {other}, expected whole numbers")),
    }
    let label = |(index, &label): (usize, &i64)| match usize::try_from(label) {
        Ok(label) if label < classes => Ok(label),
        _ => Err(format!("label {label} of image {index}, but there are only {classes} classes")),
    };
    let labels = labels.read_1d::<i64>().map_err(text)?;
    let labels = labels.iter().enumerate().map(label).collect::<Result<_, _>>()?;
    Ok(Labelled::stored(Prepared { images, shape, path: path.into() }, labels))
}

/// Opens a dataset whose data lie in the file itself, in a form that can be read.
fn table(group: &Group, name: &str) -> Result<Table, String> {
    let table = group.dataset(name).map_err(|_| format!("it has no dataset `{name}`"))?;
    let properties = table.create_plist().map_err(|error| error.to_string())?;
    let layout = properties.get_layout().map_err(|_| format!("`{name}` is stored in an unknown way"))?;
    if !matches!(layout, Layout::Compact | Layout::Contiguous | Layout::Chunked) {
        return Err(format!("`{name}` is a virtual dataset, made of others; copy its data into the file"));
    }
    if !properties.external().is_empty() || table.filename() != group.filename() {
        return Err(format!("the data of `{name}` lie in another file, which is not read; copy them into this one"));
    }
    match properties.filters().iter().find(|filter| !filter.is_available()) {
        None => Ok(table),
        Some(filter) => Err(format!(
            "`{name}` is compressed with {}, which cannot be read here; repack it with gzip (in h5py, compression=\"gzip\")",
            described(filter)
        )),
    }
}

/// The number of h5py's filter LZF.
const LZF: i32 = 32_000;

fn described(filter: &Filter) -> String {
    match filter {
        Filter::User(LZF, _) => "lzf".into(),
        Filter::User(number, _) => format!("the filter {number}"),
        other => format!("{other:?}"),
    }
}

/// Images in an HDF5 file. The library serves one thread at a time.
#[derive(Debug)]
struct Prepared {
    /// N x height x width x channels.
    images: Table,
    shape: [usize; 3],
    path: PathBuf,
}

impl Stored for Prepared {
    fn image_shape(&self) -> [usize; 3] {
        self.shape
    }

    fn is_decoded(&self) -> bool {
        true
    }

    fn read(&self, rows: &[usize]) -> Result<Array4<u8>, Error> {
        let [channels, height, width] = self.shape;
        let mut images = Array4::zeros((rows.len(), height, width, channels));
        let mut done = 0;
        // Contiguous rows are read at once.
        for run in rows.chunk_by(|row, next| row + 1 == *next) {
            let slab = self.images.read_slice::<u8, _, Ix4>(s![run[0]..run[0] + run.len(), .., .., ..]);
            let slab = slab.map_err(|error| Error::Prepared { path: self.path.clone(), reason: error.to_string() })?;
            images.slice_axis_mut(Axis(0), (done..done + run.len()).into()).assign(&slab);
            done += run.len();
        }
        Ok(images.permuted_axes([0, 3, 1, 2]).as_standard_layout().into_owned())
    }
}
