//! The interface to a CUDA device. Everything above this trait is the same for a GPU and for a program that executes
//! the kernels without one.

use std::ffi::c_void;
use std::fmt;

use super::context::Precision;

/// A device that runs kernels: a GPU behind NVIDIA's driver, or a program that executes the same kernels on the CPU.
///
/// Calls take effect in the order in which they are made, as on one stream, whichever threads make them. Addresses are
/// in the device's own address space.
pub trait Driver: Send + Sync {
    /// Returns the name of the device for errors and progress.
    fn name(&self) -> String;

    /// Returns the device's compute capability, such as (8, 6).
    fn compute_capability(&self) -> (u32, u32);

    /// Returns the device's peak performance in this precision, or `None` if the device is not built for speed.
    fn peak(&self, _precision: Precision) -> Option<Peak> {
        None
    }

    /// Returns the number of bytes of unallocated memory.
    ///
    /// # Errors
    /// Returns an error if the device does not respond.
    fn free_memory(&self) -> Result<usize, DriverError>;

    /// Returns whether memory is pooled: freed memory is kept and reused, in a few sizes that are slightly larger than
    /// requested. A device that checks memory accesses returns false, so that every buffer is newly allocated and ends
    /// where its tensor does.
    fn pools_memory(&self) -> bool {
        true
    }

    /// Allocates at least `bytes` bytes, aligned to 256 bytes, and returns their address.
    ///
    /// # Errors
    /// Returns an error if there is not enough memory or the device does not respond.
    fn allocate(&self, bytes: usize) -> Result<u64, DriverError>;

    /// Frees memory after all previously submitted work is done.
    ///
    /// # Safety
    /// The address must come from [`Driver::allocate`] and must not be used again.
    unsafe fn free(&self, address: u64);

    /// Copies bytes to the device. The caller may overwrite them as soon as this returns.
    ///
    /// # Errors
    /// Returns an error if the device does not respond.
    ///
    /// # Safety
    /// At least `bytes.len()` bytes must be allocated at the address.
    unsafe fn copy_to_device(&self, address: u64, bytes: &[u8]) -> Result<(), DriverError>;

    /// Copies bytes from the device, after all previously submitted work is done.
    ///
    /// # Errors
    /// Returns an error if the device does not respond or previous work has failed.
    ///
    /// # Safety
    /// At least `bytes.len()` bytes must be allocated at the address.
    unsafe fn copy_from_device(&self, bytes: &mut [u8], address: u64) -> Result<(), DriverError>;

    /// Launches a kernel. The arguments are those of `cuLaunchKernel`: a pointer to the value of each kernel parameter.
    /// The values are read before this returns.
    ///
    /// # Errors
    /// Returns an error if the kernel cannot be loaded or launched. A failure during execution may be reported by a
    /// later call.
    ///
    /// # Safety
    /// There must be one pointer for each parameter, to a value of its type, and the memory at any address among the
    /// values must be allocated.
    unsafe fn launch(&self, launch: &Launch, arguments: &mut [*mut c_void]) -> Result<(), DriverError>;

    /// Returns the device's interface for recording work, if it has one.
    fn graphs(&self) -> Option<&dyn Graphs> {
        None
    }

    /// Waits for all submitted work.
    ///
    /// # Errors
    /// Returns an error if any of the work has failed.
    fn synchronize(&self) -> Result<(), DriverError>;
}

/// Work that is recorded once and launched any number of times.
pub trait Graphs {
    /// Begins a recording: kernels are recorded instead of run, until [`Graphs::end_capture`]. Copies to the device
    /// take effect immediately and are not recorded. Meanwhile only this thread calls the driver. It copies nothing
    /// from the device, launches and frees no recordings, and frees memory only if [`Driver::pools_memory`] is false
    /// and no recorded kernel uses it.
    ///
    /// # Errors
    /// Returns an error if the device does not respond.
    fn begin_capture(&self) -> Result<(), DriverError>;

    /// Ends the recording and returns its number.
    ///
    /// # Errors
    /// Returns an error if the device cannot execute what was recorded.
    fn end_capture(&self) -> Result<u64, DriverError>;

    /// Launches the recorded kernels in their order.
    ///
    /// # Errors
    /// Returns an error if they cannot be launched. A failure during execution may be reported by a later call.
    ///
    /// # Safety
    /// The recording must not have been freed, and the memory at any address among its kernels' arguments must be
    /// allocated.
    unsafe fn launch(&self, graph: u64) -> Result<(), DriverError>;

    /// Frees a recording, after all previously submitted work is done.
    fn free(&self, graph: u64);
}

/// The peak performance of a device per second, computed from its clock rates and widths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// Floating-point additions and multiplications.
    pub flops: f64,
    /// Bytes read from memory or written to it.
    pub bytes: f64,
}

impl fmt::Display for Peak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} TFLOP/s and {:.0} GB/s at best", self.flops * 1e-12, self.bytes * 1e-9)
    }
}

/// A kernel and the number of threads that it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The name, without its extension, of the `.cu` file that contains the kernel.
    pub module: &'static str,
    /// The kernel's name.
    pub kernel: &'static str,
    /// The number of blocks along x, y and z.
    pub grid: [u32; 3],
    /// The number of threads per block along x, y and z.
    pub block: [u32; 3],
    /// The dynamic shared memory of a block, in bytes.
    pub shared: u32,
}

/// The reason why a device could not complete a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DriverError {
    /// The device has not enough free memory.
    #[error("out of memory")]
    OutOfMemory,
    /// Any other error, with the driver's message.
    #[error("{0}")]
    Failed(String),
}
