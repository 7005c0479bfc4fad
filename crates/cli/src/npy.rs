//! NumPy's array files: latents are read from them, images are written to them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use mergan_models::write_whole;
use ndarray::{Array2, ArrayView4};

const MAGIC: &[u8] = b"\x93NUMPY";

/// A type of numbers that images are written as.
pub trait Number: Copy {
    /// Its name in NumPy's header.
    const DESCR: &'static str;
    /// Its bytes, the lowest first.
    fn write(self, to: &mut Vec<u8>);
}

impl Number for u8 {
    const DESCR: &'static str = "|u1";
    fn write(self, to: &mut Vec<u8>) {
        to.push(self);
    }
}

impl Number for f32 {
    const DESCR: &'static str = "<f4";
    fn write(self, to: &mut Vec<u8>) {
        to.extend(self.to_le_bytes());
    }
}

/// Writes images, N x C x H x W, in format version 1.0; whole or not at all.
pub fn write<T: Number>(path: &Path, images: ArrayView4<T>) -> Result<()> {
    write_whole(path, &encode(images)).with_context(|| format!("writing {}", path.display()))
}

/// Reads a matrix of f32 or f64 numbers, row by row, as f32.
pub fn read_matrix(path: &Path) -> Result<Array2<f32>> {
    let file = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    decode(&file).with_context(|| {
        format!("{} is no matrix of f32 or f64 numbers; write it with numpy.save(FILE, latents)", path.display())
    })
}

fn encode<T: Number>(images: ArrayView4<T>) -> Vec<u8> {
    let (n, c, h, w) = images.dim();
    let descr = T::DESCR;
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({n}, {c}, {h}, {w}), }}");
    // Magic string, version, length and header fill a multiple of 64 bytes, the last of which ends the line.
    let start = MAGIC.len() + 2 + size_of::<u16>();
    let length = (start + header.len() + 1).next_multiple_of(64) - start;
    header += &" ".repeat(length - header.len() - 1);
    let mut file = MAGIC.to_vec();
    file.extend([1, 0]);
    file.extend((length as u16).to_le_bytes());
    file.extend(header.bytes());
    file.push(b'\n');
    images.iter().for_each(|number| number.write(&mut file));
    file
}

fn decode(file: &[u8]) -> Result<Array2<f32>> {
    let cut = || anyhow!("the file is cut off");
    let rest = file.strip_prefix(MAGIC).context("it is no NumPy file")?;
    let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
    let (length, rest) = match version {
        [1, _] => rest.split_first_chunk().map(|(length, rest)| (usize::from(u16::from_le_bytes(*length)), rest)),
        _ => rest.split_first_chunk().map(|(length, rest)| (u32::from_le_bytes(*length) as usize, rest)),
    }
    .ok_or_else(cut)?;
    let (header, data) = rest.split_at_checked(length).ok_or_else(cut)?;
    let header = std::str::from_utf8(header).context("its header is no text")?;
    ensure!(field(header, "fortran_order")?.starts_with("False"), "its numbers are not in the order of rows");
    let shape = field(header, "shape")?;
    let (shape, _) = shape.strip_prefix('(').and_then(|shape| shape.split_once(')')).context("it has no shape")?;
    let axes: Vec<usize> = shape
        .split(',')
        .map(str::trim)
        .filter(|axis| !axis.is_empty())
        .map(|axis| axis.parse().with_context(|| format!("`{axis}` is no length of an axis")))
        .collect::<Result<_>>()?;
    let &[rows, columns] = axes.as_slice() else { return Err(anyhow!("it has {} axes, not 2", axes.len())) };

    let numbers: Vec<f32> = match field(header, "descr")? {
        descr if descr.starts_with("'<f4'") => numbers(data, f32::from_le_bytes)?,
        descr if descr.starts_with("'<f8'") => numbers(data, |bytes| f64::from_le_bytes(bytes) as f32)?,
        descr => return Err(anyhow!("its numbers are {}", descr.split(',').next().unwrap_or(descr))),
    };
    let found = numbers.len();
    let expected = rows.checked_mul(columns).filter(|&expected| expected == found);
    expected.with_context(|| format!("it holds {found} numbers, not {rows} x {columns}"))?;
    Ok(Array2::from_shape_vec((rows, columns), numbers)?)
}

/// What follows the name of a field in the header, which is a Python dictionary of three known entries.
fn field<'h>(header: &'h str, name: &str) -> Result<&'h str> {
    let (_, value) = header.split_once(&format!("'{name}':")).with_context(|| format!("its header has no {name}"))?;
    Ok(value.trim_start())
}

fn numbers<const SIZE: usize>(data: &[u8], decode: impl Fn([u8; SIZE]) -> f32) -> Result<Vec<f32>> {
    let (whole, rest) = data.as_chunks();
    ensure!(rest.is_empty(), "its last number is cut off");
    Ok(whole.iter().map(|bytes| decode(*bytes)).collect())
}

#[cfg(test)]
mod tests {
    use ndarray::{Array4, array};
    use proptest::prelude::*;

    use super::*;

    /// A file as NumPy writes it: version, header and numbers.
    fn file(version: u8, descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let length = header.len() as u32;
        let length = &length.to_le_bytes()[..if version == 1 { 2 } else { 4 }];
        [MAGIC, &[version, 0], length, header.as_bytes(), data].concat()
    }

    #[test]
    fn both_versions_and_precisions_are_read() {
        let single: Vec<u8> = [1.0_f32, -2.0].iter().flat_map(|number| number.to_le_bytes()).collect();
        let double: Vec<u8> = [1.0_f64, -2.0].iter().flat_map(|number| number.to_le_bytes()).collect();
        for version in [1, 2] {
            assert_eq!(decode(&file(version, "<f4", "False", "(1, 2)", &single)).unwrap(), array![[1.0, -2.0]]);
            assert_eq!(decode(&file(version, "<f8", "False", "(2, 1)", &double)).unwrap(), array![[1.0], [-2.0]]);
        }
        let message = |descr, order, shape| decode(&file(1, descr, order, shape, &single)).unwrap_err().to_string();
        assert_eq!(message("<i4", "False", "(1, 2)"), "its numbers are '<i4'");
        assert_eq!(message("<f4", "True", "(1, 2)"), "its numbers are not in the order of rows");
        assert_eq!(message("<f4", "False", "(2,)"), "it has 1 axes, not 2");
        assert_eq!(message("<f4", "False", "(2, 2)"), "it holds 2 numbers, not 2 x 2");
        assert_eq!(
            message("<f4", "False", "(9223372036854775808, 2)"),
            "it holds 2 numbers, not 9223372036854775808 x 2"
        );
    }

    #[test]
    fn images_have_an_aligned_header_and_their_bytes() {
        let images = Array4::from_shape_fn((2, 1, 1, 3), |(n, _, _, x)| (3 * n + x) as u8);
        let file = encode(images.view());
        let length = usize::from(u16::from_le_bytes([file[8], file[9]]));
        assert!((10 + length).is_multiple_of(64) && file[10 + length - 1] == b'\n');
        assert_eq!(file[10 + length..], [0, 1, 2, 3, 4, 5]);
        let floats = encode(images.mapv(f32::from).view());
        assert_eq!(floats.len() - 128, 4 * 6);
    }

    proptest! {
        #[test]
        fn no_file_panics(tail in proptest::collection::vec(any::<u8>(), 0..64), shape in ".{0,24}", cut in 0usize..140) {
            let mut file = file(1, "<f4", "False", &shape, &tail);
            let _ = decode(&file);
            file.truncate(cut);
            let _ = decode(&file);
            let _ = decode(&[MAGIC, &tail].concat());
        }
    }
}
