//! CUDA devices: GPUs behind NVIDIA's driver, and whatever else executes the same kernels.
//!
//! ```
//! use mergan_tensor::{Device, cuda};
//!
//! let device = match cuda::open(0) {
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
//! *Invariant*: work is done in the order in which it was asked for, so freed memory is used again at once, and sums are
//! added in an order that only their shapes decide: the same work gives the same bits again.

mod buffer;
mod context;
mod driver;
mod error;
mod gpu;
mod modules;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, RwLock};

pub(crate) use buffer::{Buffer, on_host};
pub use context::ON_HOST;
pub(crate) use context::{Argument, Context, recording};
pub use driver::{Driver, DriverError, Launch};
pub use error::{DeviceError, catch};
pub use modules::{Kernel, MODULES, Module, kernels};

use crate::storage::Device;

static CONTEXTS: RwLock<Vec<&'static Context>> = RwLock::new(Vec::new());

/// The GPU of this number, as CUDA counts them from 0. Opening one again gives the same device.
///
/// # Errors
/// When there is no driver, no such GPU, or it is too old for the kernels.
pub fn open(ordinal: usize) -> Result<Device, DeviceError> {
    static OPENED: Mutex<Vec<(usize, Device)>> = Mutex::new(Vec::new());
    let mut opened = OPENED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some((_, device)) = opened.iter().find(|(number, _)| *number == ordinal) {
        return Ok(*device);
    }
    let device = install(Arc::new(gpu::Gpu::new(ordinal)?));
    opened.push((ordinal, device));
    Ok(device)
}

/// A device of tensors that computes by this driver. It stays until the process ends.
pub fn install(driver: Arc<dyn Driver>) -> Device {
    let mut contexts = CONTEXTS.write().unwrap_or_else(|poisoned| poisoned.into_inner());
    let index = contexts.len();
    contexts.push(Box::leak(Box::new(Context::new(driver, index))));
    Device::Cuda(index)
}

/// The device of this number among those that were opened.
///
/// # Panics
/// When there is none.
pub(crate) fn context(index: usize) -> &'static Context {
    let contexts = CONTEXTS.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    contexts.get(index).copied().unwrap_or_else(|| panic!("no CUDA device {index} was opened; see cuda::open"))
}
