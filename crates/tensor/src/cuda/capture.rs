//! A recording in progress.
//!
//! A recording belongs to the thread that makes it. Only what that thread asks of the device is recorded; other threads
//! wait in `Context::admit` until the recording ends, so nothing of theirs can land in it. Waiting has the usual limit
//! of a lock: recorded work that waits for another thread deadlocks if that thread uses the device.
//!
//! A recording is *refused* when the host takes part in the work, because a graph could not repeat the host's part. At
//! that point nothing of the recorded work has been computed. The recording therefore ends, what it holds is launched
//! once, and the rest of the work runs without a recording. This is sound because the operands and inputs were in place
//! before the recording began: everything the host reads is the value that unrecorded work would have, the results are
//! valid, and no work is repeated, abandoned or unwound.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ptr;
use std::sync::{Arc, Mutex, RwLockWriteGuard};
use std::thread;

use super::buffer::{Buffer, Memory};
use super::context::Context;
use super::driver::Graphs;
use super::graph::{GraphInput, Inputs};
use super::lock;

/// The name of the operation in errors.
pub(super) const RECORDING: &str = "a graph of recorded work (a device that is opened without graphs runs it without)";

thread_local! {
    /// The recording that this thread is making.
    static CAPTURE: RefCell<Option<Capture>> = const { RefCell::new(None) };
}

pub(super) struct Capture {
    /// Keeps other threads from the device. It is the first field to be dropped, because the others free memory and may
    /// then have to pass the same lock.
    alone: RwLockWriteGuard<'static, ()>,
    context: &'static Context,
    graphs: &'static dyn Graphs,
    inputs: Inputs,
    region: Arc<Region>,
    kept: Vec<Arc<Memory>>,
}

/// A finished recording: the graph's number, its inputs, and the memory that its kernels use besides operands and
/// results.
pub(super) struct Captured {
    pub graph: u64,
    pub inputs: Inputs,
    pub kept: (Vec<Arc<Memory>>, Arc<Region>),
}

/// The memory that recorded work allocates. It is not shared, because the kernels use it each time the graph is
/// launched.
pub(super) struct Region {
    context: &'static Context,
    all: Mutex<Vec<(u64, usize)>>,
    /// Memory that the recording has freed and can use again.
    free: Mutex<HashMap<usize, Vec<u64>>>,
}

impl Region {
    /// Returns the address of at least this many words, and how many were allocated.
    pub(super) fn allocate(&self, words: usize) -> (u64, usize) {
        let recycled = lock(&self.free).get_mut(&self.context.length_class(words)).and_then(Vec::pop);
        if let Some(address) = recycled {
            return (address, self.context.length_class(words));
        }
        let (address, class) = self.context.allocate(words);
        lock(&self.all).push((address, class));
        (address, class)
    }

    pub(super) fn release(&self, address: u64, class: usize) {
        if self.context.pools_memory() {
            lock(&self.free).entry(class).or_default().push(address);
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        for (address, class) in std::mem::take(&mut *lock(&self.all)) {
            self.context.release(address, class);
        }
    }
}

impl Capture {
    /// Begins a recording of this thread as soon as no other thread is using the driver.
    pub(super) fn begin(context: &'static Context, graphs: &'static dyn Graphs, inputs: Inputs) {
        let alone = context.close();
        context.done(RECORDING, graphs.begin_capture());
        let region = Arc::new(Region { context, all: Mutex::default(), free: Mutex::default() });
        CAPTURE.set(Some(Capture { alone, context, graphs, inputs, region, kept: Vec::new() }));
    }

    /// Ends this thread's recording. Returns `None` if the recording was refused.
    pub(super) fn end() -> Option<Captured> {
        let Capture { alone, context, graphs, inputs, region, kept } = take()?;
        let graph = graphs.end_capture();
        drop(alone);
        Some(Captured { graph: context.done(RECORDING, graph), inputs, kept: (kept, region) })
    }

    pub(super) fn region(&self) -> Arc<Region> {
        self.region.clone()
    }

    /// Returns the memory of an input, if it was declared with the same words.
    pub(super) fn input(&self, input: &GraphInput) -> Option<Buffer> {
        self.inputs.find(input)
    }

    /// Keeps the memory of these buffers alive, unless the recorded work allocated it itself.
    pub(super) fn keep<'b>(&mut self, buffers: impl Iterator<Item = &'b Buffer>) {
        let memory = buffers.map(Buffer::memory);
        self.kept.extend(memory.filter(|memory| !memory.is_of(&self.region)).cloned());
    }
}

/// Returns whether this thread is recording on any device.
pub(super) fn is_on() -> bool {
    CAPTURE.try_with(|capture| capture.borrow().is_some()).unwrap_or(false)
}

/// Applies `f` to this thread's recording on a device, if there is one. There is none while a thread exits, when its
/// last tensors may still be dropped.
pub(super) fn with<R>(context: &Context, f: impl FnOnce(&mut Capture) -> R) -> Option<R> {
    let here = |capture: &RefCell<Option<Capture>>| {
        capture.borrow_mut().as_mut().filter(|capture| ptr::eq(capture.context, context)).map(f)
    };
    CAPTURE.try_with(here).ok().flatten()
}

fn take() -> Option<Capture> {
    CAPTURE.try_with(RefCell::take).ok().flatten()
}

/// Refuses this thread's recording, if there is one: ends it and launches what it holds. Whatever lets the host take
/// part in work calls this first.
pub(crate) fn refuse_capture() {
    let Some(capture) = take() else { return };
    let Capture { context, graphs, .. } = capture;
    let launched = graphs.end_capture().and_then(|graph| {
        // SAFETY: the graph was just recorded on this device, and the capture keeps the memory that its kernels use.
        let launched = unsafe { graphs.launch(graph) };
        graphs.free(graph);
        launched
    });
    // Work that is unwinding already has an error to report.
    if !thread::panicking() {
        context.done(RECORDING, launched);
    }
}

/// Ends this thread's recording if the work unwinds.
pub(super) struct EndOnUnwind;

impl Drop for EndOnUnwind {
    fn drop(&mut self) {
        refuse_capture();
    }
}
