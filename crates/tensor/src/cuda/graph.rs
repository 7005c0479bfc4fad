//! Work that is recorded once and then done again with one call to the driver: CUDA graphs.
//!
//! A graph is a function of tensors: it reads its operands where it was recorded with them, so they are copied there, and
//! its results are copied from where it writes them. What it keeps in memory between is its own. Numbers of the host that
//! are others each time, such as the position of random numbers, are its inputs: words in the device's memory.

use std::sync::Arc;

use super::buffer::{Buffer, Memory};
use super::capture::{self, Capture, Captured, EndOnUnwind, RECORDING, Region, refuse_capture};
use super::context;
use super::context::Context;
use super::driver::Graphs;
use crate::storage::{Device, Storage};
use crate::tensor::Tensor;

/// A recorded function of tensors on a CUDA device.
pub struct Graph {
    context: &'static Context,
    graph: u64,
    inputs: Inputs,
    operands: Vec<Tensor>,
    results: Vec<Tensor>,
    /// What its kernels were given besides, and where they have their own memory.
    _kept: (Vec<Arc<Memory>>, Arc<Region>),
}

/// Words of the host that recorded work reads from memory, so that each launch of a graph can have others:
/// [`Address::graph_input`](crate::Address::graph_input) and [`Adam::graph_input`](crate::Adam::graph_input) make them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphInput {
    name: &'static str,
    words: Vec<u32>,
}

impl GraphInput {
    /// Words under the name of what they are for, which must be one's own.
    pub(crate) fn new(name: &'static str, words: impl Into<Vec<u32>>) -> GraphInput {
        GraphInput { name, words: words.into() }
    }

    pub(crate) fn words(&self) -> &[u32] {
        &self.words
    }
}

/// Inputs in a device's memory, one after another.
pub(super) struct Inputs {
    declared: Vec<GraphInput>,
    words: Buffer,
}

impl Inputs {
    fn new(context: &'static Context, inputs: &[GraphInput]) -> Inputs {
        let equal = inputs.iter().enumerate().find(|(place, input)| inputs[..*place].contains(input));
        assert!(equal.is_none(), "two equal inputs of a graph: {equal:?}");
        Inputs { declared: inputs.to_vec(), words: Buffer::upload(context, &joined(inputs)) }
    }

    /// Where an input lies that was declared with these words.
    pub(super) fn find(&self, input: &GraphInput) -> Option<Buffer> {
        let place = self.declared.iter().position(|declared| declared == input)?;
        let start = self.declared[..place].iter().map(|before| before.words.len()).sum();
        Some(self.words.part(start, input.words.len()))
    }

    fn overwrite(&self, inputs: &[GraphInput]) {
        let kinds =
            |inputs: &[GraphInput]| inputs.iter().map(|input| (input.name, input.words.len())).collect::<Vec<_>>();
        assert_eq!(kinds(inputs), kinds(&self.declared), "inputs of a graph");
        self.words.overwrite(&joined(inputs));
    }
}

fn joined(inputs: &[GraphInput]) -> Vec<u32> {
    inputs.iter().flat_map(|input| &input.words).copied().collect()
}

impl Graph {
    /// Does `work` with these operands, once, and records it where that is possible. Its results are constants.
    ///
    /// There is no graph on a device that records nothing, nor where the host takes part in the work: where it reads a tensor
    /// or prints one, draws random numbers for itself, uses another CUDA device or launches another graph, or where work
    /// needs words of the host that are not among these inputs, such as those of a second step of Adam. The work goes on
    /// plainly then, with the numbers that it would have had anyway. Inside of work that is recorded, this is a part of it.
    /// Work finds an input by what it is for and by its words: what needs the same words now gets the same at each launch.
    ///
    /// What other threads ask of the device meanwhile waits. Work that waits for another thread which uses the device
    /// therefore never ends; a job that rayon runs on this thread, while the work waits for others, is taken for a part of
    /// it. What the work does besides is done once and is no part of the graph: tensors that it keeps
    /// elsewhere change with each launch.
    ///
    /// # Panics
    /// When there are no operands, operands or results are on different devices, or inputs are equal; and as [`catch`](super::catch) says when
    /// the device fails.
    pub fn capture(
        inputs: &[GraphInput],
        operands: &[&Tensor],
        work: impl FnOnce(&[Tensor]) -> Vec<Tensor>,
    ) -> (Vec<Tensor>, Option<Graph>) {
        let device = operands[0].device();
        assert!(operands.iter().all(|operand| operand.device() == device), "operands of a graph on different devices");
        let work = |operands: &[Tensor]| {
            let results: Vec<Tensor> = work(operands).iter().map(Tensor::detach).collect();
            assert!(results.iter().all(|result| result.device() == device), "results of a graph on different devices");
            results
        };
        let Some((context, graphs)) = recorder(device) else {
            return (work(&operands.iter().map(|operand| operand.detach()).collect::<Vec<_>>()), None);
        };
        let own = alike(context, operands.iter().copied());
        copy(context, operands.iter().copied().zip(&own));
        Capture::begin(context, graphs, Inputs::new(context, inputs));
        let recording = EndOnUnwind;
        let results = work(&own);
        let captured = Capture::end();
        drop(recording);
        let Some(Captured { graph, inputs, kept }) = captured else { return (results, None) };
        let mut graph = Graph { context, graph, inputs, operands: own, results, _kept: kept };
        (graph.run(), Some(graph))
    }

    /// Does the work with other inputs and other operands of the same shapes. The results are constants.
    ///
    /// # Panics
    /// When the inputs' kinds, or the operands' number, shapes or device differ from those of the recording; and as
    /// [`catch`](super::catch) says when the device fails.
    pub fn launch(&mut self, inputs: &[GraphInput], operands: &[&Tensor]) -> Vec<Tensor> {
        // Inputs are written at once, so a launch cannot be a part of a recording.
        refuse_capture();
        let kinds = |tensors: &mut dyn Iterator<Item = &Tensor>| -> Vec<_> {
            tensors.map(|tensor| (tensor.shape(), tensor.device())).collect()
        };
        let (given, recorded) = (kinds(&mut operands.iter().copied()), kinds(&mut self.operands.iter()));
        assert_eq!(given, recorded, "operands of a graph");
        self.inputs.overwrite(inputs);
        copy(self.context, operands.iter().copied().zip(&self.operands));
        self.run()
    }

    /// Does the work with what lies in the places of inputs and operands.
    fn run(&mut self) -> Vec<Tensor> {
        let Graph { context, graph, .. } = *self;
        let graphs = context.graphs().expect("the device that recorded it");
        let admitted = context.admit_host();
        // SAFETY: the graph was recorded on this device, and holds the memory that its kernels use.
        let launched = unsafe { graphs.launch(graph) };
        drop(admitted);
        context.done(RECORDING, launched);
        let results = alike(context, self.results.iter());
        copy(context, self.results.iter().zip(&results));
        results
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        if let Some(graphs) = self.context.graphs() {
            // This waits for the device, as the host does that reads a tensor.
            let _admitted = self.context.admit_host();
            graphs.free(self.graph);
        }
    }
}

/// The device that can record, if it does and this thread is not at it already.
fn recorder(device: Device) -> Option<(&'static Context, &'static dyn Graphs)> {
    let Device::Cuda(index) = device else { return None };
    let context = context(index);
    let graphs = context.graphs()?;
    (!capture::is_on()).then_some((context, graphs))
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
