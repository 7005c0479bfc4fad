//! An open device: its memory, which is reused, and its kernels, whose arguments are checked.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::ffi::c_void;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::buffer::{Buffer, Plain};
use super::capture::{self, Region, refuse_capture};
use super::driver::{Driver, DriverError, Graphs, Launch, Peak};
use super::error::{DeviceError, fail};
use super::graph::GraphInput;
use super::{lock, modules};
use crate::pool;

/// An open device. It stays open until the process ends.
pub(crate) struct Context {
    driver: Arc<dyn Driver>,
    options: Options,
    /// The index among all open devices.
    index: usize,
    /// The addresses of free memory, by size in words.
    free: Mutex<HashMap<usize, Vec<u64>>>,
    /// Threads share this lock during a call to the driver; a thread that is recording holds it exclusively.
    door: RwLock<()>,
    /// The number of bytes that buffers hold.
    held: AtomicUsize,
}

/// The options of a CUDA device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// The precision of convolutions and matrix products.
    pub precision: Precision,
    /// Whether [`Graph::capture`](super::Graph::capture) records work, or only runs it.
    pub graphs: bool,
}

impl Default for Options {
    /// Returns the options of a device that computes in f32, with graphs.
    fn default() -> Self {
        Precision::default().into()
    }
}

impl From<Precision> for Options {
    /// Returns the options of a device that computes in this precision, with graphs.
    fn from(precision: Precision) -> Self {
        Options { precision, graphs: true }
    }
}

/// The precision of a CUDA device in convolutions and matrix products. Sums are always accumulated in f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Full f32 precision.
    #[default]
    F32,
    /// TF32 on tensor cores, which keep 11 of the 24 significant bits of an operand. Convolutions with few channels use
    /// f32 instead.
    Tf32,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::Tf32 => "tf32",
        })
    }
}

/// The size of a word in bytes: every buffer is an array of 32-bit numbers.
pub(super) const WORD: usize = 4;

/// The maximum number of words in a buffer. Kernels use 32-bit indices, and some compute indices slightly beyond the
/// end.
const LARGEST: usize = 1 << 30;

thread_local! {
    static RECORD: RefCell<Option<BTreeSet<&'static str>>> = const { RefCell::new(None) };
}

/// Runs `work` and returns its result with the names of the kernels that it launched on this thread.
pub(crate) fn recording<R>(work: impl FnOnce() -> R) -> (R, BTreeSet<&'static str>) {
    let before = RECORD.replace(Some(BTreeSet::new()));
    let result = work();
    let record = RECORD.replace(before).expect("nobody else takes the record");
    (result, record)
}

/// Records the name of a kernel for [`recording`].
fn record(kernel: &'static str) {
    RECORD.with_borrow_mut(|record| record.as_mut().map(|record| record.insert(kernel)));
}

impl Context {
    pub(super) fn new(driver: Arc<dyn Driver>, options: Options, index: usize) -> Context {
        let held = AtomicUsize::new(0);
        Context { driver, options, index, free: Mutex::default(), door: RwLock::default(), held }
    }

    pub(crate) fn name(&self) -> String {
        self.driver.name()
    }

    pub(crate) fn precision(&self) -> Precision {
        self.options.precision
    }

    pub(super) fn peak(&self) -> Option<Peak> {
        self.driver.peak(self.options.precision)
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Returns the driver's interface for recording work, if the options permit it.
    pub(super) fn graphs(&self) -> Option<&dyn Graphs> {
        self.driver.graphs().filter(|_| self.options.graphs)
    }

    /// Waits until no other thread is recording on this device. The caller holds the guard during its call to the
    /// driver. The recording thread itself needs no guard. If this thread is recording on another device, that
    /// recording is refused, because two recordings that use each other's devices would deadlock.
    fn admit(&self) -> Option<RwLockReadGuard<'_, ()>> {
        let records = capture::with(self, |_| ()).is_some();
        (!records).then(|| self.admit_host())
    }

    /// Does the same as [`Context::admit`] for a call that cannot be recorded, and refuses this thread's recording.
    pub(super) fn admit_host(&self) -> RwLockReadGuard<'_, ()> {
        refuse_capture();
        self.door.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no thread is using the driver, and blocks all other threads from it.
    pub(super) fn close(&self) -> RwLockWriteGuard<'_, ()> {
        self.door.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the memory region of this thread's recording, if it is recording.
    pub(super) fn region(&self) -> Option<Arc<Region>> {
        capture::with(self, |capture| capture.region())
    }

    /// Returns where the words of an input will be in memory at each launch, if this thread is recording. The recording
    /// is refused if the input was not declared, because every launch would then repeat the words of the recording.
    pub(crate) fn graph_input(&self, input: &GraphInput) -> Option<Buffer> {
        let place = capture::with(self, |capture| capture.input(input))?;
        if place.is_none() {
            refuse_capture();
        }
        place
    }

    /// Keeps buffers alive as long as the graph that this thread is recording, if any. It is called directly for
    /// buffers that are not among a kernel's arguments but whose addresses the kernel reads from memory.
    pub(crate) fn keep<'b>(&self, buffers: impl Iterator<Item = &'b Buffer>) {
        capture::with(self, |capture| capture.keep(buffers));
    }

    pub(super) fn pools_memory(&self) -> bool {
        self.driver.pools_memory()
    }

    /// Returns the number of words to allocate for this many words: at least one, because drivers reject empty
    /// allocations.
    pub(super) fn length_class(&self, words: usize) -> usize {
        let words = words.max(1);
        if self.pools_memory() { pool::length_class(words) } else { words }
    }

    /// Returns the address of at least `words` words, whose contents are arbitrary, and how many were allocated.
    pub(super) fn allocate(&self, words: usize) -> (u64, usize) {
        assert!(words <= LARGEST, "a tensor of {words} numbers is too large for a CUDA device");
        let class = self.length_class(words);
        let bytes = class * WORD;
        let address = self.recycled(class).unwrap_or_else(|| {
            let admitted = self.admit();
            let allocated = self.driver.allocate(bytes);
            drop(admitted);
            allocated.unwrap_or_else(|error| match error {
                DriverError::OutOfMemory => self.allocate_in_need(bytes),
                error => self.failed(&format!("allocating {bytes} bytes"), error),
            })
        });
        self.held.fetch_add(bytes, Ordering::Relaxed);
        (address, class)
    }

    fn recycled(&self, class: usize) -> Option<u64> {
        lock(&self.free).get_mut(&class)?.pop()
    }

    /// Frees the pooled memory of other sizes and tries again.
    fn allocate_in_need(&self, bytes: usize) -> u64 {
        // Memory cannot be freed during a recording.
        let _admitted = self.admit_host();
        let free = std::mem::take(&mut *lock(&self.free));
        for address in free.into_values().flatten() {
            // SAFETY: addresses in the pool come from the driver and are not in use.
            unsafe { self.driver.free(address) };
        }
        self.driver.allocate(bytes).unwrap_or_else(|error| match error {
            DriverError::OutOfMemory => fail(DeviceError::OutOfMemory {
                device: self.name(),
                asked: bytes,
                free: self.driver.free_memory().unwrap_or(0),
                held: self.held.load(Ordering::Relaxed),
            }),
            error => self.failed(&format!("allocating {bytes} bytes"), error),
        })
    }

    /// Returns memory to the pool, or to the driver if memory is not pooled. Work on a device is done in order, so
    /// pooled memory can be reused immediately.
    pub(super) fn release(&self, address: u64, class: usize) {
        self.held.fetch_sub(class * WORD, Ordering::Relaxed);
        if !self.driver.pools_memory() {
            let _admitted = self.admit();
            // SAFETY: the address comes from the driver, and its buffer has been dropped.
            return unsafe { self.driver.free(address) };
        }
        let mut free = lock(&self.free);
        free.entry(class).or_default().push(address);
    }

    /// # Safety
    /// At least `bytes.len()` bytes must be allocated at the address.
    pub(super) unsafe fn write(&self, address: u64, bytes: &[u8]) {
        let _admitted = self.admit();
        // SAFETY: the caller vouches for the address.
        let result = unsafe { self.driver.copy_to_device(address, bytes) };
        result.unwrap_or_else(|error| self.failed(&format!("copying {} bytes to it", bytes.len()), error));
    }

    /// # Safety
    /// At least `bytes.len()` bytes must be allocated at the address.
    pub(super) unsafe fn read(&self, bytes: &mut [u8], address: u64) {
        let _admitted = self.admit_host();
        // SAFETY: the caller vouches for the address.
        let result = unsafe { self.driver.copy_from_device(bytes, address) };
        result.unwrap_or_else(|error| self.failed(&format!("copying {} bytes from it", bytes.len()), error));
    }

    /// Launches a kernel on `grid` blocks of `block` threads. The arguments must match the kernel's parameters: their
    /// number and their sizes are compared with the PTX.
    ///
    /// # Panics
    /// Panics if they differ.
    pub(crate) fn launch(&self, name: &'static str, grid: [usize; 3], block: [usize; 3], arguments: &[&dyn Argument]) {
        let kernel = modules::kernel(name);
        let sizes: Vec<usize> = arguments.iter().map(|argument| argument.size()).collect();
        assert_eq!(sizes, kernel.parameters, "sizes of the arguments of {name}");
        let [grid, block] = [grid, block].map(|sizes| {
            sizes.map(|size| u32::try_from(size).unwrap_or_else(|_| panic!("{name} on {grid:?} blocks of {block:?}")))
        });
        if grid.contains(&0) {
            return;
        }
        let launch = Launch { module: kernel.module, kernel: kernel.name, grid, block, shared: 0 };
        let mut pointers: Vec<*mut c_void> = arguments.iter().map(|argument| argument.pointer()).collect();
        record(kernel.name);
        let _admitted = self.admit();
        self.keep(arguments.iter().filter_map(|argument| argument.buffer()));
        // SAFETY: there is a value of the right size for every parameter; addresses come from buffers, which the
        // caller's borrow keeps alive, and memory that is freed later is not reused before the kernel has run.
        let result = unsafe { self.driver.launch(&launch, &mut pointers) };
        result.unwrap_or_else(|error| {
            let values: Vec<String> = arguments.iter().map(|argument| argument.text()).collect();
            let sizes = format!("{grid:?} blocks of {block:?} threads");
            self.failed(&format!("{name}({}) on {sizes}", values.join(", ")), error)
        });
    }

    /// Launches a kernel that computes `count` elements, each in its own thread.
    pub(crate) fn launch_for_each(&self, name: &'static str, count: usize, arguments: &[&dyn Argument]) {
        const THREADS: usize = 256;
        self.launch(name, [count.div_ceil(THREADS), 1, 1], [THREADS, 1, 1], arguments);
    }

    /// Unwraps the driver's result, or fails with the name of the operation.
    pub(super) fn done<R>(&self, operation: &str, result: Result<R, DriverError>) -> R {
        result.unwrap_or_else(|error| self.failed(operation, error))
    }

    /// Fails with the driver's error and the name of the operation.
    fn failed<R>(&self, operation: &str, source: DriverError) -> R {
        fail(DeviceError::Failed { device: self.name(), operation: operation.into(), source })
    }
}

/// A value that can be passed to a kernel.
pub(crate) trait Argument {
    /// Returns the size in bytes.
    fn size(&self) -> usize;
    /// Returns a pointer to the value. Nothing is written through it.
    fn pointer(&self) -> *mut c_void;
    /// Returns the text that errors show for the value.
    fn text(&self) -> String;
    /// Returns the buffer, if the value is one.
    fn buffer(&self) -> Option<&Buffer> {
        None
    }
}

/// Plain values are passed by value.
impl<T: Plain + fmt::Debug> Argument for T {
    fn size(&self) -> usize {
        size_of::<T>()
    }
    fn pointer(&self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }
    fn text(&self) -> String {
        format!("{self:?}")
    }
}
