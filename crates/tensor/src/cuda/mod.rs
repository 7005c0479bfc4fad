//! CUDA devices: GPUs behind NVIDIA's driver, and whatever else executes the same kernels.
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
//! The kernels are `.cu` files in the rooms of their operations, with `prelude.cuh` before each. They are embedded as PTX
//! ([`MODULES`]), so that a machine needs nothing but the driver, which is looked for when a device is opened. [`Driver`]
//! is what a device can do; [`install`] makes a tensor device of anything that can do it.
//!
//! The kernels and the calls of NVIDIA's driver are in builds with the feature `cuda` only. Without it there is all that
//! is here, but a device cannot be had: [`open`] and [`install`] are errors.
//!
//! *Invariant*: work is done in the order in which it was asked for, so freed memory is used again at once, and sums are
//! added in an order that only their shapes decide: the same work gives the same bits again.

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

/// The oldest compute capability that multiplies in TF32.
const TENSOR_CORES: (u32, u32) = (8, 0);

static CONTEXTS: RwLock<Vec<&'static Context>> = RwLock::new(Vec::new());

/// Opens the GPU of this number, as CUDA counts them from 0, with these options or in this [`Precision`]. Opening one
/// again returns the same device.
///
/// # Errors
/// When there is no driver, no such GPU, or it is too old for the kernels; in a build without the feature `cuda`, always.
pub fn open(ordinal: usize, options: impl Into<Options>) -> Result<Device, DeviceError> {
    static OPENED: Mutex<Vec<(usize, Options, Device)>> = Mutex::new(Vec::new());
    let options = options.into();
    let mut opened = lock(&OPENED);
    if let Some(&(.., device)) = opened.iter().find(|&&(number, other, _)| (number, other) == (ordinal, options)) {
        return Ok(device);
    }
    let device = install(gpu(ordinal)?, options)?;
    opened.push((ordinal, options, device));
    Ok(device)
}

#[cfg(feature = "cuda")]
fn gpu(ordinal: usize) -> Result<Arc<dyn Driver>, DeviceError> {
    Ok(Arc::new(gpu::Gpu::new(ordinal)?))
}

#[cfg(not(feature = "cuda"))]
fn gpu(_: usize) -> Result<Arc<dyn Driver>, DeviceError> {
    Err(DeviceError::NotBuilt)
}

/// Makes a device of tensors that computes with this driver, with these options or in this [`Precision`]. It exists
/// until the process ends.
///
/// # Errors
/// When the driver's device is too old for the precision; in a build without the feature `cuda`, always.
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

/// What a CUDA device does in a second at best, in its precision; `None` for other devices, and for CUDA devices that are
/// not made for speed.
pub fn peak(device: Device) -> Option<Peak> {
    match device {
        Device::Cuda(index) => context(index).peak(),
        Device::Cpu | Device::Reference => None,
    }
}

/// The device of this number among those that were opened.
///
/// # Panics
/// When there is none.
pub(crate) fn context(index: usize) -> &'static Context {
    let contexts = CONTEXTS.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    contexts.get(index).copied().unwrap_or_else(|| panic!("no CUDA device {index} was opened; see cuda::open"))
}

/// What a mutex guards. A thread that panicked left it whole: nothing here is done by halves.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
