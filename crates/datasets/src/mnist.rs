//! MNIST and Fashion-MNIST: the same four IDX files of 28 x 28 images.

use ndarray::{Array1, Array3, Array4, Dimension, s};

use crate::fetch::{FetchOptions, Files, fetch};
use crate::registry::Entry;
use crate::{Dataset, Error, Labelled, Manifest, idx};

/// The side of an image in the files, in pixels.
const SIDE: usize = 28;

/// Zero pixels added on each side to reach the 32 x 32 that the networks take, as the paper's code does.
const PADDING: usize = 2;

pub(crate) const MNIST: Entry =
    Entry { name: "mnist", manifest: include_str!("../manifests/mnist.toml"), options: &[], open };
pub(crate) const FASHION: Entry =
    Entry { name: "fashion", manifest: include_str!("../manifests/fashion.toml"), options: &[], open };

fn open(manifest: &Manifest, options: &FetchOptions<'_>) -> Result<Dataset, Error> {
    decode(manifest, &fetch(manifest, options)?)
}

fn decode(manifest: &Manifest, files: &Files) -> Result<Dataset, Error> {
    let train = read_pair(manifest, files, "train")?;
    let held_out = manifest.splits.validation.min(train.len());
    let validation = (0..held_out).collect::<Vec<_>>();
    let rest = (held_out..train.len()).collect::<Vec<_>>();
    Ok(Dataset {
        name: manifest.name.clone(),
        class_names: manifest.classes.clone(),
        validation: train.select(&validation),
        train: train.select(&rest),
        test: read_pair(manifest, files, "t10k")?,
    })
}

/// Reads the images and labels whose file names start with `prefix`, and pads the images with zeros.
fn read_pair(manifest: &Manifest, files: &Files, prefix: &str) -> Result<Labelled, Error> {
    let images_name = format!("{prefix}-images-idx3-ubyte");
    let labels_name = format!("{prefix}-labels-idx1-ubyte");
    let images: Array3<u8> = read(files, &images_name)?;
    let labels: Array1<u8> = read(files, &labels_name)?;

    let (count, height, width) = images.dim();
    if (height, width) != (SIDE, SIDE) {
        return Err(Error::Format {
            path: files.path(&images_name)?.into(),
            offset: 8,
            reason: format!("images of {height} x {width}, expected {SIDE} x {SIDE}"),
        });
    }
    let classes = manifest.classes.len();
    if let Some(position) = labels.iter().position(|&label| usize::from(label) >= classes) {
        return Err(Error::Format {
            path: files.path(&labels_name)?.into(),
            offset: 8 + position,
            reason: format!("label {}, but there are only {classes} classes", labels[position]),
        });
    }

    let padded_side = SIDE + 2 * PADDING;
    let inside = PADDING..PADDING + SIDE;
    let mut padded = Array4::zeros((count, 1, padded_side, padded_side));
    padded.slice_mut(s![.., 0, inside.clone(), inside]).assign(&images);
    Labelled::new(padded, labels.iter().map(|&label| label.into()).collect())
}

/// Reads an IDX file with the number of dimensions of `D`.
fn read<D: Dimension>(files: &Files, name: &str) -> Result<ndarray::Array<u8, D>, Error> {
    let path = files.path(name)?;
    let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.into(), source })?;
    let format = |offset, reason| Error::Format { path: path.into(), offset, reason };
    let array = idx::parse(&bytes).map_err(|error| format(error.offset, error.reason))?;
    let shape = array.shape().to_vec();
    array.into_dimensionality().map_err(|error| format(3, format!("dimensions {shape:?}: {error}")))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Writes an IDX file and its entry in `files`.
    fn place(files: &mut Files, folder: &Path, name: &str, sizes: &[u32], data: &[u8]) {
        let mut bytes = vec![0, 0, 8, sizes.len() as u8];
        bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
        bytes.extend(data);
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        files.insert(name, path);
    }

    /// Makes three training images and one test image, each filled with its own number.
    fn toy(folder: &Path) -> (Manifest, Files) {
        let mut manifest = Manifest::parse(MNIST.manifest).unwrap();
        manifest.splits.validation = 1;
        let mut files = Files::default();
        let images: Vec<u8> = (1..=3).flat_map(|value| [value; SIDE * SIDE]).collect();
        place(&mut files, folder, "train-images-idx3-ubyte", &[3, 28, 28], &images);
        place(&mut files, folder, "train-labels-idx1-ubyte", &[3], &[5, 0, 9]);
        place(&mut files, folder, "t10k-images-idx3-ubyte", &[1, 28, 28], &[7; SIDE * SIDE]);
        place(&mut files, folder, "t10k-labels-idx1-ubyte", &[1], &[2]);
        (manifest, files)
    }

    #[test]
    fn images_are_padded_and_the_first_are_held_out() {
        let folder = tempfile::tempdir().unwrap();
        let (manifest, files) = toy(folder.path());
        let dataset = decode(&manifest, &files).unwrap();
        assert_eq!(dataset.validation.labels(), [5]);
        assert_eq!(dataset.train.labels(), [0, 9]);
        assert_eq!(dataset.test.labels(), [2]);

        assert_eq!(dataset.train.image_shape(), manifest.shape);
        let first = dataset.train.images().unwrap();
        for (y, x, expected) in [(0, 0, 0), (1, 16, 0), (16, 1, 0), (2, 2, 2), (29, 29, 2), (30, 16, 0), (16, 30, 0)] {
            assert_eq!(first[[0, 0, y, x]], expected, "pixel ({y}, {x})");
        }
    }

    #[test]
    fn files_that_contradict_the_format_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (manifest, good) = toy(folder.path());
        let images = "train-images-idx3-ubyte";
        let labels = "train-labels-idx1-ubyte";
        let (few, small) = ([0; 2 * SIDE * SIDE], [0; 3 * 27 * 28]);
        let cases: [(&str, &[u32], &[u8], &str); 5] = [
            (labels, &[3], &[5, 10, 9], "at byte 9: label 10, but there are only 10 classes"),
            (labels, &[3], &[5, 0], "at byte 8: dimensions [3] promise 3 bytes, the file holds 2"),
            (images, &[3, 27, 28], &small, "at byte 8: images of 27 x 28, expected 28 x 28"),
            (images, &[2, 28, 28], &few, "2 images but 3 labels"),
            (images, &[2, 784], &few, "at byte 3: dimensions [2, 784]"),
        ];
        for (name, sizes, data, expected) in cases {
            let mut files = good.clone();
            let altered = folder.path().join("altered");
            std::fs::create_dir_all(&altered).unwrap();
            place(&mut files, &altered, name, sizes, data);
            let error = decode(&manifest, &files).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
