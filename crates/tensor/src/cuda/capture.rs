//! A recording on its way. It belongs to the thread that makes it: what that thread asks of the device is recorded, and
//! what other threads ask of it waits until the recording ends (`Context::admit`).
//!
//! Waiting can deadlock in one way, as any lock can: when recorded work waits for another thread that uses the same device.
//! Jobs that rayon hands to the recording thread while it waits there are taken for recorded work.
//!
//! A recording is *refused* where the host takes part in the work. Nothing that was recorded has been computed then, so the
//! recording ends there, what it holds is launched once, and the rest of the work is done plainly. Operands and inputs were
//! in their places before it began. So what the host reads is right, the results are those of the plain work, and nothing
//! is done twice or has to be given up.

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

/// What errors call it.
pub(super) const RECORDING: &str = "a graph of recorded work (a device that is opened without graphs does it plainly)";

thread_local! {
    /// What this thread records.
    static CAPTURE: RefCell<Option<Capture>> = const { RefCell::new(None) };
}

pub(super) struct Capture {
    /// Keeps other threads from the device. It goes first, for memory that is freed may have to ask the device.
    alone: RwLockWriteGuard<'static, ()>,
    context: &'static Context,
    graphs: &'static dyn Graphs,
    inputs: Inputs,
    region: Arc<Region>,
    kept: Vec<Arc<Memory>>,
}

/// What a recording has made: the graph's number, and what its kernels read and write besides operands and results.
pub(super) struct Captured {
    pub graph: u64,
    pub inputs: Inputs,
    pub kept: (Vec<Arc<Memory>>, Arc<Region>),
}

/// The memory that recorded work allocates. Its kernels use it each time the graph is launched, so nobody else may have it.
pub(super) struct Region {
    context: &'static Context,
    all: Mutex<Vec<(u64, usize)>>,
    /// What a recording has freed, for what it allocates next.
    free: Mutex<HashMap<usize, Vec<u64>>>,
}

impl Region {
    /// The address of so many words, and how many they really are.
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
    /// Makes this thread record what it asks of the device, once the other threads have come to an end of what they ask.
    pub(super) fn begin(context: &'static Context, graphs: &'static dyn Graphs, inputs: Inputs) {
        let alone = context.close();
        context.done(RECORDING, graphs.begin_capture());
        let region = Arc::new(Region { context, all: Mutex::default(), free: Mutex::default() });
        CAPTURE.set(Some(Capture { alone, context, graphs, inputs, region, kept: Vec::new() }));
    }

    /// Ends this thread's recording; nothing if it has been refused.
    pub(super) fn end() -> Option<Captured> {
        let Capture { alone, context, graphs, inputs, region, kept } = take()?;
        let graph = graphs.end_capture();
        drop(alone);
        Some(Captured { graph: context.done(RECORDING, graph), inputs, kept: (kept, region) })
    }

    pub(super) fn region(&self) -> Arc<Region> {
        self.region.clone()
    }

    /// Where an input lies, if the recording was told the same words.
    pub(super) fn input(&self, input: &GraphInput) -> Option<Buffer> {
        self.inputs.find(input)
    }

    /// Holds the memory of these buffers, unless it is the recorded work's own.
    pub(super) fn keep<'b>(&mut self, buffers: impl Iterator<Item = &'b Buffer>) {
        let memory = buffers.map(Buffer::memory);
        self.kept.extend(memory.filter(|memory| !memory.is_of(&self.region)).cloned());
    }
}

/// Whether this thread records, on whatever device.
pub(super) fn is_on() -> bool {
    CAPTURE.try_with(|capture| capture.borrow().is_some()).unwrap_or(false)
}

/// What `f` says of this thread's recording on a device, if there is one. A thread that ends may still free tensors, and
/// records nothing then.
pub(super) fn with<R>(context: &Context, f: impl FnOnce(&mut Capture) -> R) -> Option<R> {
    let here = |capture: &RefCell<Option<Capture>>| {
        capture.borrow_mut().as_mut().filter(|capture| ptr::eq(capture.context, context)).map(f)
    };
    CAPTURE.try_with(here).ok().flatten()
}

fn take() -> Option<Capture> {
    CAPTURE.try_with(RefCell::take).ok().flatten()
}

/// Ends this thread's recording, if there is one, and launches what it holds. To be called where the host takes part in
/// work: what the host did would be the same each time a graph is launched.
pub(crate) fn refuse_capture() {
    let Some(capture) = take() else { return };
    let Capture { context, graphs, .. } = capture;
    let launched = graphs.end_capture().and_then(|graph| {
        // SAFETY: the graph has just been made on this device, and the capture holds the memory that its kernels use.
        let launched = unsafe { graphs.launch(graph) };
        graphs.free(graph);
        launched
    });
    // Work that unwinds has an error already.
    if !thread::panicking() {
        context.done(RECORDING, launched);
    }
}

/// Ends this thread's recording when work unwinds out of it.
pub(super) struct EndOnUnwind;

impl Drop for EndOnUnwind {
    fn drop(&mut self) {
        refuse_capture();
    }
}
