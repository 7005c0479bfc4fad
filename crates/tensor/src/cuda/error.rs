//! Errors of devices. Operations on tensors return tensors, not results, so that formulas stay readable; a device that
//! fails in the middle of one unwinds to whoever asked for it by [`catch`]. A program that is built with `panic = "abort"`
//! ends there instead.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::driver::DriverError;

/// Why a CUDA device cannot be used, or could not do its work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// There is no driver on this machine.
    #[error("there is no CUDA device: NVIDIA's driver (libcuda) is not installed")]
    NoDriver,
    /// There is a driver, but it does not work.
    #[error("there is no CUDA device: NVIDIA's driver says: {0}")]
    Driver(String),
    /// There are GPUs, but not so many.
    #[error("there is no device cuda:{ordinal}: the machine has {count}, counted from cuda:0")]
    NoSuchDevice {
        /// The number asked for.
        ordinal: usize,
        /// How many there are.
        count: usize,
    },
    /// The device is older than the kernels.
    #[error("{device} has compute capability {}.{}; the kernels need 7.5 (Turing, 2018) or newer", .capability.0, .capability.1)]
    TooOld {
        /// The device.
        device: String,
        /// Its version.
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
        /// Its version.
        capability: (u32, u32),
    },
    /// The device's memory is full.
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
        /// Bytes asked for.
        asked: usize,
        /// Bytes free.
        free: usize,
        /// Bytes that the tensors of this process hold.
        held: usize,
    },
    /// Work on the device failed.
    #[error("{device} failed in {operation}: {source}")]
    Failed {
        /// The device.
        device: String,
        /// What it was asked to do, with its sizes.
        operation: String,
        /// What the driver said.
        source: DriverError,
    },
}

fn mebibytes(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Runs work on tensors and gives the error of a device that fails in it. Without this around it, such an error is a
/// panic with the same text.
///
/// The error travels here by unwinding, past the panic hook. Values that the work owns are dropped on the way; what it had
/// changed outside by then, such as a network that the caller lent it, stays changed. In a program that is built with
/// `panic = "abort"` nothing unwinds: the process ends where the device fails, without a message.
///
/// # Errors
/// When a device fails, on this thread. A failure on a thread that the work has started is a panic of that thread, unless
/// it has a `catch` of its own.
pub fn catch<R>(work: impl FnOnce() -> R) -> Result<R, DeviceError> {
    let before = CATCHING.replace(true);
    // Tensors are immutable, so none is seen half changed.
    let result = catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(before);
    result.map_err(|payload| match payload.downcast::<DeviceError>() {
        Ok(error) => *error,
        Err(other) => resume_unwind(other),
    })
}

/// Ends the operation in which a device failed.
pub(super) fn fail(error: DeviceError) -> ! {
    if CATCHING.get() {
        // No message is printed on the way: whoever catches the error reports it.
        resume_unwind(Box::new(error))
    }
    panic!("{error}")
}
