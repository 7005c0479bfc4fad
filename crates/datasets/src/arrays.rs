//! Datasets in NumPy's files: an archive `.npz`, or files `.npy` beside one another, of images and their labels.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use ndarray::{Array4, Axis};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::fetch::{Event, FetchOptions};
use crate::folder::held_out_of;
use crate::hex::hex;
use crate::npy::{Npy, NpyError};
use crate::npz::Npz;
use crate::picture::ImageOptions;
use crate::printable::printable;
use crate::{Dataset, Error, Labelled};

/// The names of the arrays of images and labels: to train on, to validate with and to test on.
type Names = [Option<[&'static str; 2]>; 3];

/// The names that are looked for, in this order: those of Keras, of MedMNIST, and of a single set of images.
const NAMES: [Names; 7] = [
    [Some(["x_train", "y_train"]), Some(["x_val", "y_val"]), Some(["x_test", "y_test"])],
    [Some(["train_images", "train_labels"]), Some(["val_images", "val_labels"]), Some(["test_images", "test_labels"])],
    [Some(["images", "labels"]), None, None],
    [Some(["x", "y"]), None, None],
    [Some(["X", "y"]), None, None],
    [Some(["data", "labels"]), None, None],
    [Some(["arr_0", "arr_1"]), None, None],
];

/// The most classes that labels may count.
const MOST_CLASSES: f64 = 100_000.0;
/// The most bytes of images that are held in memory; more are kept in a prepared file.
const MOST_BYTES: usize = 4 << 30;
/// The number of images converted at a time.
const SLAB: usize = 256;

/// Named arrays.
enum Arrays {
    Archive(Npz),
    /// Files `.npy` in this folder.
    Files(PathBuf),
}

impl Arrays {
    fn names(&self) -> Vec<String> {
        match self {
            Arrays::Archive(archive) => archive.names(),
            Arrays::Files(folder) => {
                let known = NAMES.iter().flatten().flatten().flatten();
                known.filter(|name| file(folder, name).is_file()).map(|name| (*name).to_owned()).collect()
            }
        }
    }

    fn get(&mut self, name: &str) -> Result<Npy<Box<dyn Read>>, NpyError> {
        match self {
            Arrays::Archive(archive) => Ok(archive.array(name)?.boxed()),
            Arrays::Files(folder) => {
                let file = File::open(file(folder, name)).map_err(|error| NpyError(format!("{name}.npy: {error}")))?;
                Npy::open(BufReader::new(file)).map(Npy::boxed).map_err(|error| about(name, &error))
            }
        }
    }
}

fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.npy"))
}

/// Returns whether a path is a file of arrays or a folder with those of a dataset.
pub(crate) fn are_in(path: &Path) -> bool {
    let is_set = |names: Vec<String>| NAMES.iter().any(|set| has(&names, set[0]));
    is_file(path, "npz") || is_file(path, "npy") || (path.is_dir() && is_set(Arrays::Files(path.into()).names()))
}

/// Returns whether a path is a file whose name ends like this.
fn is_file(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending)) && path.is_file()
}

fn has(names: &[String], pair: Option<[&str; 2]>) -> bool {
    pair.is_some_and(|pair| pair.iter().all(|name| names.iter().any(|found| found == name)))
}

/// Opens an archive `.npz`, a folder of files `.npy`, or the folder of such a file. The images are held in memory.
/// They become images as pictures do; the observer is told of sizes that change. If there are no images to test on,
/// every tenth of a class is held out. Classes have the labels as names.
pub(crate) fn open(path: &Path, options: &FetchOptions<'_>) -> Result<Dataset, Error> {
    let fault = |error: NpyError| Error::Arrays { path: path.into(), reason: error.to_string() };
    options.images.check()?;
    let mut arrays = match path {
        _ if is_file(path, "npz") => Arrays::Archive(Npz::open(path).map_err(fault)?),
        _ if path.is_dir() => Arrays::Files(path.into()),
        _ => Arrays::Files(path.parent().unwrap_or(Path::new("")).into()),
    };
    let names = arrays.names();
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    // A file `.npy` says which of the arrays beside it are meant.
    let is_meant = |set: &&Names| !is_file(path, "npy") || set.iter().flatten().flatten().any(|name| *name == stem);
    let Some(set) = NAMES.iter().filter(is_meant).find(|set| has(&names, set[0])) else {
        let found = if names.is_empty() { "none".into() } else { names.join(", ") };
        return Err(fault(NpyError(format!("it has no array of images with one of labels (arrays found: {found})"))));
    };
    let mut read = |pair: Option<[&str; 2]>| match pair {
        Some(pair @ [images, labels]) if has(&names, Some(pair)) => {
            let images = to_images(arrays.get(images)?, options).map_err(|error| about(images, &error))?;
            let labels = to_labels(arrays.get(labels)?).map_err(|error| about(labels, &error))?;
            let all = Labelled::new(images, labels).map_err(|error| NpyError(error.to_string()))?;
            Ok(Some(options.images.limit.map_or_else(|| all.clone(), |limit| first_of_each_class(&all, limit))))
        }
        _ => Ok(None),
    };
    let [train, validation, test] = set.map(&mut read);
    let (train, validation, test) = (train.map_err(fault)?, validation.map_err(fault)?, test.map_err(fault)?);
    let train = train.expect("the set was chosen because it has images to train on");
    let classes = train.labels().iter().max().map_or(0, |label| label + 1);
    for part in validation.iter().chain(&test) {
        if part.image_shape() != train.image_shape() {
            return Err(fault(NpyError("the images of its parts have different shapes".into())));
        }
        if let Some(label) = part.labels().iter().find(|label| **label >= classes) {
            return Err(fault(NpyError(format!("no image to train on has label {label}"))));
        }
    }
    let mut print = Sha256::new();
    print.update(format!("{:?} {:?}", train.image_shape(), options.images.fit));
    train.labels().iter().for_each(|&label| print.update((label as u64).to_le_bytes()));
    let validation = validation.unwrap_or_else(|| train.select(&[]));
    let (train, test) = match test {
        Some(test) => (train, test),
        None => {
            let all: Vec<_> = (0..train.len()).collect();
            let (kept, held_out) = held_out_of(train.labels(), &all, classes);
            (train.select(&kept), train.select(&held_out))
        }
    };
    let class_names = (0..classes).map(|class| class.to_string()).collect();
    let name = format!("{}-{}", printable(&stem), hex(&print.finalize()[..4]));
    Ok(Dataset { name, class_names, train, validation, test })
}

fn about(name: &str, error: &NpyError) -> NpyError {
    NpyError(format!("array {name}: {error}"))
}

/// Returns the first `limit` images of each class.
fn first_of_each_class(images: &Labelled, limit: usize) -> Labelled {
    let mut taken = BTreeMap::new();
    let mut is_taken = |label| {
        let count = taken.entry(label).or_insert(0);
        *count += 1;
        *count <= limit
    };
    let rows: Vec<_> = (0..images.len()).filter(|&row| is_taken(images.labels()[row])).collect();
    images.select(&rows)
}

/// Reads images and brings them to the size that is asked for.
fn to_images(mut npy: Npy<Box<dyn Read>>, options: &FetchOptions<'_>) -> Result<Array4<u8>, NpyError> {
    let layout = npy.images()?;
    let [channels, height, width] = layout.shape();
    let observer = options.observer;
    let options = ImageOptions { channels: channels.min(options.images.channels), ..options.images.clone() };
    let shape = options.shape();
    if shape[1..] != [height, width] {
        let side = options.side;
        let what = format!("the arrays' images of {height} x {width} pixels become {side} x {side} (--side 32 or 64)");
        observer(Event::Noted { what: &what });
    }
    let bytes = layout.count.checked_mul(shape.iter().product());
    if bytes.is_none_or(|bytes| bytes > MOST_BYTES) {
        return Err(NpyError(format!("{} images take more than {MOST_BYTES} bytes of memory", layout.count)));
    }
    let mut pixels = Vec::new();
    for start in (0..layout.count).step_by(SLAB) {
        let slab = npy.read_images(layout, SLAB.min(layout.count - start))?;
        let images: Vec<_> =
            (0..slab.len_of(Axis(0))).into_par_iter().map(|row| options.image(slab.index_axis(Axis(0), row))).collect();
        images.iter().for_each(|image| pixels.extend(image));
    }
    let [channels, height, width] = shape;
    Ok(Array4::from_shape_vec((layout.count, channels, height, width), pixels).expect("images of this shape"))
}

/// Reads labels, N or N x 1 whole numbers.
fn to_labels(npy: Npy<Box<dyn Read>>) -> Result<Vec<usize>, NpyError> {
    if !matches!(npy.shape(), [_] | [_, 1]) {
        return Err(NpyError(format!("it has the axes {:?}; labels are N whole numbers", npy.shape())));
    }
    let label = |(index, number): (usize, f64)| match number {
        number if number.fract() == 0.0 && (0.0..MOST_CLASSES).contains(&number) => Ok(number as usize),
        _ => Err(NpyError(format!("label {number} of image {index}, expected whole numbers from 0 to {MOST_CLASSES}"))),
    };
    npy.numbers()?.into_iter().enumerate().map(label).collect()
}
