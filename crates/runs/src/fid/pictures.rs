//! Folders of pictures, each at its own size.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use image::ImageReader;
use ndarray::{Array3, Array4, Axis, stack};
use rayon::prelude::*;

/// Endings of the names that are taken for pictures.
const ENDINGS: [&str; 4] = ["png", "jpg", "jpeg", "webp"];

/// The pictures in a folder, by name. Other files, and what lies in folders inside it, are passed over.
pub fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut pictures = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("reading {}", folder.display()))?.path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
        if ENDINGS.contains(&ending.as_str()) && path.is_file() {
            pictures.push(path);
        }
    }
    ensure!(
        !pictures.is_empty(),
        "{} holds no pictures ({}); give a folder in which they lie directly",
        folder.display(),
        ENDINGS.join(", ")
    );
    pictures.sort();
    Ok(pictures)
}

/// The pictures as colour images (N, 3, H, W), which must have the size of `first`.
pub fn decode(paths: &[PathBuf], first: &Path) -> Result<Array4<u8>> {
    let images: Vec<_> = paths.par_iter().map(|path| decode_one(path)).collect();
    let images = images.into_iter().collect::<Result<Vec<_>>>()?;
    let expected = size_of(first)?;
    for (path, image) in paths.iter().zip(&images) {
        let (_, height, width) = image.dim();
        ensure!(
            (width as u32, height as u32) == expected,
            "images of mixed sizes: {} has {} x {} pixels, {} has {width} x {height}; bring them to one size first, for how \
             that is done is part of the result",
            first.display(),
            expected.0,
            expected.1,
            path.display()
        );
    }
    let views: Vec<_> = images.iter().map(|image| image.view()).collect();
    Ok(stack(Axis(0), &views).expect("images of one size"))
}

/// Width and height.
fn size_of(path: &Path) -> Result<(u32, u32)> {
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    let reader = reader.with_context(|| format!("reading {}", path.display()))?;
    reader.into_dimensions().with_context(|| unreadable(path))
}

fn decode_one(path: &Path) -> Result<Array3<u8>> {
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    let reader = reader.with_context(|| format!("reading {}", path.display()))?;
    // The reader refuses pictures that would take more than half a gigabyte.
    let picture = reader.decode().with_context(|| unreadable(path))?.into_rgb8();
    let (width, height) = picture.dimensions();
    let pixels = Array3::from_shape_vec((height as usize, width as usize, 3), picture.into_raw());
    Ok(pixels.expect("three bytes a pixel").permuted_axes([2, 0, 1]).as_standard_layout().into_owned())
}

fn unreadable(path: &Path) -> String {
    format!("{} is no picture that can be read; take it out of the folder or restore it from a copy", path.display())
}
