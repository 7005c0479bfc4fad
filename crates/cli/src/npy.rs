//! NumPy's array files: latents are read from them, images are written to them.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, Result};
use mergan_datasets::npy::{Element, Npy, header};
use mergan_models::write_whole;
use ndarray::{Array2, ArrayView4, Ix2};

/// A type of numbers that images are written as.
pub trait Number: Copy {
    /// Its name in NumPy's header.
    const ELEMENT: Element;
    /// Its bytes, the lowest first.
    fn write(self, to: &mut Vec<u8>);
}

impl Number for u8 {
    const ELEMENT: Element = Element::U8;
    fn write(self, to: &mut Vec<u8>) {
        to.push(self);
    }
}

impl Number for f32 {
    const ELEMENT: Element = Element::F32;
    fn write(self, to: &mut Vec<u8>) {
        to.extend(self.to_le_bytes());
    }
}

/// Writes images, N x C x H x W, whole or not at all.
pub fn write<T: Number>(path: &Path, images: ArrayView4<T>) -> Result<()> {
    let mut file = header(T::ELEMENT, images.shape());
    images.iter().for_each(|number| number.write(&mut file));
    write_whole(path, &file).with_context(|| format!("writing {}", path.display()))
}

/// Reads a matrix of f32 or f64 numbers, one row a sample.
pub fn read_matrix(path: &Path) -> Result<Array2<f64>> {
    let file = File::open(path).with_context(|| format!("reading {}", path.display()))?;
    let no_matrix =
        || format!("{} is no matrix of f32 or f64 numbers; write one with numpy.save(FILE, numbers)", path.display());
    let numbers = Npy::open(BufReader::new(file)).and_then(Npy::numbers).with_context(no_matrix)?;
    numbers.into_dimensionality::<Ix2>().with_context(no_matrix)
}
