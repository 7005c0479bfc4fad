//! CUDA devices: GPUs behind NVIDIA's driver, and anything else that executes the same kernels.
//!
//! ```
//! use mergan_tensor::{Device, cuda};
//!
//! let device = match cuda::open(0, cuda::Precision::F32) {
//!     Ok(device) => device,
//!     Err(reason) => {
//!         println!("{reason}");
//!         Device::Cpu
//!     }
//! };
//! ```
//!
//! The kernels are `.cu` files in the folders of their operations, each compiled with `prelude.cuh` before it. They are
//! embedded as PTX ([`MODULES`]), so that a machine needs nothing but the driver, which is looked up when a device is
//! opened. [`Driver`] is the interface to a device; [`install`] makes a tensor device of anything that implements it.
//!
//! The kernels and the calls to NVIDIA's driver require the feature `cuda`. Without it this module has the same
//! interface, but [`open`] and [`install`] return errors.
//!
//! *Invariant*: work is done in the order in which it is submitted, so freed memory is reused immediately, and the
//! order in which numbers are added depends only on their shapes: the same work gives bitwise identical results.

#![allow(unsafe_code, reason = "calls of the driver, and memory of the device")]

mod buffer;
mod capture;
mod context;
mod driver;
mod error;
#[cfg(feature = "cuda")]
mod gpu;
mod graph;
mod modules;
#[cfg(all(test, feature = "cuda"))]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, RwLock};

pub(crate) use buffer::Buffer;
pub(crate) use capture::refuse_capture;
pub(crate) use context::{Argument, Context, recording};
pub use context::{Options, Precision};
pub use driver::{Driver, DriverError, Graphs, Launch, Peak};
pub use error::{DeviceError, catch};
pub use graph::{Graph, GraphInput};
pub use modules::{Kernel, MODULES, Module, kernels};

use crate::storage::Device;
use crate::tensor::Tensor;

/// The lowest compute capability that supports TF32.
const TENSOR_CORES: (u32, u32) = (8, 0);

static CONTEXTS: RwLock<Vec<&'static Context>> = RwLock::new(Vec::new());

/// Opens the GPU of this number, as CUDA counts them from 0, with these options or in this [`Precision`]. Opening one
/// again with the same options returns the same device.
///
/// # Errors
/// Returns an error if there is no driver or no such GPU, or if the GPU is too old for the kernels or for the
/// precision. A build without the feature `cuda` always returns an error.
pub fn open(ordinal: usize, options: impl Into<Options>) -> Result<Device, DeviceError> {
    static OPENED: Mutex<Vec<(usize, Options, Device)>> = Mutex::new(Vec::new());
    let options = options.into();
    let mut opened = lock(&OPENED);
    if let Some(&(.., device)) = opened.iter().find(|&&(number, other, _)| (number, other) == (ordinal, options)) {
        return Ok(device);
    }
    let device = proven(install(gpu(ordinal)?, options)?)?;
    opened.push((ordinal, options, device));
    Ok(device)
}

/// Returns the device if it runs a kernel and returns the right numbers. A GPU may be listed and yet be out of memory,
/// reserved by another process, or have a driver that refuses the kernels.
fn proven(device: Device) -> Result<Device, DeviceError> {
    /// Enough numbers for several blocks.
    const NUMBERS: u16 = 4096;
    let numbers: Vec<f32> = (0..NUMBERS).map(f32::from).collect();
    let double = |device| {
        let x = Tensor::from_vec(numbers.clone(), [usize::from(NUMBERS)], device);
        (&x + &x).to_vec::<f32>()
    };
    let (found, expected) = (catch(|| double(device))?, double(Device::Cpu));
    match found.into_iter().zip(expected).find(|(found, expected)| found != expected) {
        None => Ok(device),
        Some((found, expected)) => Err(DeviceError::WrongNumbers { device: device.to_string(), found, expected }),
    }
}

#[cfg(feature = "cuda")]
fn gpu(ordinal: usize) -> Result<Arc<dyn Driver>, DeviceError> {
    Ok(Arc::new(gpu::Gpu::new(ordinal)?))
}

#[cfg(not(feature = "cuda"))]
fn gpu(_: usize) -> Result<Arc<dyn Driver>, DeviceError> {
    Err(DeviceError::NotBuilt)
}

/// Makes a tensor device that computes with this driver, with these options or in this [`Precision`]. It exists until
/// the process ends.
///
/// # Errors
/// Returns an error if the driver's device is too old for the precision. A build without the feature `cuda` always
/// returns an error.
pub fn install(driver: Arc<dyn Driver>, options: impl Into<Options>) -> Result<Device, DeviceError> {
    if MODULES.is_empty() {
        return Err(DeviceError::NotBuilt);
    }
    let (options, capability) = (options.into(), driver.compute_capability());
    if options.precision == Precision::Tf32 && capability < TENSOR_CORES {
        return Err(DeviceError::NoTensorCores { device: driver.name(), capability });
    }
    let mut contexts = CONTEXTS.write().unwrap_or_else(|poisoned| poisoned.into_inner());
    let index = contexts.len();
    contexts.push(Box::leak(Box::new(Context::new(driver, options, index))));
    Ok(Device::Cuda(index))
}

/// Returns the peak performance of a CUDA device in its precision, or `None` for other devices and for CUDA devices
/// that are not built for speed.
pub fn peak(device: Device) -> Option<Peak> {
    match device {
        Device::Cuda(index) => context(index).peak(),
        Device::Cpu | Device::Reference => None,
    }
}

/// Returns the device of this index among those that are open.
///
/// # Panics
/// Panics if there is none.
pub(crate) fn context(index: usize) -> &'static Context {
    let contexts = CONTEXTS.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    contexts.get(index).copied().unwrap_or_else(|| panic!("no CUDA device {index} was opened; see cuda::open"))
}

/// Locks a mutex, also after another thread panicked while holding it: no critical section here leaves its data
/// inconsistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
