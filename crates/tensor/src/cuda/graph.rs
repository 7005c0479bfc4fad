//! CUDA graphs: work that is recorded once and then repeated with one call to the driver.
//!
//! A graph is a function of tensors. It reads its operands at the addresses where it was recorded with them, so they
//! are copied there, and its results are copied from where it writes them. All memory in between belongs to the graph.
//! Host values that change from launch to launch, such as the position in a stream of random numbers, are its inputs:
//! words in the device's memory.

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
    /// The other memory that its kernels use: existing buffers that it read, and memory of its own.
    _kept: (Vec<Arc<Memory>>, Arc<Region>),
}

/// Host values that recorded work reads from the device's memory, so that they can change with each launch of a graph.
/// [`Address::graph_input`](crate::Address::graph_input) and [`Adam::graph_input`](crate::Adam::graph_input) return
/// them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphInput {
    name: &'static str,
    words: Vec<u32>,
}

impl GraphInput {
    /// Labels words with their purpose. Each purpose needs its own name.
    pub(crate) fn new(name: &'static str, words: impl Into<Vec<u32>>) -> GraphInput {
        GraphInput { name, words: words.into() }
    }

    pub(crate) fn words(&self) -> &[u32] {
        &self.words
    }
}

/// The inputs of a graph, stored contiguously in the device's memory.
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

    /// Returns the memory of the input that was declared with the same words.
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
    /// Runs `work` on these operands, exactly once, and records it if possible. Returns the results, which are
    /// constants, and the graph of the work if there is one.
    ///
    /// There is no graph if the device does not record, or if the host takes part in the work: if the work reads or
    /// prints a tensor, draws random numbers on the host, uses another CUDA device, launches or drops another graph, or
    /// needs words of the host that are not among `inputs`, such as those of a second step of Adam. The results are
    /// valid either way. Work finds an input by its purpose and its words, so whatever needs equal words now gets equal
    /// words at each launch. A capture within recorded work returns no graph of its own and becomes part of the outer
    /// one.
    ///
    /// Other threads that use the device wait until the recording ends. Work must therefore not wait for another thread
    /// that uses the device. If the work waits for rayon, a job that rayon runs on this thread in the meantime counts
    /// as part of the work. Effects of the work besides its results are not repeated by a launch, and tensors that it
    /// stores elsewhere are overwritten by each launch.
    ///
    /// # Panics
    /// Panics if there are no operands, if operands or results are on different devices, if two inputs are equal, or if
    /// the device fails outside of [`catch`](super::catch).
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

    /// Repeats the work with new input words and with new operands of the same shapes. The results are constants.
    ///
    /// A launch within recorded work ends that recording, as described at [`Graph::capture`].
    ///
    /// # Panics
    /// Panics if the purposes or lengths of the inputs, or the number, shapes or device of the operands differ from
    /// those of the recording, or if the device fails outside of [`catch`](super::catch).
    pub fn launch(&mut self, inputs: &[GraphInput], operands: &[&Tensor]) -> Vec<Tensor> {
        // The inputs are written immediately, which a recording would not repeat.
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

    /// Repeats the work with the current inputs and operands.
    fn run(&mut self) -> Vec<Tensor> {
        let Graph { context, graph, .. } = *self;
        let graphs = context.graphs().expect("the device that recorded it");
        let admitted = context.admit_host();
        // SAFETY: the graph was recorded on this device, and `self` keeps the memory that its kernels use.
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
            // The driver waits for the device here, which is impossible during a recording.
            let _admitted = self.context.admit_host();
            graphs.free(self.graph);
        }
    }
}

/// Returns the device if it can record and this thread is not recording already.
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

/// Returns tensors of the same shapes whose contents are arbitrary. Each has its own memory, so that keeping one does
/// not keep the others.
fn alike<'t>(context: &'static Context, tensors: impl Iterator<Item = &'t Tensor>) -> Vec<Tensor> {
    let stale = |tensor: &Tensor| Storage::Cuda(Buffer::stale(context, tensor.shape().len()));
    tensors.map(|tensor| Tensor::constant(tensor.shape(), stale(tensor))).collect()
}

/// Copies the first tensor of each pair to the second.
fn copy<'t>(context: &'static Context, pairs: impl Iterator<Item = (&'t Tensor, &'t Tensor)>) {
    /// The number of elements that a block copies.
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
