//! MAT files of version 5, as written by MATLAB before 7.3 and by `scipy.io.savemat`.
//!
//! A header of 128 bytes is followed by elements: a tag (type and length, four bytes each), then the data. A variable
//! is an element that holds other elements: flags, dimensions, a name and the values in column-major order. It may be
//! compressed with zlib. Only arrays of real numbers from a little-endian machine are read; other variables are
//! skipped.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::ZlibDecoder;

/// The size in bytes of the largest array that is read. The images of SVHN's largest file take less than a quarter of
/// it.
const MOST: u64 = 1 << 30;

const HEADER: usize = 128;
const NUMBERS: [u32; 10] = [1, 2, 3, 4, 5, 6, 7, 9, 12, 13];
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
const COMPLEX: u8 = 0x08;

/// An array of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct MatArray {
    /// The size along each axis.
    pub shape: Vec<usize>,
    /// The values; the first axis varies fastest.
    pub values: Values,
}

/// The values of an array.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Stored as unsigned bytes, whatever type the array was declared as.
    Bytes(Vec<u8>),
    /// Stored as any other number.
    Numbers(Vec<f64>),
}

/// Why bytes are not a MAT file of version 5.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {reason}")]
pub struct MatError {
    /// The offset in the file of the faulty element.
    pub offset: usize,
    /// The value that was found and the one that was expected.
    pub reason: String,
}

/// Reads all arrays of real numbers in a MAT file, by name.
///
/// # Errors
/// Returns [`MatError`] where the bytes contradict the format: a wrong header, lengths that run past the end, broken
/// compression, dimensions that do not fit the number of values. No input makes it panic, and memory is reserved only
/// as values arrive.
pub fn parse(file: impl Read) -> Result<BTreeMap<String, MatArray>, MatError> {
    let mut file = Counted { inner: BufReader::new(file), offset: 0 };
    header(&mut file).map_err(|fault| MatError { offset: 0, reason: fault.0 })?;
    let mut arrays = BTreeMap::new();
    loop {
        let offset = file.offset;
        match variable(&mut file) {
            Ok(Next::Array(name, array)) => drop(arrays.insert(name, array)),
            Ok(Next::Other) => {}
            Ok(Next::End) => return Ok(arrays),
            Err(Fault(reason)) => return Err(MatError { offset, reason }),
        }
    }
}

enum Next {
    Array(String, MatArray),
    Other,
    End,
}

struct Fault(String);

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Fault("the file ends inside this element".into()),
            _ => Fault(error.to_string()),
        }
    }
}

fn header(file: &mut impl Read) -> Result<(), Fault> {
    let mut header = [0; HEADER];
    file.read_exact(&mut header).map_err(|_| Fault(format!("the file ends inside its header of {HEADER} bytes")))?;
    match (&header[124..126], &header[126..]) {
        ([0x00, 0x01], b"IM") => Ok(()),
        ([0x01, 0x00], b"MI") => Err(Fault("written on a big-endian machine; save it again on a usual one".into())),
        ([0x00, 0x02], b"IM") => Err(Fault("a MAT file of version 7.3 (HDF5); save it as version 5 (-v7)".into())),
        _ => Err(Fault("no MAT file of version 5".into())),
    }
}

/// Reads the next variable, compressed or not.
fn variable(file: &mut Counted<impl BufRead>) -> Result<Next, Fault> {
    let Some(tag) = Tag::read(file)? else { return Ok(Next::End) };
    let mut element = file.take(u64::from(tag.length));
    let next = match tag.kind {
        MATRIX => matrix(&mut element)?,
        COMPRESSED => {
            let mut inner = ZlibDecoder::new(&mut element);
            let next = match Tag::read(&mut inner)? {
                Some(Tag { kind: MATRIX, length, .. }) => matrix(&mut (&mut inner).take(u64::from(length)))?,
                _ => Next::Other,
            };
            // The checksum follows the last byte, so a flipped bit is noticed only when the stream is read to its
            // end.
            require_end(&mut inner, "more data than its variable takes")?;
            next
        }
        _ => Next::Other,
    };
    io::copy(&mut element, &mut io::sink())?;
    if element.limit() > 0 { Err(Fault("the file ends inside this element".into())) } else { Ok(next) }
}

/// Reads the parts of a variable, if it is an array of real numbers.
fn matrix(element: &mut io::Take<impl Read>) -> Result<Next, Fault> {
    let flags = part(element, "its flags", &[6])?.1;
    let [class, flags, ..] = flags[..] else { return Err(Fault("flags of less than two bytes".into())) };
    let numeric = (6..=15).contains(&class) && flags & COMPLEX == 0;
    if !numeric {
        io::copy(element, &mut io::sink())?;
        return Ok(Next::Other);
    }
    let sizes = part(element, "its dimensions", &[5])?.1;
    let shape: Option<Vec<usize>> =
        sizes.as_chunks::<4>().0.iter().map(|size| usize::try_from(i32::from_le_bytes(*size)).ok()).collect();
    let shape = shape.ok_or_else(|| Fault("a negative dimension".into()))?;
    let name = String::from_utf8_lossy(&part(element, "its name", &[1])?.1).into_owned();

    let (kind, bytes) = part(element, "its values", &NUMBERS)?;
    let values = decode(kind, bytes);
    let (count, product) = (values.len(), shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size)));
    if product != Some(count) {
        return Err(Fault(format!("`{name}` has dimensions {shape:?}, but {count} values")));
    }
    require_end(element, "more data than its dimensions take")?;
    Ok(Next::Array(name, MatArray { shape, values }))
}

fn require_end(rest: &mut impl Read, complaint: &str) -> Result<(), Fault> {
    match rest.read(&mut [0])? {
        0 => Ok(()),
        _ => Err(Fault(complaint.into())),
    }
}

/// Reads one part of a variable, which must have one of these types; returns its type and data.
fn part(element: &mut io::Take<impl Read>, what: &str, kinds: &[u32]) -> Result<(u32, Vec<u8>), Fault> {
    let tag = Tag::read(element)?.ok_or_else(|| Fault(format!("it ends before {what}")))?;
    if !kinds.contains(&tag.kind) {
        return Err(Fault(format!("{what} are of type {}, expected one of {kinds:?}", tag.kind)));
    }
    if let Some(data) = tag.small {
        return Ok((tag.kind, data[..tag.length as usize].to_vec()));
    }
    let length = u64::from(tag.length);
    if length > MOST.min(element.limit()) {
        return Err(Fault(format!("{what} take {length} bytes, more than the variable or {MOST}")));
    }
    let mut data = Vec::new();
    element.take(length).read_to_end(&mut data)?;
    if data.len() as u64 != length {
        return Err(Fault(format!("it ends inside {what}")));
    }
    // Parts start at multiples of eight bytes; the last one may lack the padding.
    io::copy(&mut element.take(length.next_multiple_of(8) - length), &mut io::sink())?;
    Ok((tag.kind, data))
}

fn decode(kind: u32, bytes: Vec<u8>) -> Values {
    fn numbers<const SIZE: usize>(bytes: &[u8], number: impl Fn([u8; SIZE]) -> f64) -> Values {
        Values::Numbers(bytes.as_chunks().0.iter().map(|chunk| number(*chunk)).collect())
    }
    match kind {
        1 => numbers(&bytes, |b: [u8; 1]| i8::from_le_bytes(b).into()),
        2 => Values::Bytes(bytes),
        3 => numbers(&bytes, |b| i16::from_le_bytes(b).into()),
        4 => numbers(&bytes, |b| u16::from_le_bytes(b).into()),
        5 => numbers(&bytes, |b| i32::from_le_bytes(b).into()),
        6 => numbers(&bytes, |b| u32::from_le_bytes(b).into()),
        7 => numbers(&bytes, |b| f32::from_le_bytes(b).into()),
        9 => numbers(&bytes, f64::from_le_bytes),
        12 => numbers(&bytes, |b| i64::from_le_bytes(b) as f64),
        _ => numbers(&bytes, |b| u64::from_le_bytes(b) as f64),
    }
}

impl Values {
    /// Returns the number of values.
    pub fn len(&self) -> usize {
        match self {
            Values::Bytes(values) => values.len(),
            Values::Numbers(values) => values.len(),
        }
    }

    /// Returns whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The tag before the data of an element.
struct Tag {
    kind: u32,
    length: u32,
    /// Up to four bytes of data fit in the tag itself.
    small: Option<[u8; 4]>,
}

impl Tag {
    /// Reads a tag; returns `None` at the end of the data.
    fn read(from: &mut impl Read) -> Result<Option<Self>, Fault> {
        let mut bytes = Vec::with_capacity(8);
        from.take(8).read_to_end(&mut bytes)?;
        let ([first, second], []) = bytes.as_chunks::<4>() else {
            return if bytes.is_empty() { Ok(None) } else { Err(Fault("the file ends inside a tag".into())) };
        };
        let word = u32::from_le_bytes(*first);
        Ok(Some(match word >> 16 {
            0 => Tag { kind: word, length: u32::from_le_bytes(*second), small: None },
            length @ 1..=4 => Tag { kind: word & 0xffff, length, small: Some(*second) },
            length => return Err(Fault(format!("a tag promises {length} bytes in the place of four"))),
        }))
    }
}

/// A reader that counts the bytes it has read.
struct Counted<R> {
    inner: R,
    offset: usize,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.offset += count;
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.offset += amount;
        self.inner.consume(amount);
    }
}
