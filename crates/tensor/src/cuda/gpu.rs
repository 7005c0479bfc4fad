//! A GPU behind NVIDIA's driver, which is loaded when a GPU is first asked for.

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::sync::Mutex;

use cudarc::driver::{result, sys};

use super::driver::{Driver, DriverError, Launch};
use super::error::DeviceError;
use super::modules::MODULES;

/// The oldest compute capability that the kernels are compiled for.
const OLDEST: (u32, u32) = (7, 5);

/// One GPU, with a stream on which everything is done in order.
pub(super) struct Gpu {
    name: String,
    capability: (u32, u32),
    context: sys::CUcontext,
    stream: sys::CUstream,
    loaded: Mutex<Loaded>,
}

/// What of the modules is on the GPU.
#[derive(Default)]
struct Loaded {
    modules: HashMap<&'static str, sys::CUmodule>,
    kernels: HashMap<&'static str, sys::CUfunction>,
}

// SAFETY: the driver's handles may be used from any thread once the context is made current there, which every method
// does first.
unsafe impl Send for Gpu {}
// SAFETY: as above; the driver's functions are thread-safe.
unsafe impl Sync for Gpu {}

impl Gpu {
    /// The GPU of this number.
    pub(super) fn new(ordinal: usize) -> Result<Gpu, DeviceError> {
        // SAFETY: this looks for the library and its symbols and calls nothing.
        if !unsafe { sys::is_culib_present() } {
            return Err(DeviceError::NoDriver);
        }
        let says = |error: result::DriverError| DeviceError::Driver(text(error));
        result::init().map_err(says)?;
        let count = result::device::get_count().map_err(says)? as usize;
        if ordinal >= count {
            return Err(DeviceError::NoSuchDevice { ordinal, count });
        }
        let device = result::device::get(ordinal as i32).map_err(says)?;
        let model = result::device::get_name(device).map_err(says)?;
        let attribute = |attribute| {
            // SAFETY: the device is one of the driver's.
            unsafe { result::device::get_attribute(device, attribute) }.map(|value| value as u32).map_err(says)
        };
        use sys::CUdevice_attribute::{
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR as MAJOR,
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR as MINOR,
        };
        let capability = (attribute(MAJOR)?, attribute(MINOR)?);
        let name = format!("cuda:{ordinal} ({model})");
        if capability < OLDEST {
            return Err(DeviceError::TooOld { device: name, capability });
        }
        // SAFETY: the device is one of the driver's; the context is never given back.
        let context = unsafe { result::primary_ctx::retain(device) }.map_err(says)?;
        // SAFETY: the context was just retained.
        unsafe { result::ctx::set_current(context) }.map_err(says)?;
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking).map_err(says)?;
        Ok(Gpu { name, capability, context, stream, loaded: Mutex::default() })
    }

    /// Makes the GPU the one that this thread's calls mean.
    fn bind(&self) -> Result<(), DriverError> {
        // SAFETY: the context is retained as long as the process lives.
        unsafe { result::ctx::set_current(self.context) }.map_err(failed)
    }

    fn function(&self, launch: &Launch) -> Result<sys::CUfunction, DriverError> {
        let mut loaded = self.loaded.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(function) = loaded.kernels.get(launch.kernel) {
            return Ok(*function);
        }
        let module = match loaded.modules.get(launch.module) {
            Some(module) => *module,
            None => {
                let ptx = MODULES.iter().find(|module| module.name == launch.module);
                let ptx = ptx.ok_or_else(|| DriverError::Failed(format!("there is no module {}", launch.module)))?.ptx;
                let image = CString::new(ptx).map_err(|error| DriverError::Failed(error.to_string()))?;
                // SAFETY: the image is PTX and ends with a zero.
                let module = unsafe { result::module::load_data(image.as_ptr().cast()) }.map_err(failed)?;
                loaded.modules.insert(launch.module, module);
                module
            }
        };
        let name = CString::new(launch.kernel).map_err(|error| DriverError::Failed(error.to_string()))?;
        // SAFETY: the module stays loaded as long as the process lives.
        let function = unsafe { result::module::get_function(module, name) }.map_err(failed)?;
        loaded.kernels.insert(launch.kernel, function);
        Ok(function)
    }
}

impl Driver for Gpu {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn compute_capability(&self) -> (u32, u32) {
        self.capability
    }

    fn free_memory(&self) -> Result<usize, DriverError> {
        self.bind()?;
        result::mem_get_info().map(|(free, _total)| free).map_err(failed)
    }

    fn allocate(&self, bytes: usize) -> Result<u64, DriverError> {
        self.bind()?;
        // SAFETY: the memory is used as the backend's pool says.
        unsafe { result::malloc_sync(bytes) }.map_err(failed)
    }

    unsafe fn free(&self, address: u64) {
        if self.bind().is_ok() {
            // SAFETY: the caller vouches for the address. This waits for the work before. An error is one of that work,
            // which its own calls report.
            let _ = unsafe { result::free_sync(address) };
        }
    }

    unsafe fn copy_to_device(&self, address: u64, bytes: &[u8]) -> Result<(), DriverError> {
        self.bind()?;
        // SAFETY: the caller vouches for the address. Ordinary memory, as this is, is read before the call returns.
        unsafe { result::memcpy_htod_async(address, bytes, self.stream) }.map_err(failed)
    }

    unsafe fn copy_from_device(&self, bytes: &mut [u8], address: u64) -> Result<(), DriverError> {
        self.bind()?;
        // SAFETY: the caller vouches for the address, and the bytes are not looked at before the copy is done.
        unsafe { result::memcpy_dtoh_async(bytes, address, self.stream) }.map_err(failed)?;
        self.synchronize()
    }

    unsafe fn launch(&self, launch: &Launch, arguments: &mut [*mut c_void]) -> Result<(), DriverError> {
        self.bind()?;
        let function = self.function(launch)?;
        let sizes = |[x, y, z]: [u32; 3]| (x, y, z);
        let (grid, block) = (sizes(launch.grid), sizes(launch.block));
        // SAFETY: the caller vouches for the arguments.
        unsafe { result::launch_kernel(function, grid, block, launch.shared, self.stream, arguments) }.map_err(failed)
    }

    fn synchronize(&self) -> Result<(), DriverError> {
        self.bind()?;
        // SAFETY: the stream is this GPU's.
        unsafe { result::stream::synchronize(self.stream) }.map_err(failed)
    }
}

fn failed(error: result::DriverError) -> DriverError {
    if error.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY {
        return DriverError::OutOfMemory;
    }
    DriverError::Failed(text(error))
}

/// The driver's own words for an error.
fn text(error: result::DriverError) -> String {
    match error.error_string() {
        Ok(words) => words.to_string_lossy().into_owned(),
        Err(_) => format!("{:?}", error.0),
    }
}
