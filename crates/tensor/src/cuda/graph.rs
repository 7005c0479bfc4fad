//! Work that is recorded once and then done again with one call to the driver: CUDA graphs.
//!
//! A graph is a function of tensors: it reads its operands where it was recorded with them, so they are copied there, and
//! its results are copied from where it writes them. What it keeps in memory between is its own.

use std::any::Any;
use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};

use super::buffer::{Buffer, Memory};
use super::context::{Argument, Context};
use super::{context, lock};
use crate::adam::StepNumbers;
use crate::random::Address;
use crate::storage::{Device, Storage};
use crate::tensor::Tensor;

/// What errors call it.
const RECORDING: &str = "a graph of recorded work (MERGAN_CUDA_GRAPHS=0 in the environment does without)";

/// A recorded function of tensors on a CUDA device.
pub struct Graph {
    context: &'static Context,
    graph: u64,
    turn: Buffer,
    operands: Vec<Tensor>,
    results: Vec<Tensor>,
    /// What its kernels were given besides, and where they have their own memory.
    _kept: (Vec<Arc<Memory>>, Arc<Region>),
}

/// What a recorded step is told besides its operands each time it is done. It lies in the device's memory.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Where its random numbers are drawn; stream and task stay those of the recording.
    pub address: Address,
    /// What [`Adam::next_step`](crate::Adam::next_step) says of its one step of the optimiser.
    pub step: StepNumbers,
}

impl Turn {
    /// Words before the numbers of the optimiser.
    const POSITION: usize = 2;

    fn words(&self) -> Vec<u32> {
        let position = [self.address.inner, self.address.iteration];
        position.into_iter().chain(self.step.0.map(f32::to_bits)).collect()
    }
}

/// A recording on its way.
pub(super) struct Capture {
    at: Address,
    turn: Buffer,
    region: Arc<Region>,
    kept: Vec<Arc<Memory>>,
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

thread_local! {
    static CAPTURING: Cell<bool> = const { Cell::new(false) };
}

/// Ends a recording on this thread: the work cannot be recorded.
struct Refused;

/// To be called where the host takes part in work: what it did would be the same each time a graph is launched.
pub(crate) fn refuse_capture() {
    if CAPTURING.get() {
        resume_unwind(Box::new(Refused));
    }
}

impl Capture {
    pub(super) fn region(&self) -> Arc<Region> {
        self.region.clone()
    }

    /// Where the position of random numbers lies that are drawn at this address.
    pub(super) fn position(&self, address: Address) -> Buffer {
        let at = |address: Address| (address.iteration, address.inner);
        if at(address) != at(self.at) {
            refuse_capture();
        }
        self.turn.part(0, Turn::POSITION)
    }

    /// Where the numbers of the optimiser's step lie.
    pub(super) fn step(&self) -> Buffer {
        self.turn.part(Turn::POSITION, self.turn.len() - Turn::POSITION)
    }

    /// Holds the memory of what a recorded kernel is given.
    pub(super) fn keep(&mut self, arguments: &[&dyn Argument]) {
        let memory = arguments.iter().filter_map(|argument| argument.buffer()).map(Buffer::memory);
        self.kept.extend(memory.filter(|memory| !memory.is_of(&self.region)).cloned());
    }
}

impl Graph {
    /// Records what `work` does with operands of these shapes; nothing of it is done. The turn is that of the steps which
    /// it takes: it draws random numbers at this iteration and inner step, and takes one step of Adam at most.
    ///
    /// `None` where the device records nothing, or the host takes part in the work: reads a tensor, or draws random numbers
    /// for itself. `MERGAN_CUDA_GRAPHS=0` in the environment keeps everything from being recorded.
    ///
    /// # Panics
    /// When there are no operands, or they are on different devices.
    pub fn capture(turn: &Turn, operands: &[&Tensor], work: impl FnOnce(&[Tensor]) -> Vec<Tensor>) -> Option<Graph> {
        let Device::Cuda(index) = operands[0].device() else { return None };
        let context = context(index);
        let graphs =
            context.graphs().filter(|_| std::env::var_os("MERGAN_CUDA_GRAPHS").is_none_or(|value| value != "0"))?;
        let operands = alike(context, operands.iter().copied());
        let capture = Capture {
            at: turn.address,
            turn: Buffer::stale(context, turn.words().len()),
            region: Arc::new(Region { context, all: Mutex::default(), free: Mutex::default() }),
            kept: Vec::new(),
        };
        context.done(RECORDING, graphs.begin_capture());
        context.set_capture(Some(capture));
        let before = CAPTURING.replace(true);
        // What the work leaves half done is lost with it.
        let results = catch_unwind(AssertUnwindSafe(|| work(&operands)));
        CAPTURING.set(before);
        let capture = context.set_capture(None).expect("the recording that was begun");
        let graph = context.done(RECORDING, graphs.end_capture());
        let Capture { turn, kept, region, .. } = capture;
        let graph = |results| Graph { context, graph, turn, operands, results, _kept: (kept, region) };
        match results {
            Ok(results) => Some(graph(results)),
            Err(payload) => {
                drop(graph(Vec::new()));
                given_up(payload)
            }
        }
    }

    /// Does the work with other operands of the same shapes, at another turn. The results are constants.
    ///
    /// # Panics
    /// When the operands' number, shapes or device differ from those of the recording.
    pub fn launch(&self, turn: &Turn, operands: &[&Tensor]) -> Vec<Tensor> {
        let Graph { context, graph, .. } = *self;
        let shapes = |tensors: &mut dyn Iterator<Item = &Tensor>| tensors.map(Tensor::shape).collect::<Vec<_>>();
        let (given, recorded) = (shapes(&mut operands.iter().copied()), shapes(&mut self.operands.iter()));
        assert_eq!(given, recorded, "operands of a graph");
        self.turn.overwrite(&turn.words());
        copy(context, operands.iter().copied().zip(&self.operands));
        let graphs = context.graphs().expect("the device that recorded it");
        // SAFETY: the graph was recorded on this device, and holds the memory that its kernels use.
        context.done(RECORDING, unsafe { graphs.launch(graph) });
        let results = alike(context, self.results.iter());
        copy(context, self.results.iter().zip(&results));
        results
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        if let Some(graphs) = self.context.graphs() {
            graphs.free(self.graph);
        }
    }
}

/// What becomes of work that unwound.
fn given_up(payload: Box<dyn Any + Send>) -> Option<Graph> {
    if payload.is::<Refused>() { None } else { resume_unwind(payload) }
}

fn buffer(tensor: &Tensor) -> &Buffer {
    match tensor.storage() {
        Storage::Cuda(buffer) => buffer,
        other => panic!("a graph of a tensor on {}", other.device()),
    }
}

/// Tensors of the same shapes, whose numbers are whatever the memory's last user left. Each has memory of its own, so that
/// one that is kept keeps no others.
fn alike<'t>(context: &'static Context, tensors: impl Iterator<Item = &'t Tensor>) -> Vec<Tensor> {
    let stale = |tensor: &Tensor| Storage::Cuda(Buffer::stale(context, tensor.shape().len()));
    tensors.map(|tensor| Tensor::constant(tensor.shape(), stale(tensor))).collect()
}

/// Copies each first tensor to the second.
fn copy<'t>(context: &'static Context, pairs: impl Iterator<Item = (&'t Tensor, &'t Tensor)>) {
    /// Numbers of a block.
    const BLOCK: usize = 1024;
    let (mut table, mut count, mut blocks) = (Vec::new(), 0, 0);
    for (from, to) in pairs {
        let (from, to) = (buffer(from), buffer(to));
        table.extend([from.address(), to.address(), to.len() as u64, blocks as u64]);
        count += 1;
        blocks += to.len().div_ceil(BLOCK);
    }
    context.launch("copies_f32", [blocks, 1, 1], [256, 1, 1], &[&Buffer::upload(context, &table), &count]);
}
