//! The memory of an emulated device: buffers with gaps between them, and what the checkers remember of them.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr;

use crate::shadow::{WORD, Word};

/// The alignment of buffers in bytes, the same as the driver's.
const ALIGNMENT: usize = 256;
/// The unused bytes before and after a buffer.
const GUARD: usize = 1024;
/// The value of every byte before it is written. Four of them make a NaN.
pub const POISON: u8 = 0xff;

/// A buffer of device memory.
struct Buffer {
    address: usize,
    len: usize,
    /// One entry for each word, including a partial last one; empty on a device that checks nothing.
    words: Vec<Word>,
    /// The allocation on the host's heap, including the guards.
    block: *mut u8,
    layout: Layout,
}

// SAFETY: the buffer owns its block.
unsafe impl Send for Buffer {}

impl Buffer {
    fn new(len: usize, checked: bool) -> Buffer {
        let layout = Layout::from_size_align(len + 2 * GUARD, ALIGNMENT).expect("a buffer that the host can hold");
        // SAFETY: the guards make the size larger than zero.
        let block = unsafe { alloc(layout) };
        if block.is_null() {
            handle_alloc_error(layout);
        }
        // SAFETY: the block is that long.
        unsafe { ptr::write_bytes(block, POISON, layout.size()) };
        let words = vec![Word::default(); if checked { len.div_ceil(WORD) } else { 0 }];
        Buffer { address: block as usize + GUARD, len, words, block, layout }
    }

    fn holds(&self, address: usize, len: usize) -> bool {
        address.checked_sub(self.address).and_then(|offset| offset.checked_add(len)).is_some_and(|end| end <= self.len)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout.
        unsafe { dealloc(self.block, self.layout) };
    }
}

/// An address range that does not lie in a buffer.
#[derive(Debug, thiserror::Error)]
pub enum OutOfBounds {
    /// The range lies near a buffer: the nearest one below the address.
    #[error("{len} bytes at byte {offset} of a buffer of {size} bytes")]
    Buffer {
        /// The length of the range in bytes.
        len: usize,
        /// The offset of the range in the buffer.
        offset: usize,
        /// The size of the buffer in bytes.
        size: usize,
    },
    /// There is no buffer near the address.
    #[error("{len} bytes at {address:#x}, where no buffer is")]
    Nowhere {
        /// The length of the range in bytes.
        len: usize,
        /// The address of the range.
        address: usize,
    },
}

/// All buffers of a device.
pub struct Memory {
    checked: bool,
    /// The buffers, ordered by address.
    buffers: Vec<Buffer>,
    /// A guess for each page, by some bits of its number: the buffer last found there.
    recent: [usize; 64],
}

impl Memory {
    /// Creates an empty memory. If it is to be checked, it remembers what was done to it.
    pub fn new(checked: bool) -> Memory {
        Memory { checked, buffers: Vec::new(), recent: [0; 64] }
    }

    /// Allocates a buffer of `len` unwritten bytes and returns its address.
    pub fn allocate(&mut self, len: usize) -> usize {
        let buffer = Buffer::new(len, self.checked);
        let address = buffer.address;
        let place = self.buffers.partition_point(|other| other.address < address);
        self.buffers.insert(place, buffer);
        address
    }

    /// Frees a buffer; returns false if none begins at this address.
    pub fn free(&mut self, address: usize) -> bool {
        let place = self.buffers.binary_search_by_key(&address, |buffer| buffer.address);
        place.map(|place| self.buffers.remove(place)).is_ok()
    }

    /// Returns a pointer to `len` bytes of a buffer.
    pub fn at(&mut self, address: usize, len: usize) -> Result<*mut u8, OutOfBounds> {
        self.find(address, len).map(|_| ptr::with_exposed_provenance_mut(address))
    }

    /// Returns the checkers' records of the words that these bytes touch; empty on a device that checks nothing.
    pub fn words(&mut self, address: usize, len: usize) -> Result<&mut [Word], OutOfBounds> {
        let place = self.find(address, len)?;
        let buffer = &mut self.buffers[place];
        if buffer.words.is_empty() || len == 0 {
            return Ok(&mut []);
        }
        let offset = address - buffer.address;
        Ok(&mut buffer.words[offset / WORD..=(offset + len - 1) / WORD])
    }

    /// Copies from the host.
    pub fn write(&mut self, address: usize, bytes: &[u8]) -> Result<(), OutOfBounds> {
        let to = self.at(address, bytes.len())?;
        // SAFETY: the range lies in a buffer, which no slice of the host overlaps.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        self.words(address, bytes.len())?.iter_mut().for_each(Word::initialise);
        Ok(())
    }

    /// Copies to the host.
    pub fn read(&mut self, address: usize, bytes: &mut [u8]) -> Result<(), OutOfBounds> {
        let from = self.at(address, bytes.len())?;
        // SAFETY: as above.
        unsafe { ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    fn find(&mut self, address: usize, len: usize) -> Result<usize, OutOfBounds> {
        let recent = &mut self.recent[(address >> 12) % 64];
        if self.buffers.get(*recent).is_some_and(|buffer| buffer.holds(address, len)) {
            return Ok(*recent);
        }
        let below = self.buffers.partition_point(|buffer| buffer.address <= address).checked_sub(1);
        match below.map(|place| (place, &self.buffers[place])) {
            Some((place, buffer)) if buffer.holds(address, len) => {
                *recent = place;
                Ok(place)
            }
            Some((_, buffer)) if address - buffer.address < buffer.len + GUARD => {
                Err(OutOfBounds::Buffer { len, offset: address - buffer.address, size: buffer.len })
            }
            _ => Err(OutOfBounds::Nowhere { len, address }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_found_by_any_address_inside() {
        let mut memory = Memory::new(true);
        let addresses: Vec<usize> = (1..200).map(|len| memory.allocate(len)).collect();
        for (&address, len) in addresses.iter().zip(1..200) {
            assert!(memory.at(address + len - 1, 1).is_ok());
            assert_eq!(memory.words(address, len).unwrap().len(), len.div_ceil(WORD));
            let error = memory.at(address + len, 1).unwrap_err();
            assert_eq!(error.to_string(), format!("1 bytes at byte {len} of a buffer of {len} bytes"));
        }
        assert!(memory.free(addresses[7]) && !memory.free(addresses[7]));
        assert!(memory.at(addresses[7], 1).is_err());
        assert!(memory.at(8, 4).unwrap_err().to_string().contains("no buffer"));
    }

    #[test]
    fn only_what_was_written_is_initialised() {
        let mut memory = Memory::new(true);
        let address = memory.allocate(16);
        memory.write(address + 4, &[1, 2, 3, 4]).unwrap();
        let initialised = |word: &Word| word.is_initialised();
        let words: Vec<bool> = memory.words(address, 16).unwrap().iter().map(initialised).collect();
        assert_eq!(words, [false, true, false, false]);
        let mut bytes = [0; 8];
        memory.read(address, &mut bytes).unwrap();
        assert_eq!(bytes, [POISON, POISON, POISON, POISON, 1, 2, 3, 4]);
    }
}
