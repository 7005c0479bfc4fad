//! Errors of devices. Operations on tensors return tensors, not results, so that formulas stay readable. If a device
//! fails in an operation, the error unwinds to the enclosing [`catch`]. This needs `panic = "unwind"`, Cargo's default.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::driver::DriverError;

/// The reason why a CUDA device cannot be used, or could not do its work.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DeviceError {
    /// The program was built without the kernels and the calls to the driver.
    #[error("there is no CUDA device: the program was built without CUDA; build it with the feature `cuda`")]
    NotBuilt,
    /// The machine has no driver.
    #[error("there is no CUDA device: NVIDIA's driver (libcuda) is not installed")]
    NoDriver,
    /// The machine has a driver, but it does not work.
    #[error("there is no CUDA device: NVIDIA's driver says: {0}")]
    Driver(String),
    /// The driver is too old. Its CUDA version is given as the driver gives it: 11040 is 11.4.
    #[error(
        "there is no CUDA device that can be used: NVIDIA's driver supports CUDA {}.{}; driver 470 (CUDA 11.4) or newer is \
         needed",
        .0 / 1000,
        .0 % 1000 / 10
    )]
    OldDriver(i32),
    /// The device computes something else than the processor.
    #[error("{device} returns wrong numbers: {found} where {expected} is right; it or its driver may be damaged")]
    WrongNumbers {
        /// The device.
        device: String,
        /// The number that a kernel returned.
        found: f32,
        /// The number that it should have returned.
        expected: f32,
    },
    /// The machine has fewer GPUs.
    #[error("there is no device cuda:{ordinal}: the machine has {count}, counted from cuda:0")]
    NoSuchDevice {
        /// The requested number.
        ordinal: usize,
        /// The number of GPUs.
        count: usize,
    },
    /// The device is too old for the kernels.
    #[error("{device} has compute capability {}.{}; the kernels need 7.0 (Volta, 2017) or newer", .capability.0, .capability.1)]
    TooOld {
        /// The device.
        device: String,
        /// Its compute capability.
        capability: (u32, u32),
    },
    /// The device has no tensor cores for TF32.
    #[error(
        "{device} has compute capability {}.{}; TF32 needs 8.0 (Ampere, 2020) or newer; f32 runs on it",
        .capability.0,
        .capability.1
    )]
    NoTensorCores {
        /// The device.
        device: String,
        /// Its compute capability.
        capability: (u32, u32),
    },
    /// The device is out of memory.
    #[error(
        "{device} is out of memory: {} were asked for, {} are free and tensors hold {}. Use a smaller batch or width, or \
         free memory of other programs on the device",
        mebibytes(*.asked),
        mebibytes(*.free),
        mebibytes(*.held)
    )]
    OutOfMemory {
        /// The device.
        device: String,
        /// The number of bytes requested.
        asked: usize,
        /// The number of free bytes.
        free: usize,
        /// The number of bytes that the tensors of this process hold.
        held: usize,
    },
    /// Work on the device failed.
    #[error("{device} failed in {operation}: {source}")]
    Failed {
        /// The device.
        device: String,
        /// The operation that failed, with its sizes.
        operation: String,
        /// The driver's error.
        source: DriverError,
    },
}

fn mebibytes(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Runs work on tensors and returns the error if a device fails in it. Outside of `catch`, such an error is a panic
/// with the same text.
///
/// The error reaches `catch` by unwinding, without the panic hook. Values that the work owns are dropped on the way;
/// changes that it has already made elsewhere, for example to a network that it borrows mutably, remain. A program that
/// is built with `panic = "abort"` cannot unwind: the process ends without a message when the device fails.
///
/// # Errors
/// Returns the error if a device fails on this thread. A failure on a thread that the work starts is a panic of that
/// thread, unless that thread calls `catch` itself.
pub fn catch<R>(work: impl FnOnce() -> R) -> Result<R, DeviceError> {
    let before = CATCHING.replace(true);
    // No tensor can be seen half changed, because tensors are immutable.
    let result = catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(before);
    result.map_err(|payload| match payload.downcast::<DeviceError>() {
        Ok(error) => *error,
        Err(other) => resume_unwind(other),
    })
}

/// Fails with this error: unwinds to the enclosing [`catch`], or panics if there is none.
pub(super) fn fail(error: DeviceError) -> ! {
    if CATCHING.get() {
        // No message is printed: the caller of [`catch`] reports the error.
        resume_unwind(Box::new(error))
    }
    panic!("{error}")
}
