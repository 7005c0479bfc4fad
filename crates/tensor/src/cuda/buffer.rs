//! Numbers on a device. A dropped buffer's memory returns to the device's pool.

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
    /// Where it belongs, if recorded work has allocated it.
    region: Option<Arc<Region>>,
}

impl Memory {
    /// Whether work has allocated it that is recorded in this region.
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

/// A number whose bytes the kernels read as they are.
///
/// # Safety
/// The type has no padding, and any bytes are a value of it.
pub(crate) unsafe trait Plain: Copy {}
// SAFETY: numbers have no padding, and any bytes are one.
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
    /// A buffer whose contents are whatever its last user left: a kernel writes every element before any is read.
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

    /// A copy of these numbers; its length counts words of 32 bits.
    pub(crate) fn upload<T: Plain>(context: &'static Context, values: &[T]) -> Buffer {
        let len = size_of_val(values).div_ceil(WORD);
        // Recorded work finds them each time, so they are in none of the memory that it writes.
        let buffer = Buffer::new(context, context.allocate(len), None, len);
        buffer.overwrite(values);
        buffer
    }

    /// Copies these numbers to its beginning.
    pub(super) fn overwrite<T: Plain>(&self, values: &[T]) {
        let bytes = size_of_val(values);
        assert!(bytes <= self.len * WORD, "{bytes} bytes to a buffer of {} words", self.len);
        // SAFETY: the numbers have no padding, so their memory is that many bytes.
        let bytes = unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), bytes) };
        // SAFETY: the buffer is as long.
        unsafe { self.context().write(self.address, bytes) };
    }

    /// A copy on the host.
    pub(crate) fn download(&self) -> pool::Buffer<f32> {
        let mut values = pool::Buffer::stale(self.len);
        let numbers: &mut [f32] = &mut values;
        // SAFETY: `f32` has no padding and any bytes are one, so the numbers' memory can be written as bytes.
        let bytes = unsafe { std::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), self.len * WORD) };
        // SAFETY: the buffer is as long.
        unsafe { self.context().read(bytes, self.address) };
        values
    }

    /// Numbers `start..start + len`, sharing the memory.
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

/// A null pointer where there is no buffer.
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
