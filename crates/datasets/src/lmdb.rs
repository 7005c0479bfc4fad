//! Reads LMDB files without the library: finds where the values of the main database lie.
//!
//! The library maps the file into memory and trusts it, so a damaged file can crash the process. This reader goes
//! page by page and checks everything it reads, because the files come from others.
//!
//! A page starts with its number, its flags and the offset at which its list of nodes ends; then come the offsets of
//! its nodes. The first two pages are copies of the header, and the one written last is valid. It holds the page
//! size, the root of the tree and the last page.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::Error;

const MAGIC: u32 = 0xbeef_c0de;
const VERSION: u32 = 1;
/// Bytes of a page before its node offsets.
const PAGE_HEADER: usize = 16;
/// Bytes read of a header page: the page's own header, then the file's.
const META: usize = PAGE_HEADER + 136;
const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const OVERFLOW: u16 = 0x04;
/// Marks a node whose value lies on pages of its own.
const BIG: u16 = 0x01;
/// The most levels of a tree that are followed; a sound tree this deep would hold more than any disk.
const DEEPEST: usize = 32;
/// The root of an empty tree.
const NO_PAGE: u64 = u64::MAX;

/// The location of a value in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) offset: u64,
    pub(crate) length: usize,
}

/// Finds the first `limit` values in key order.
///
/// # Errors
/// [`Error::Read`] when the file cannot be read, and [`Error::Format`] where it contradicts the format.
pub(crate) fn values(path: &Path, limit: usize) -> Result<Vec<Value>, Error> {
    let read_error = |source| Error::Read { path: path.into(), source };
    let file = File::open(path).map_err(read_error)?;
    let length = file.metadata().map_err(read_error)?.len();
    let mut reader = Reader { file, length, page_size: 0, visited: HashSet::new(), values: Vec::new(), limit };
    match reader.walk() {
        Ok(()) => Ok(reader.values),
        Err(Fault::Read(source)) => Err(read_error(source)),
        Err(Fault::Format(offset, reason)) => Err(Error::Format { path: path.into(), offset: offset as usize, reason }),
    }
}

enum Fault {
    Read(io::Error),
    /// The offset, and what was found there.
    Format(u64, String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::Read(error)
    }
}

struct Reader {
    file: File,
    length: u64,
    page_size: usize,
    /// The pages of the tree that were walked. Pages that share their children take time without end.
    visited: HashSet<u64>,
    values: Vec<Value>,
    limit: usize,
}

impl Reader {
    fn walk(&mut self) -> Result<(), Fault> {
        let first = self.header(0)?;
        self.page_size = first.page_size;
        let second = self.header(first.page_size as u64)?;
        let newest = if second.transaction > first.transaction { second } else { first };
        let end = newest.last_page.checked_add(1).and_then(|pages| pages.checked_mul(self.page_size as u64));
        if end.is_none_or(|end| end > self.length) {
            let reason = format!("its last page is number {}, the file has {} bytes", newest.last_page, self.length);
            return Err(Fault::Format(0, reason));
        }
        if newest.root == NO_PAGE { Ok(()) } else { self.page(newest.root, DEEPEST) }
    }

    /// Reads a header page.
    fn header(&mut self, offset: u64) -> Result<Header, Fault> {
        let page = self.read(offset, META)?;
        let fault = |reason: String| Err(Fault::Format(offset, reason));
        let (magic, version) = (u32_at(&page, 16), u32_at(&page, 20));
        if magic != MAGIC {
            return fault(format!("the magic number is {magic:#x}, expected {MAGIC:#x}: this is no LMDB file"));
        }
        if version != VERSION {
            return fault(format!("version {version} of the format, expected {VERSION}"));
        }
        let page_size = u32_at(&page, 40) as usize;
        if !page_size.is_power_of_two() || !(512..=65_536).contains(&page_size) {
            return fault(format!("pages of {page_size} bytes"));
        }
        Ok(Header {
            page_size,
            root: u64_at(&page, 128),
            last_page: u64_at(&page, 136),
            transaction: u64_at(&page, 144),
        })
    }

    /// Walks the tree below a page in key order.
    fn page(&mut self, number: u64, depth: usize) -> Result<(), Fault> {
        let offset = self.offset(number)?;
        let fault = |reason: String| Err(Fault::Format(offset, reason));
        if depth == 0 {
            return fault("the tree of pages is too deep".into());
        }
        if !self.visited.insert(number) {
            return fault(format!("page {number} is in the tree twice"));
        }
        let page = self.read(offset, self.page_size)?;
        let flags = u16_at(&page, 10);
        let nodes_end = usize::from(u16_at(&page, 12));
        if u64_at(&page, 0) != number || ![BRANCH, LEAF].contains(&flags) {
            return fault(format!(
                "expected page {number} of the tree, found page {}, flags {flags:#x}",
                u64_at(&page, 0)
            ));
        }
        if !(PAGE_HEADER..=self.page_size).contains(&nodes_end) {
            return fault(format!("the node offsets end at {nodes_end}"));
        }
        for place in (PAGE_HEADER..nodes_end).step_by(2) {
            if self.values.len() == self.limit {
                return Ok(());
            }
            let Some(node) = page.get(usize::from(u16_at(&page, place))..).filter(|node| node.len() >= 8) else {
                return fault("a node lies outside its page".into());
            };
            let (low, high) = (u64::from(u16_at(node, 0)), u64::from(u16_at(node, 2)));
            let (node_flags, key) = (u16_at(node, 4), usize::from(u16_at(node, 6)));
            let lower = low | high << 16;
            if flags == BRANCH {
                self.page(lower | u64::from(node_flags) << 32, depth - 1)?;
                continue;
            }
            let (length, data) = (lower as usize, 8 + key);
            let value = match node_flags {
                0 if node.len() >= data + length => {
                    let start = self.page_size - node.len() + data;
                    Value { offset: offset + start as u64, length }
                }
                BIG if node.len() >= data + 8 => self.overflow(u64_at(node, data), length)?,
                _ => return fault("a value runs past its page, or is not a plain one".into()),
            };
            self.values.push(value);
        }
        Ok(())
    }

    /// Locates a value on pages of its own, which start with their own header.
    fn overflow(&mut self, number: u64, length: usize) -> Result<Value, Fault> {
        let offset = self.offset(number)?;
        let header = self.read(offset, PAGE_HEADER)?;
        let end = offset + (PAGE_HEADER + length) as u64;
        if u64_at(&header, 0) != number || u16_at(&header, 10) != OVERFLOW || end > self.length {
            let reason = format!("expected page {number} with a value of {length} bytes");
            return Err(Fault::Format(offset, reason));
        }
        Ok(Value { offset: offset + PAGE_HEADER as u64, length })
    }

    fn offset(&self, number: u64) -> Result<u64, Fault> {
        let inside = |offset: &u64| *offset < self.length;
        number
            .checked_mul(self.page_size as u64)
            .filter(inside)
            .ok_or_else(|| Fault::Format(0, format!("page {number} lies past the end of the file")))
    }

    fn read(&mut self, offset: u64, length: usize) -> Result<Vec<u8>, Fault> {
        let mut bytes = vec![0; length];
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.read_exact(&mut bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Fault::Format(offset, "the file ends inside a page".into()),
            _ => Fault::Read(error),
        })?;
        Ok(bytes)
    }
}

struct Header {
    page_size: usize,
    root: u64,
    last_page: u64,
    transaction: u64,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

fn array<const SIZE: usize>(bytes: &[u8], at: usize) -> [u8; SIZE] {
    bytes[at..at + SIZE].try_into().expect("a range of this length")
}
