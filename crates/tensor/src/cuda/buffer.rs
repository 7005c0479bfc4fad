//! Arrays of numbers on a device. The memory of a dropped buffer returns to the device's pool.

use std::ffi::c_void;
use std::sync::Arc;

use super::capture::Region;
use super::context::{Argument, Context, WORD};
use crate::pool;

/// An array of 32-bit numbers on a device, or a part of one.
pub(crate) struct Buffer {
    memory: Arc<Memory>,
    address: u64,
    len: usize,
}

pub(super) struct Memory {
    context: &'static Context,
    address: u64,
    class: usize,
    /// The region that it belongs to, if recorded work allocated it.
    region: Option<Arc<Region>>,
}

impl Memory {
    /// Returns whether it was allocated by work that is recorded in this region.
    pub(super) fn is_of(&self, region: &Arc<Region>) -> bool {
        self.region.as_ref().is_some_and(|own| Arc::ptr_eq(own, region))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        match &self.region {
            Some(region) => region.release(self.address, self.class),
            None => self.context.release(self.address, self.class),
        }
    }
}

/// A type whose bytes kernels read directly.
///
/// # Safety
/// The type must have no padding, and every bit pattern must be a valid value.
pub(crate) unsafe trait Plain: Copy {}
// SAFETY: numbers have no padding, and every bit pattern is valid.
unsafe impl Plain for f32 {}
// SAFETY: as above.
unsafe impl Plain for i32 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for u64 {}
// SAFETY: as above; an array has no padding between its elements.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

impl Buffer {
    /// Allocates a buffer whose contents are arbitrary: a kernel must write every element before any is read.
    pub(crate) fn stale(context: &'static Context, len: usize) -> Buffer {
        match context.region() {
            Some(region) => Buffer::new(context, region.allocate(len), Some(region), len),
            None => Buffer::new(context, context.allocate(len), None, len),
        }
    }

    fn new(context: &'static Context, memory: (u64, usize), region: Option<Arc<Region>>, len: usize) -> Buffer {
        let (address, class) = memory;
        Buffer { memory: Arc::new(Memory { context, address, class, region }), address, len }
    }

    /// Copies values to a new buffer, whose length is their size in 32-bit words.
    pub(crate) fn upload<T: Plain>(context: &'static Context, values: &[T]) -> Buffer {
        let len = size_of_val(values).div_ceil(WORD);
        // Recorded work reads these values at every launch, so they must not be in the region that it overwrites.
        let buffer = Buffer::new(context, context.allocate(len), None, len);
        buffer.overwrite(values);
        buffer
    }

    /// Copies values to the beginning of the buffer.
    pub(super) fn overwrite<T: Plain>(&self, values: &[T]) {
        let bytes = size_of_val(values);
        assert!(bytes <= self.len * WORD, "{bytes} bytes to a buffer of {} words", self.len);
        // SAFETY: the values have no padding, so their memory can be read as bytes.
        let bytes = unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), bytes) };
        // SAFETY: the buffer is at least as long.
        unsafe { self.context().write(self.address, bytes) };
    }

    /// Copies the numbers to the host.
    pub(crate) fn download(&self) -> pool::Buffer<f32> {
        let mut values = pool::Buffer::stale(self.len);
        let numbers: &mut [f32] = &mut values;
        // SAFETY: `f32` has no padding and every bit pattern is valid, so the numbers' memory can be written as bytes.
        let bytes = unsafe { std::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), self.len * WORD) };
        // SAFETY: the buffer has the same length.
        unsafe { self.context().read(bytes, self.address) };
        values
    }

    /// Returns the numbers `start..start + len` as a buffer that shares the memory.
    pub(crate) fn part(&self, start: usize, len: usize) -> Buffer {
        assert!(start + len <= self.len, "numbers {start} to {} of {}", start + len, self.len);
        Buffer { memory: self.memory.clone(), address: self.address + (start * WORD) as u64, len }
    }

    pub(super) fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    pub(crate) fn context(&self) -> &'static Context {
        self.memory.context
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn address(&self) -> u64 {
        self.address
    }
}

impl Argument for Buffer {
    fn size(&self) -> usize {
        size_of::<u64>()
    }
    fn pointer(&self) -> *mut c_void {
        self.address.pointer()
    }
    fn text(&self) -> String {
        format!("{} numbers", self.len)
    }
    fn buffer(&self) -> Option<&Buffer> {
        Some(self)
    }
}

/// `None` is passed as a null pointer.
impl Argument for Option<&Buffer> {
    fn size(&self) -> usize {
        size_of::<u64>()
    }
    fn pointer(&self) -> *mut c_void {
        static NULL: u64 = 0;
        self.map_or_else(|| NULL.pointer(), Buffer::pointer)
    }
    fn text(&self) -> String {
        self.map_or_else(|| "none".into(), Buffer::text)
    }
    fn buffer(&self) -> Option<&Buffer> {
        *self
    }
}
