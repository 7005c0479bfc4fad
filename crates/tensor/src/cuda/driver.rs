//! What a CUDA device can do. Everything above this trait is the same for a GPU and for a program that executes the
//! kernels without one.

use std::ffi::c_void;
use std::fmt;

use super::context::Precision;

/// A device that runs kernels: a GPU behind NVIDIA's driver, or a program that executes the same kernels on the CPU.
///
/// Calls take effect in the order in which they are made, as on one stream, whichever threads make them. Addresses are
/// the device's own.
pub trait Driver: Send + Sync {
    /// What errors and progress call the device.
    fn name(&self) -> String;

    /// The version of the instructions that the device has, such as 8.6.
    fn compute_capability(&self) -> (u32, u32);

    /// What the device does in a second at best, in this precision; nothing for one that is not made for speed.
    fn peak(&self, _precision: Precision) -> Option<Peak> {
        None
    }

    /// Bytes of memory that nobody has allocated.
    ///
    /// # Errors
    /// When the device does not answer.
    fn free_memory(&self) -> Result<usize, DriverError>;

    /// Whether memory that tensors give back is kept and handed out again, in a few sizes that are a little larger than
    /// what is asked for. A device that checks accesses says no: there a buffer is new and ends where its tensor does.
    fn pools_memory(&self) -> bool {
        true
    }

    /// The address of at least `bytes` bytes of new memory, aligned to 256 bytes.
    ///
    /// # Errors
    /// When there is not so much, or the device does not answer.
    fn allocate(&self, bytes: usize) -> Result<u64, DriverError>;

    /// Gives memory back after all work that was asked for before.
    ///
    /// # Safety
    /// The address comes from [`Driver::allocate`] and is not used again.
    unsafe fn free(&self, address: u64);

    /// Copies bytes to the device. They may be overwritten as soon as this returns.
    ///
    /// # Errors
    /// When the device does not answer.
    ///
    /// # Safety
    /// So many bytes are allocated at the address.
    unsafe fn copy_to_device(&self, address: u64, bytes: &[u8]) -> Result<(), DriverError>;

    /// Copies bytes from the device, after all work that was asked for before.
    ///
    /// # Errors
    /// When the device does not answer, or work before has failed.
    ///
    /// # Safety
    /// So many bytes are allocated at the address.
    unsafe fn copy_from_device(&self, bytes: &mut [u8], address: u64) -> Result<(), DriverError>;

    /// Starts a kernel. The arguments are those of `cuLaunchKernel`: for each parameter of the kernel a pointer to its
    /// value, which is read before this returns.
    ///
    /// # Errors
    /// When the kernel cannot be loaded or started. That it failed may be known only later.
    ///
    /// # Safety
    /// There is one pointer for each parameter, to a value of its type, and what addresses among them say is allocated.
    unsafe fn launch(&self, launch: &Launch, arguments: &mut [*mut c_void]) -> Result<(), DriverError>;

    /// The device's way to record work, if it has one.
    fn graphs(&self) -> Option<&dyn Graphs> {
        None
    }

    /// Waits for all work that was asked for.
    ///
    /// # Errors
    /// When some of it has failed.
    fn synchronize(&self) -> Result<(), DriverError>;
}

/// Work that is recorded once and launched as often as one likes.
pub trait Graphs {
    /// Begins a recording: kernels are recorded instead of run, until [`Graphs::end_capture`]. Copies to the device
    /// take effect immediately and are not recorded. Meanwhile only this thread calls the driver. It copies nothing
    /// from the device, launches and frees no recordings, and frees memory only if [`Driver::pools_memory`] is false
    /// and no recorded kernel uses it.
    ///
    /// # Errors
    /// When the device does not answer.
    fn begin_capture(&self) -> Result<(), DriverError>;

    /// Ends the recording and returns its number.
    ///
    /// # Errors
    /// When the device cannot do what was recorded.
    fn end_capture(&self) -> Result<u64, DriverError>;

    /// Runs the recorded kernels in their order.
    ///
    /// # Errors
    /// When they cannot be started. That one failed may be known only later.
    ///
    /// # Safety
    /// The recording has not been freed, and what addresses among its kernels' arguments say is allocated.
    unsafe fn launch(&self, graph: u64) -> Result<(), DriverError>;

    /// Forgets a recording, when the work that was asked for before is done.
    fn free(&self, graph: u64);
}

/// What a device does in a second at best, by its clocks and widths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// Additions and multiplications.
    pub flops: f64,
    /// Bytes read from memory or written to it.
    pub bytes: f64,
}

impl fmt::Display for Peak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} TFLOP/s and {:.0} GB/s at best", self.flops * 1e-12, self.bytes * 1e-9)
    }
}

/// Which kernel runs on how many threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The `.cu` file, without its ending, that holds the kernel.
    pub module: &'static str,
    /// Its name.
    pub kernel: &'static str,
    /// Blocks along x, y and z.
    pub grid: [u32; 3],
    /// Threads of a block along x, y and z.
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory of a block.
    pub shared: u32,
}

/// Why a device could not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DriverError {
    /// There is not so much memory.
    #[error("out of memory")]
    OutOfMemory,
    /// Anything else, in the driver's words.
    #[error("{0}")]
    Failed(String),
}
