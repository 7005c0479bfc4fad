//! Folders of pictures, each at its own size.

use std::path::{Path, PathBuf};

use mergan_datasets::{Event, FetchOptions, PICTURE_KINDS, list_pictures, picture_size, read_picture};
use ndarray::{Array3, Array4, Axis, stack};
use rayon::prelude::*;

use super::{BATCH, Images, ImagesError};

/// The most bytes of pictures that are held at a time.
const MOST_BYTES: usize = 256 << 20;

/// Opens the pictures in a folder and its subfolders, by path, as colour images.
pub(super) fn open(folder: &Path, options: &FetchOptions<'_>) -> Result<Images, ImagesError> {
    let mut paths = list_pictures(folder, options)?;
    if options.images.skip_bad {
        paths = readable(paths, options)?;
    }
    let Some(first) = paths.first().cloned() else {
        let reason = format!("holds no pictures ({PICTURE_KINDS})");
        return Err(ImagesError::NoImages { path: folder.into(), reason });
    };
    let expected = picture_size(&first)?;
    let count = paths.len();
    let step = (MOST_BYTES / (3 * expected[0] * expected[1]).max(1)).clamp(1, BATCH);
    let batches = (0..count).step_by(step).map(move |start| {
        let batch = &paths[start..count.min(start + step)];
        // Only the headers are read until all pictures are known to have one size.
        batch.iter().try_for_each(|path| of_size(path, expected, &first))?;
        together(batch)
    });
    Ok(Images::new(count, batches))
}

/// Returns the pictures that can be decoded; the observer is told of the others.
fn readable(paths: Vec<PathBuf>, options: &FetchOptions<'_>) -> Result<Vec<PathBuf>, ImagesError> {
    let mut kept = Vec::new();
    for batch in paths.chunks(BATCH) {
        let read: Vec<_> = batch.par_iter().map(|path| read_picture(path).map(drop)).collect();
        for (path, read) in batch.iter().zip(read) {
            match read {
                Ok(()) => kept.push(path.clone()),
                Err(mergan_datasets::Error::Picture { picture, reason }) => {
                    (options.observer)(Event::Skipped { picture: &picture, reason: &reason });
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(kept)
}

/// Fails if a picture does not have the width and height of the `first` one.
fn of_size(path: &Path, expected: [usize; 2], first: &Path) -> Result<(), ImagesError> {
    let found = picture_size(path)?;
    match found == expected {
        true => Ok(()),
        false => Err(ImagesError::MixedSizes { first: first.into(), expected, path: path.into(), found }),
    }
}

/// Reads pictures of one size as images (N, 3, H, W).
fn together(paths: &[PathBuf]) -> Result<Array4<u8>, ImagesError> {
    let images: Vec<_> = paths.par_iter().map(|path| read_picture(path)).collect();
    let images = images.into_iter().collect::<Result<Vec<Array3<u8>>, _>>()?;
    let views: Vec<_> = images.iter().map(|image| image.view()).collect();
    Ok(stack(Axis(0), &views).expect("images of one size"))
}
