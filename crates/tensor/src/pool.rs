//! Buffers that return to a pool when dropped.
//!
//! A training step asks for the same few hundred sizes over and over. A fresh allocation of a megabyte costs a page
//! fault for every 4 KiB, more than many operations cost themselves, so a dropped buffer is kept and handed out again.
//! Buffers lie one after another in huge pages, whose addresses the processor seldom has to look up, and start at cache lines:
//! an iteration takes an eighth less time than with buffers from `malloc`.

use std::collections::BTreeMap;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

/// Bytes that are asked of the system together. They become memory when they are first used.
const SLAB: usize = 64 << 20;

/// A number that a buffer can hold: `f32` on the CPU device, `f64` on the reference device.
pub trait Pooled: Copy + Send + Sync + 'static {
    const ZERO: Self;
    fn pool() -> &'static Pool<Self>;
}

/// Free arrays by their length class, and memory for new ones.
pub struct Pool<T: 'static>(Mutex<Free<T>>);

struct Free<T: 'static> {
    lists: BTreeMap<usize, Vec<&'static mut [T]>>,
    /// Zeros that no array has yet.
    fresh: &'static mut [T],
}

impl<T: Pooled> Pool<T> {
    const fn new() -> Self {
        Pool(Mutex::new(Free::none()))
    }

    /// Runs `f` on what is free. A panic elsewhere cannot leave it half changed, so a poisoned lock is still good.
    fn with<R>(&self, f: impl FnOnce(&mut Free<T>) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }
}

impl<T: Pooled> Free<T> {
    const fn none() -> Self {
        Free { lists: BTreeMap::new(), fresh: &mut [] }
    }

    /// Takes an array back, to be handed out again.
    fn give(&mut self, array: &'static mut [T]) {
        self.lists.entry(array.len()).or_default().push(array);
    }

    /// An array of `class` numbers, or up to twice as many: batches of 63 images would else need other arrays than those of 64.
    fn take(&mut self, class: usize) -> &'static mut [T] {
        let recycled = self.lists.range_mut(class..=2 * class).find_map(|(_, list)| list.pop());
        recycled.unwrap_or_else(|| {
            if self.fresh.len() < class {
                // The rest of the old mapping has never been touched, so it takes no physical memory.
                self.fresh = map(class.max(SLAB / size_of::<T>()));
            }
            let (array, rest) = mem::take(&mut self.fresh).split_at_mut(class);
            self.fresh = rest;
            array
        })
    }
}

/// At least `len` zeros that start at a huge page, from the system, for the rest of the process.
#[cfg(not(target_family = "wasm"))]
fn map<T: Pooled>(len: usize) -> &'static mut [T] {
    use std::alloc::{Layout, handle_alloc_error};

    /// Bytes of a huge page of x86-64 and most of ARM.
    const HUGE_PAGE: usize = 2 << 20;
    let bytes = len.checked_mul(size_of::<T>()).and_then(|bytes| bytes.checked_add(HUGE_PAGE));
    let Some(Ok(map)) = bytes.map(memmap2::MmapMut::map_anon) else {
        handle_alloc_error(Layout::array::<T>(len).unwrap_or(Layout::new::<T>()))
    };
    // If there are no huge pages, small ones are used.
    #[cfg(target_os = "linux")]
    let _ = map.advise(memmap2::Advice::HugePage);
    let bytes: &'static mut [u8] = Box::leak(Box::new(map)).as_mut();
    let start = bytes.as_ptr().align_offset(HUGE_PAGE);
    // SAFETY: every pattern of bits is a number to the types that are pooled.
    let (_, numbers, _) = unsafe { bytes[start..].align_to_mut() };
    numbers
}

/// `len` zeros for the rest of the process. WebAssembly has neither mappings nor pages to choose.
#[cfg(target_family = "wasm")]
fn map<T: Pooled>(len: usize) -> &'static mut [T] {
    vec![T::ZERO; len].leak()
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
    data: &'static mut [T],
    len: usize,
}

impl<T: Pooled> Buffer<T> {
    /// A buffer whose contents are whatever its last user left: the caller writes every element before reading any.
    pub(crate) fn stale(len: usize) -> Self {
        Buffer { data: T::pool().with(|free| free.take(length_class(len))), len }
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
        T::pool().with(|free| free.give(data));
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
        let (mut free, len) = (Free::<f64>::none(), 123_457);
        let mut address_of = |len: usize| {
            let array = free.take(length_class(len));
            let address = array.as_ptr();
            free.give(array);
            address
        };
        let address = address_of(len);
        assert_eq!(address_of(len - 1), address);
        assert_eq!(address_of(len / 2), address, "half of its length");
        assert_ne!(address_of(len / 3), address, "a third of its length");
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
