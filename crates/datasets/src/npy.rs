//! NumPy's format for a single array (`.npy`): images that `mergan sample` writes, features and their statistics.
//!
//! Elements are integers or floats, little-endian. Memory is reserved only as elements arrive, because a header
//! may promise anything.

use std::io::{ErrorKind, Read};

use ndarray::{Array4, ArrayD, IxDyn, ShapeBuilder};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// The longest header that is accepted; NumPy's own is 118 bytes long.
const HEADER: usize = 1 << 16;

/// Why bytes are not an array that can be read here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NpyError(pub(crate) String);

/// The type of an array's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// `|u1`.
    U8,
    /// `<f4`.
    F32,
    /// `<f8`.
    F64,
    /// `|i1`.
    I8,
    /// `<i2`.
    I16,
    /// `<i4`.
    I32,
    /// `<i8`.
    I64,
    /// `<u2`.
    U16,
    /// `<u4`.
    U32,
    /// `<u8`.
    U64,
}

impl Element {
    const DESCRIPTIONS: [(&'static str, Element); 10] = [
        ("|u1", Element::U8),
        ("<f4", Element::F32),
        ("<f8", Element::F64),
        ("|i1", Element::I8),
        ("<i2", Element::I16),
        ("<i4", Element::I32),
        ("<i8", Element::I64),
        ("<u2", Element::U16),
        ("<u4", Element::U32),
        ("<u8", Element::U64),
    ];

    /// Returns the size of an element in bytes.
    pub fn size(self) -> usize {
        match self {
            Element::U8 | Element::I8 => 1,
            Element::I16 | Element::U16 => 2,
            Element::F32 | Element::I32 | Element::U32 => 4,
            Element::F64 | Element::I64 | Element::U64 => 8,
        }
    }

    fn description(self) -> &'static str {
        let (description, _) = Self::DESCRIPTIONS[self as usize];
        description
    }
}

/// How an array holds images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The number of images.
    pub count: usize,
    /// The lengths of an image's axes, as they are stored.
    image: [usize; 3],
    channels_last: bool,
}

impl Layout {
    /// Returns the channels, height and width of an image.
    pub fn shape(&self) -> [usize; 3] {
        let [a, b, c] = self.image;
        if self.channels_last { [c, a, b] } else { [a, b, c] }
    }
}

/// An array whose header has been read and whose elements are read from `R`.
#[derive(Debug)]
pub struct Npy<R> {
    reader: R,
    element: Element,
    shape: Vec<usize>,
    /// Whether the first axis varies fastest.
    fortran: bool,
}

impl<R: Read> Npy<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When there is no valid header, or it promises elements of another kind or more of them than memory can hold.
    pub fn open(mut reader: R) -> Result<Self, NpyError> {
        let [magic @ .., major, _minor] = take::<8>(&mut reader)?;
        if magic != *MAGIC {
            return Err(NpyError("it does not begin as a NumPy file".into()));
        }
        let len = match major {
            1 => u16::from_le_bytes(take(&mut reader)?).into(),
            2 | 3 => u32::from_le_bytes(take(&mut reader)?) as usize,
            _ => return Err(NpyError(format!("NumPy format {major}, expected 1 to 3"))),
        };
        if len > HEADER {
            return Err(NpyError(format!("a header of {len} bytes")));
        }
        let header = read_up_to(&mut reader, len)?;
        let header = str::from_utf8(&header).ok().filter(|header| header.len() == len);
        let header = header.ok_or_else(|| NpyError("the header is cut off or no text".into()))?;
        let npy = Self::parse(header, reader).ok_or_else(|| {
            NpyError(format!(
                "the header {:?} is not of a C or Fortran array of little-endian numbers",
                header.trim_end()
            ))
        })?;
        // Axes of no length do not make the others small: ndarray panics on a shape such as [0, huge]. Elements may be
        // read as f64.
        let bytes = npy.shape.iter().try_fold(size_of::<f64>(), |bytes, &length| bytes.checked_mul(length.max(1)));
        bytes
            .filter(|&bytes| isize::try_from(bytes).is_ok())
            .ok_or_else(|| NpyError(format!("the shape {:?} promises more bytes than memory can hold", npy.shape)))?;
        Ok(npy)
    }

    /// Parses a header such as `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }`.
    fn parse(header: &str, reader: R) -> Option<Self> {
        let inside = header.trim_end().strip_prefix('{')?.strip_suffix('}')?;
        let value = |key: &str| {
            let (_, rest) = inside.split_once(&format!("'{key}'"))?;
            Some(rest.trim_start().strip_prefix(':')?.trim_start())
        };
        let (description, _) = value("descr")?.strip_prefix('\'')?.split_once('\'')?;
        let (_, element) = *Element::DESCRIPTIONS.iter().find(|known| known.0 == description)?;
        let order = value("fortran_order")?;
        let fortran = order.starts_with("True");
        if !fortran && !order.starts_with("False") {
            return None;
        }
        let (lengths, _) = value("shape")?.strip_prefix('(')?.split_once(')')?;
        let lengths = lengths.split(',').map(str::trim).filter(|length| !length.is_empty());
        let shape = lengths.map(|length| length.parse().ok()).collect::<Option<_>>()?;
        Some(Npy { reader, element, shape, fortran })
    }

    /// Returns the lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the type of the elements.
    pub fn element(&self) -> Element {
        self.element
    }

    /// Returns whether elements come in the order of the axes, the last varying fastest.
    pub fn is_row_major(&self) -> bool {
        !self.fortran || self.shape.len() < 2
    }

    /// Returns how the array holds images of bytes: N x H x W x C, N x C x H x W, or N x H x W for grey ones.
    ///
    /// # Errors
    /// When it holds no images; the error completes a sentence that starts with the file's name.
    pub fn images(&self) -> Result<Layout, NpyError> {
        let (count, image, channels_last) = match *self.shape() {
            [n, c @ (1 | 3), h, w] => (n, [c, h, w], false),
            [n, h, w, c @ (1 | 3)] => (n, [h, w, c], true),
            [n, h, w] => (n, [1, h, w], false),
            ref shape => {
                return Err(NpyError(format!(
                    "has the axes {shape:?}; images are N x H x W x C or N x C x H x W with 1 or 3 channels"
                )));
            }
        };
        if self.element != Element::U8 || !self.is_row_major() {
            return Err(NpyError("holds no bytes in row-major order; images are uint8, from 0 to 255".into()));
        }
        if image.iter().any(|length| !(1..1 << 16).contains(length)) {
            return Err(NpyError(format!("has images of {image:?}")));
        }
        Ok(Layout { count, image, channels_last })
    }

    /// Reads the next `count` images, N x C x H x W.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn read_images(&mut self, layout: Layout, count: usize) -> Result<Array4<u8>, NpyError> {
        let Layout { image: [a, b, c], channels_last, .. } = layout;
        let images = Array4::from_shape_vec((count, a, b, c), self.bytes(count * a * b * c)?);
        let images = images.expect("as many bytes as asked for");
        Ok(if channels_last { images.permuted_axes([0, 3, 1, 2]).as_standard_layout().into_owned() } else { images })
    }

    /// Reads the next `count` elements, as bytes.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn bytes(&mut self, count: usize) -> Result<Vec<u8>, NpyError> {
        let len = count.checked_mul(self.element.size()).ok_or_else(|| NpyError(format!("{count} elements")))?;
        let bytes = read_up_to(&mut self.reader, len)?;
        if bytes.len() < len {
            return Err(NpyError(format!(
                "the shape {:?} promises more elements than there are: the file is cut off",
                self.shape
            )));
        }
        Ok(bytes)
    }

    /// Hides the type of the reader.
    pub fn boxed(self) -> Npy<Box<dyn Read>>
    where
        R: 'static,
    {
        let Npy { reader, element, shape, fortran } = self;
        Npy { reader: Box::new(reader), element, shape, fortran }
    }

    /// Reads the whole array as `f64`.
    ///
    /// # Errors
    /// When elements are missing.
    pub fn numbers(mut self) -> Result<ArrayD<f64>, NpyError> {
        let bytes = self.bytes(self.shape.iter().product())?;
        /// Makes a number of each `N` bytes.
        fn each<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
            bytes.as_chunks().0.iter().map(|&bytes| number(bytes)).collect()
        }
        let numbers = match self.element {
            Element::U8 => bytes.into_iter().map(f64::from).collect(),
            Element::F32 => each(&bytes, |number| f32::from_le_bytes(number).into()),
            Element::F64 => each(&bytes, f64::from_le_bytes),
            Element::I8 => each(&bytes, |number| i8::from_le_bytes(number).into()),
            Element::I16 => each(&bytes, |number| i16::from_le_bytes(number).into()),
            Element::I32 => each(&bytes, |number| i32::from_le_bytes(number).into()),
            // Integers beyond 2^53 are rounded.
            Element::I64 => each(&bytes, |number| i64::from_le_bytes(number) as f64),
            Element::U16 => each(&bytes, |number| u16::from_le_bytes(number).into()),
            Element::U32 => each(&bytes, |number| u32::from_le_bytes(number).into()),
            Element::U64 => each(&bytes, |number| u64::from_le_bytes(number) as f64),
        };
        let array = ArrayD::from_shape_vec(IxDyn(&self.shape).set_f(self.fortran), numbers);
        array.map_err(|error| NpyError(format!("the shape {:?}: {error}", self.shape)))
    }
}

/// Returns the header of an array in row-major order, format 1.0; its elements follow it.
pub fn header(element: Element, shape: &[usize]) -> Vec<u8> {
    let lengths: String = shape.iter().map(|length| format!("{length}, ")).collect();
    // A one-element tuple needs its comma; longer ones look better without a trailing one.
    let lengths = if shape.len() == 1 { lengths.trim_end() } else { lengths.trim_end_matches(", ") };
    let description = element.description();
    let mut text = format!("{{'descr': '{description}', 'fortran_order': False, 'shape': ({lengths}), }}");
    // The magic string, version, length and header together fill a multiple of 64 bytes, the last of which ends the
    // line.
    let start = MAGIC.len() + 2 + size_of::<u16>();
    let length = (start + text.len() + 1).next_multiple_of(64) - start;
    text += &" ".repeat(length - text.len() - 1);
    let mut bytes = [MAGIC.as_slice(), &[1, 0], &(length as u16).to_le_bytes(), text.as_bytes()].concat();
    bytes.push(b'\n');
    bytes
}

fn take<const N: usize>(reader: &mut impl Read) -> Result<[u8; N], NpyError> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => NpyError("it ends inside the header".into()),
        _ => unreadable(error),
    })?;
    Ok(bytes)
}

/// Reads at most `len` bytes; memory grows as they arrive.
fn read_up_to(reader: &mut impl Read, len: usize) -> Result<Vec<u8>, NpyError> {
    let mut bytes = Vec::new();
    reader.by_ref().take(len as u64).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

fn unreadable(error: std::io::Error) -> NpyError {
    NpyError(format!("it cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [b"\x93NUMPY\x01\x00".as_slice(), &(header.len() as u16).to_le_bytes(), header.as_bytes(), data].concat()
    }

    #[test]
    fn what_is_written_is_read() {
        for shape in [vec![], vec![3], vec![2, 3], vec![2, 1, 4, 5]] {
            let numbers: Vec<f64> = (0..shape.iter().product()).map(|i| 0.5 * i as f64 - 1.0).collect();
            let mut bytes = header(Element::F64, &shape);
            assert_eq!(bytes.len() % 64, 0);
            bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
            let npy = Npy::open(bytes.as_slice()).unwrap();
            assert_eq!((npy.shape(), npy.element()), (shape.as_slice(), Element::F64));
            let read = npy.numbers().unwrap();
            assert_eq!((read.shape(), read.iter().copied().collect::<Vec<_>>()), (shape.as_slice(), numbers));
        }
    }

    #[test]
    fn fortran_arrays_are_turned() {
        let header = "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }\n";
        let npy = Npy::open(file(header, &[1, 4, 2, 5, 3, 6]).as_slice()).unwrap().numbers().unwrap();
        assert_eq!(npy, ndarray::array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]].into_dyn());
    }

    #[test]
    fn a_bad_file_says_what_is_wrong() {
        let header = |description: &str, shape: &str| {
            format!("{{'descr': '{description}', 'fortran_order': False, 'shape': {shape}, }}\n")
        };
        let huge = "(4294967296, 4294967296, 4294967296)";
        for (bytes, expected) in [
            (b"\x93NUM".to_vec(), "ends inside the header"),
            (b"PK\x03\x04 something".to_vec(), "does not begin as a NumPy file"),
            (file(&header("<U5", "(1,)"), &[0; 20]), "is not of a C or Fortran array"),
            (file(&header("<f8", "(-1,)"), &[0; 8]), "is not of a C or Fortran array"),
            (file(&header("<f8", huge), &[0; 8]), "more bytes than memory can hold"),
            (file(&header("|u1", "(1000000000000,)"), &[0; 8]), "promises more elements than there are"),
            (file(&header("|u1", "(0, 9223372036854775807, 9223372036854775807)"), &[]), "the shape [0, 92233"),
            (file(&header("|u1", "(0, 9223372036854775807)"), &[]), "the shape [0, 92233"),
            (file(&header("<f8", "(1152921504606846976, 0)"), &[]), "more bytes than memory can hold"),
        ] {
            let error = Npy::open(bytes.as_slice()).and_then(Npy::numbers).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            damage in prop::collection::vec((0usize..90, any::<u8>()), 0..6),
            len in 0usize..100,
        ) {
            let mut bytes = header(Element::F32, &[2, 2]);
            bytes.extend([0; 16]);
            for (place, byte) in damage {
                bytes[place] = byte;
            }
            bytes.truncate(bytes.len().min(40 + len));
            if let Ok(npy) = Npy::open(bytes.as_slice()) {
                let _ = npy.numbers();
            }
        }
    }
}
