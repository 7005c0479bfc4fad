//! Folders of pictures, each at its own size.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use mergan_datasets::{PICTURE_ENDINGS, is_picture, read_picture};
use ndarray::{Array3, Array4, Axis, stack};
use rayon::prelude::*;

use super::{BATCH, Images, ImagesError};

/// Opens the pictures in a folder, by name, as colour images. Other files and subfolders are skipped.
pub(super) fn open(folder: &Path) -> Result<Images, ImagesError> {
    let entries = fs::read_dir(folder).map_err(ImagesError::reading(folder))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(ImagesError::reading(folder))?.path();
        if is_picture(&path) {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        let reason =
            format!("holds no pictures ({}); give a folder in which they lie directly", PICTURE_ENDINGS.join(", "));
        return Err(ImagesError::NoImages { path: folder.into(), reason });
    }
    paths.sort();
    let count = paths.len();
    let mut first_size = None;
    let batches = (0..count).step_by(BATCH).map(move |start| {
        let batch = &paths[start..count.min(start + BATCH)];
        let images: Vec<_> = batch.par_iter().map(|path| decode(path)).collect();
        let images = images.into_iter().collect::<Result<Vec<_>, _>>()?;
        let expected = *first_size.get_or_insert_with(|| size(&images[0]));
        together(batch, &images, &paths[0], expected)
    });
    Ok(Images::new(count, batches))
}

/// Stacks the pictures as images (N, 3, H, W), which must have the width and height of `first`.
fn together(
    paths: &[PathBuf],
    images: &[Array3<u8>],
    first: &Path,
    expected: [usize; 2],
) -> Result<Array4<u8>, ImagesError> {
    for (path, image) in paths.iter().zip(images) {
        let found = size(image);
        if found != expected {
            return Err(ImagesError::MixedSizes { first: first.into(), expected, path: path.clone(), found });
        }
    }
    let views: Vec<_> = images.iter().map(|image| image.view()).collect();
    Ok(stack(Axis(0), &views).expect("images of one size"))
}

/// Returns the width and height.
fn size(image: &Array3<u8>) -> [usize; 2] {
    let (_, height, width) = image.dim();
    [width, height]
}

fn decode(path: &Path) -> Result<Array3<u8>, ImagesError> {
    read_picture(path).map_err(|source| match source.kind() {
        ErrorKind::InvalidData => ImagesError::Picture { path: path.into(), source },
        _ => ImagesError::reading(path)(source),
    })
}
