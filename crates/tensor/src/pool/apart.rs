//! Arrays that lie apart, in place of the pool.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::{mem, slice};

/// A number that a buffer can hold: `f32` on the CPU device, `f64` on the reference device.
pub trait Pooled: Copy + Send + Sync + 'static {
    const ZERO: Self;
    const NAN: Self;
}

impl Pooled for f32 {
    const ZERO: Self = 0.0;
    const NAN: Self = f32::NAN;
}

impl Pooled for f64 {
    const ZERO: Self = 0.0;
    const NAN: Self = f64::NAN;
}

/// An array of exactly as many numbers as were asked for, from the system and back to it, so that AddressSanitizer and
/// Miri see where it ends and when it is gone. It begins as NaN, so that a number that nobody wrote is seen in results.
/// Tests choose this by the flag `--cfg mergan_pool="apart"`, see `cargo xtask sanitize`.
pub(super) struct Array<T: Pooled> {
    pub(super) data: &'static mut [T],
}

impl<T: Pooled> Array<T> {
    /// Arrays start at cache lines, as those of the pool do.
    fn layout(len: usize) -> Layout {
        let array = Layout::array::<T>(len.max(1)).expect("fewer bytes than memory can have");
        array.align_to(64).expect("a power of two")
    }

    pub(super) fn take(len: usize) -> Self {
        let layout = Self::layout(len);
        // SAFETY: the layout is not empty, and every number is written before the slice exists.
        let data = unsafe {
            let start = alloc(layout).cast::<T>();
            if start.is_null() {
                handle_alloc_error(layout);
            }
            (0..len).for_each(|index| start.add(index).write(T::NAN));
            slice::from_raw_parts_mut(start, len)
        };
        Array { data }
    }
}

impl<T: Pooled> Drop for Array<T> {
    fn drop(&mut self) {
        let layout = Self::layout(self.data.len());
        let start = mem::take(&mut self.data).as_mut_ptr();
        // SAFETY: the array was allocated with this layout, and nothing refers to it any more.
        unsafe { dealloc(start.cast(), layout) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cargo xtask sanitize` runs this alone, and expects AddressSanitizer to end the process.
    #[test]
    #[ignore = "it writes beyond an array"]
    fn a_number_beyond_an_array_is_noticed() {
        let arrays = [Array::<f32>::take(100), Array::take(100)];
        let [first, _second] = &arrays;
        // SAFETY: there is none; that is what is tested.
        unsafe { first.data.as_ptr().cast_mut().add(100).write_volatile(1.0) };
    }

    #[test]
    fn an_array_begins_as_nan_at_a_cache_line() {
        let array = Array::<f32>::take(100);
        assert!(array.data.len() == 100 && array.data.iter().all(|number| number.is_nan()));
        assert!(array.data.as_ptr().cast::<u8>().align_offset(64) == 0);
    }
}
