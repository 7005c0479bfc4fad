//! SVHN: two MAT files, each with the images `X` [height, width, 3, N] and the labels `y`, in which 10 stands for the
//! digit 0.

use std::fs::File;
use std::path::Path;

use ndarray::Array4;

use crate::fetch::{FetchOptions, Files, fetch};
use crate::mat::{self, MatArray, Values};
use crate::registry::Entry;
use crate::{Dataset, Error, Labelled, Manifest};

pub(crate) const SVHN: Entry =
    Entry { name: "svhn", manifest: include_str!("../manifests/svhn.toml"), options: &[], open };

/// The files of the training and test splits.
const FILES: [&str; 2] = ["train_32x32.mat", "test_32x32.mat"];

const CHANNELS: usize = 3;
const SIDE: usize = 32;

fn open(manifest: &Manifest, options: &FetchOptions<'_>) -> Result<Dataset, Error> {
    decode(manifest, &fetch(manifest, options)?)
}

/// Returns whether `folder` holds the files, which are then used as they are.
pub(crate) fn lies_in(folder: &Path) -> bool {
    folder.join(FILES[0]).is_file()
}

/// Opens the files in `folder`, which need not be the published ones.
pub(crate) fn open_folder(folder: &Path) -> Result<Dataset, Error> {
    let mut files = Files::default();
    for name in FILES {
        files.insert(name, folder.join(name));
    }
    decode(&Manifest::parse(SVHN.manifest)?, &files)
}

fn decode(manifest: &Manifest, files: &Files) -> Result<Dataset, Error> {
    let [train, test] = FILES.map(|name| files.path(name).and_then(read));
    let train = train?;
    Ok(Dataset {
        name: manifest.name.clone(),
        class_names: manifest.classes.clone(),
        validation: train.select(&[]),
        train,
        test: test?,
    })
}

/// Reads the images and labels of one file.
fn read(path: &Path) -> Result<Labelled, Error> {
    let fault = |offset, reason| Error::Format { path: path.into(), offset, reason };
    let file = File::open(path).map_err(|source| Error::Read { path: path.into(), source })?;
    let mut arrays = mat::parse(file).map_err(|error| fault(error.offset, error.reason))?;
    let mut take = |name: &str| arrays.remove(name).ok_or_else(|| fault(0, format!("it holds no array `{name}`")));
    let images = images(take("X")?).map_err(|reason| fault(0, reason))?;
    let labels = labels(&take("y")?.values).map_err(|reason| fault(0, reason))?;
    Labelled::new(images, labels)
}

fn images(MatArray { shape, values }: MatArray) -> Result<Array4<u8>, String> {
    let (&[SIDE, SIDE, CHANNELS, count], Values::Bytes(mut bytes)) = (&shape[..], values) else {
        return Err(format!("`X` has dimensions {shape:?}, expected bytes of [{SIDE}, {SIDE}, {CHANNELS}, N]"));
    };
    // The first axis varies fastest, so the bytes are those of N x 3 x width x height.
    for plane in bytes.chunks_exact_mut(SIDE * SIDE) {
        for y in 0..SIDE {
            for x in 0..y {
                plane.swap(y * SIDE + x, x * SIDE + y);
            }
        }
    }
    Array4::from_shape_vec((count, CHANNELS, SIDE, SIDE), bytes).map_err(|error| error.to_string())
}

fn labels(values: &Values) -> Result<Vec<usize>, String> {
    let numbers: Vec<f64> = match values {
        Values::Bytes(bytes) => bytes.iter().map(|&byte| byte.into()).collect(),
        Values::Numbers(numbers) => numbers.clone(),
    };
    let digit = |(index, &number): (usize, &f64)| match number {
        10.0 => Ok(0),
        1.0..10.0 if number.fract() == 0.0 => Ok(number as usize),
        _ => Err(format!("label {number} of image {index}, expected 1 to 10 (which is the digit 0)")),
    };
    numbers.iter().enumerate().map(digit).collect()
}
