//! NumPy's array files, from which latents are read and to which images are written.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use mergan_datasets::npy::{Element, Npy, header};
use mergan_record::write_whole;
use ndarray::{Array2, ArrayView4, Ix2};

use crate::error::{At, Error};

/// A number type in which images can be written.
pub trait Number: Copy {
    /// The name of the type in NumPy's header.
    const ELEMENT: Element;
    /// Writes its bytes, the lowest first.
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

/// Writes images, N x C x H x W. The file never appears incomplete.
pub fn write<T: Number>(path: &Path, images: ArrayView4<T>) -> Result<(), Error> {
    let mut file = header(T::ELEMENT, images.shape());
    images.iter().for_each(|number| number.write(&mut file));
    write_whole(path, &file).at("writing", path)
}

/// Reads a matrix of f32 or f64 numbers, one row per sample.
pub fn read_matrix(path: &Path) -> Result<Array2<f64>, Error> {
    let file = File::open(path).at("reading", path)?;
    let reason =
        format!("{} is no matrix of f32 or f64 numbers; write one with numpy.save(FILE, numbers)", path.display());
    let numbers = Npy::open(BufReader::new(file)).and_then(Npy::numbers);
    let numbers = numbers.map_err(|error| Error::file_for(path, reason.clone(), error))?;
    numbers.into_dimensionality::<Ix2>().map_err(|error| Error::file_for(path, reason, error))
}
