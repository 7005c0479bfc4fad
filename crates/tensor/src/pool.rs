//! Buffers that return to a pool when dropped.
//!
//! A training step asks for the same few hundred sizes over and over. A fresh allocation of a megabyte costs a page
//! fault for every 4 KiB, more than many operations cost themselves, so a dropped buffer is kept and handed out again.

use std::collections::BTreeMap;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

/// A number that a buffer can hold: `f32` on the CPU device, `f64` on the reference device.
pub trait Pooled: Copy + Send + Sync + 'static {
    const ZERO: Self;
    fn pool() -> &'static Pool<Self>;
}

/// Free vectors by their length class.
pub struct Pool<T>(Mutex<BTreeMap<usize, Vec<Vec<T>>>>);

impl<T> Pool<T> {
    const fn new() -> Self {
        Pool(Mutex::new(BTreeMap::new()))
    }

    /// Runs `f` on the free lists. A panic elsewhere cannot leave them half changed, so a poisoned lock is still good.
    fn with<R>(&self, f: impl FnOnce(&mut BTreeMap<usize, Vec<Vec<T>>>) -> R) -> R {
        let mut lists = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        f(&mut lists)
    }
}

macro_rules! pooled {
    ($number:ty) => {
        impl Pooled for $number {
            const ZERO: Self = 0.0;
            fn pool() -> &'static Pool<Self> {
                static POOL: Pool<$number> = Pool::new();
                &POOL
            }
        }
    };
}
pooled!(f32);
pooled!(f64);

/// Lengths are rounded up to eighths of a power of two: at most an eighth is wasted and few classes exist.
pub(crate) fn length_class(len: usize) -> usize {
    let step = (len.next_power_of_two() / 16).max(16);
    len.div_ceil(step) * step
}

/// A pooled array of `len` numbers.
pub(crate) struct Buffer<T: Pooled> {
    data: Vec<T>,
    len: usize,
}

impl<T: Pooled> Buffer<T> {
    /// A buffer whose contents are whatever its last user left: the caller writes every element before reading any.
    pub(crate) fn stale(len: usize) -> Self {
        let class = length_class(len);
        // A somewhat longer vector serves as well: batches of 63 images would else need other vectors than those of 64.
        let recycled =
            T::pool().with(|lists| lists.range_mut(class..=class + class / 4).find_map(|(_, list)| list.pop()));
        let data = recycled.unwrap_or_else(|| vec![T::ZERO; class]);
        Buffer { data, len }
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

impl<T: Pooled> Drop for Buffer<T> {
    fn drop(&mut self) {
        let data = mem::take(&mut self.data);
        T::pool().with(|lists| lists.entry(data.len()).or_default().push(data));
    }
}

impl<T: Pooled> Deref for Buffer<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.data[..self.len]
    }
}

impl<T: Pooled> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.data[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_handed_out_again() {
        let len = 123_457; // no other test uses this length class
        let address = Buffer::<f64>::zeros(len).as_ptr();
        assert_eq!(Buffer::<f64>::stale(len - 1).as_ptr(), address);
        assert_eq!(Buffer::<f64>::stale(len * 4 / 5).as_ptr(), address, "four fifths of its length");
        assert_ne!(Buffer::<f64>::stale(len / 2).as_ptr(), address, "half of its length");
    }

    #[test]
    fn classes_waste_at_most_an_eighth() {
        for len in [1usize, 15, 16, 17, 1000, 1023, 1025, 123_457] {
            let class = length_class(len);
            assert!(class >= len && class <= len.max(16) + len / 8 + 16, "{len} -> {class}");
            assert_eq!(length_class(class), class);
        }
    }
}
