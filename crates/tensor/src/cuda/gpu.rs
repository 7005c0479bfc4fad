//! A GPU behind NVIDIA's driver, which is loaded when a GPU is first requested.

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use cudarc::driver::{result, sys};

use super::context::Precision;
use super::driver::{Driver, DriverError, Graphs, Launch, Peak};
use super::error::DeviceError;
use super::modules::{MODULES, Module};

/// The lowest compute capability that the kernels are compiled for.
const OLDEST: (u32, u32) = (7, 0);

/// The oldest CUDA version of a driver that has all the functions called here (`cuGraphInstantiateWithFlags`).
const OLDEST_DRIVER: i32 = 11040;

/// A GPU, with one stream on which all work is done in order.
pub(super) struct Gpu {
    name: String,
    capability: (u32, u32),
    /// What its peak is computed from, if the driver tells; not all virtual and integrated GPUs do.
    rates: Option<Rates>,
    context: sys::CUcontext,
    stream: sys::CUstream,
    /// The stream for copies to the GPU while the main stream is capturing.
    uploads: sys::CUstream,
    capturing: AtomicBool,
    loaded: Mutex<Loaded>,
}

/// The rates of a GPU's parts.
struct Rates {
    multiprocessors: f64,
    /// The maximum clock rate of the multiprocessors in hertz.
    clock: f64,
    /// The maximum clock rate of the memory in hertz.
    memory_clock: f64,
    /// The width of the memory bus in bytes. It is transferred twice per cycle.
    memory_width: f64,
}

/// The modules and kernels that have been loaded onto the GPU.
#[derive(Default)]
struct Loaded {
    modules: HashMap<&'static str, sys::CUmodule>,
    kernels: HashMap<&'static str, sys::CUfunction>,
}

// SAFETY: the driver's handles may be used from any thread once the context is current there, and every method makes it
// current first.
unsafe impl Send for Gpu {}
// SAFETY: as above; the driver's functions are thread-safe.
unsafe impl Sync for Gpu {}

impl Gpu {
    /// Opens the GPU of this number.
    pub(super) fn new(ordinal: usize) -> Result<Gpu, DeviceError> {
        // SAFETY: this looks up the library and its symbols and calls none of them.
        if !unsafe { sys::is_culib_present() } {
            return Err(DeviceError::NoDriver);
        }
        let says = |error: result::DriverError| DeviceError::Driver(text(error));
        result::init().map_err(says)?;
        let mut version = 0;
        // SAFETY: the driver writes the version to an integer that outlives the call.
        unsafe { sys::cuDriverGetVersion(&mut version) }.result().map_err(says)?;
        // Later calls would look up functions that older drivers do not have, and end the process.
        if version < OLDEST_DRIVER {
            return Err(DeviceError::OldDriver(version));
        }
        let count = result::device::get_count().map_err(says)? as usize;
        if ordinal >= count {
            return Err(DeviceError::NoSuchDevice { ordinal, count });
        }
        let device = result::device::get(ordinal as i32).map_err(says)?;
        let model = result::device::get_name(device).map_err(says)?;
        let attribute = |attribute| {
            // SAFETY: the device comes from the driver.
            unsafe { result::device::get_attribute(device, attribute) }.map(|value| value as u32).map_err(says)
        };
        use sys::CUdevice_attribute::{
            CU_DEVICE_ATTRIBUTE_CLOCK_RATE as KILOHERTZ, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR as MAJOR,
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR as MINOR,
            CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH as MEMORY_BITS,
            CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE as MEMORY_KILOHERTZ,
            CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT as MULTIPROCESSORS,
        };
        let capability = (attribute(MAJOR)?, attribute(MINOR)?);
        let name = format!("cuda:{ordinal} ({model})");
        if capability < OLDEST {
            return Err(DeviceError::TooOld { device: name, capability });
        }
        let known = |asked| attribute(asked).ok().filter(|&value| value > 0).map(f64::from);
        let rates = || {
            let (multiprocessors, clock) = (known(MULTIPROCESSORS)?, 1e3 * known(KILOHERTZ)?);
            let (memory_clock, memory_width) = (1e3 * known(MEMORY_KILOHERTZ)?, known(MEMORY_BITS)? / 8.0);
            Some(Rates { multiprocessors, clock, memory_clock, memory_width })
        };
        let rates = rates();
        // SAFETY: the device comes from the driver; the context is never released.
        let context = unsafe { result::primary_ctx::retain(device) }.map_err(says)?;
        // SAFETY: the context was just retained.
        unsafe { result::ctx::set_current(context) }.map_err(says)?;
        let stream = || result::stream::create(result::stream::StreamKind::NonBlocking).map_err(says);
        let (stream, uploads, capturing) = (stream()?, stream()?, AtomicBool::new(false));
        let loaded = Mutex::default();
        Ok(Gpu { name, capability, rates, context, stream, uploads, capturing, loaded })
    }

    /// Makes this GPU's context current on the calling thread.
    fn bind(&self) -> Result<(), DriverError> {
        // SAFETY: the context is retained for the lifetime of the process.
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
                let ptx = MODULES.iter().find(|module| module.name == launch.module).map(Module::ptx);
                let ptx = ptx.ok_or_else(|| DriverError::Failed(format!("there is no module {}", launch.module)))?;
                let image = CString::new(ptx).map_err(|error| DriverError::Failed(error.to_string()))?;
                // SAFETY: the image is PTX and is null-terminated.
                let module = unsafe { result::module::load_data(image.as_ptr().cast()) }.map_err(failed)?;
                loaded.modules.insert(launch.module, module);
                module
            }
        };
        let name = CString::new(launch.kernel).map_err(|error| DriverError::Failed(error.to_string()))?;
        // SAFETY: the module stays loaded for the lifetime of the process.
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

    fn peak(&self, precision: Precision) -> Option<Peak> {
        // Fused multiply-adds per multiprocessor and cycle (NVIDIA's architecture papers).
        let fused = match (precision, self.capability) {
            (Precision::F32, (7, _) | (8, 0)) => 64.0,
            (Precision::F32, _) => 128.0,
            (Precision::Tf32, (8, 0)) => 512.0,
            (Precision::Tf32, (9 | 10, _)) => 1024.0,
            (Precision::Tf32, _) => 128.0,
        };
        let Rates { multiprocessors, clock, memory_clock, memory_width } = self.rates.as_ref()?;
        Some(Peak { flops: 2.0 * fused * multiprocessors * clock, bytes: 2.0 * memory_clock * memory_width })
    }

    fn free_memory(&self) -> Result<usize, DriverError> {
        self.bind()?;
        result::mem_get_info().map(|(free, _total)| free).map_err(failed)
    }

    fn allocate(&self, bytes: usize) -> Result<u64, DriverError> {
        self.bind()?;
        // SAFETY: the allocation itself has no preconditions; the memory is used as the backend's pool prescribes.
        unsafe { result::malloc_sync(bytes) }.map_err(failed)
    }

    unsafe fn free(&self, address: u64) {
        if self.bind().is_ok() {
            // SAFETY: the caller vouches for the address. The call waits for previous work, and any error it returns
            // belongs to that work, whose own calls report it.
            let _ = unsafe { result::free_sync(address) };
        }
    }

    unsafe fn copy_to_device(&self, address: u64, bytes: &[u8]) -> Result<(), DriverError> {
        self.bind()?;
        let capturing = self.capturing.load(Ordering::Relaxed);
        let stream = if capturing { self.uploads } else { self.stream };
        // SAFETY: the caller vouches for the address. Pageable memory, such as this, is read before the call returns.
        unsafe { result::memcpy_htod_async(address, bytes, stream) }.map_err(failed)?;
        if capturing {
            // SAFETY: the stream is this GPU's.
            unsafe { result::stream::synchronize(stream) }.map_err(failed)?;
        }
        Ok(())
    }

    unsafe fn copy_from_device(&self, bytes: &mut [u8], address: u64) -> Result<(), DriverError> {
        self.bind()?;
        // SAFETY: the caller vouches for the address, and the bytes are not read before the copy is done.
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

    fn graphs(&self) -> Option<&dyn Graphs> {
        Some(self)
    }

    fn synchronize(&self) -> Result<(), DriverError> {
        self.bind()?;
        // SAFETY: the stream is this GPU's.
        unsafe { result::stream::synchronize(self.stream) }.map_err(failed)
    }
}

/// A graph is identified by the address that the driver gave it.
impl Graphs for Gpu {
    fn begin_capture(&self) -> Result<(), DriverError> {
        // Wait for previous work, so that copies on the other stream cannot overtake it.
        self.synchronize()?;
        // The mode is relaxed because memory is allocated during the capture.
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;
        // SAFETY: the stream is this GPU's.
        unsafe { result::stream::begin_capture(self.stream, mode) }.map_err(failed)?;
        self.capturing.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn end_capture(&self) -> Result<u64, DriverError> {
        self.bind()?;
        self.capturing.store(false, Ordering::Relaxed);
        // SAFETY: the stream is this GPU's and is capturing.
        let graph = unsafe { result::stream::end_capture(self.stream) }.map_err(failed)?;
        let flags = sys::CUgraphInstantiate_flags(0);
        // SAFETY: the graph was just captured and is not used after it is destroyed.
        let executable = unsafe { result::graph::instantiate(graph, flags) };
        // SAFETY: as above.
        unsafe { result::graph::destroy(graph) }.map_err(failed)?;
        Ok(executable.map_err(failed)?.expose_provenance() as u64)
    }

    unsafe fn launch(&self, graph: u64) -> Result<(), DriverError> {
        self.bind()?;
        // SAFETY: the caller vouches for the graph; the stream is this GPU's.
        unsafe { result::graph::launch(executable(graph), self.stream) }.map_err(failed)
    }

    fn free(&self, graph: u64) {
        if self.synchronize().is_ok() {
            // SAFETY: the graph comes from `end_capture`, and its last launch is done. Any error belongs to previous
            // work, whose own calls report it.
            let _ = unsafe { result::graph::exec_destroy(executable(graph)) };
        }
    }
}

fn executable(graph: u64) -> sys::CUgraphExec {
    std::ptr::with_exposed_provenance_mut(graph as usize)
}

fn failed(error: result::DriverError) -> DriverError {
    if error.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY {
        return DriverError::OutOfMemory;
    }
    DriverError::Failed(text(error))
}

/// Returns the driver's description of an error.
fn text(error: result::DriverError) -> String {
    match error.error_string() {
        Ok(words) => words.to_string_lossy().into_owned(),
        Err(_) => format!("{:?}", error.0),
    }
}
