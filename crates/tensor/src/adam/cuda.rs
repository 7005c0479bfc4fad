//! The step of Adam as one CUDA kernel for all parameters.

use super::Step;
use crate::cuda::{Argument, Buffer, GraphInput};

/// The number of elements of a parameter that a block updates.
const BLOCK: usize = 1024;

impl Step {
    /// Returns the numbers as kernels read them, in the order of `Step` in adam.cu.
    pub(super) fn numbers(&self) -> GraphInput {
        let Step { rate, beta1, beta2, root_scale, epsilon } = *self;
        let numbers = [rate, beta1, beta2, 1.0 - beta1, 1.0 - beta2, root_scale, epsilon];
        GraphInput::new("step of Adam", numbers.map(|number| (number as f32).to_bits()))
    }

    /// Returns the new value and running means of each parameter, which is given as its value, gradient and running
    /// means. The results are parts of three flat buffers.
    pub(super) fn launch(&self, parameters: &[[&Buffer; 4]]) -> Vec<[Buffer; 3]> {
        let mut blocks = 0;
        let starts: Vec<usize> = parameters
            .iter()
            .map(|[value, ..]| {
                let start = blocks;
                blocks += value.len().div_ceil(BLOCK);
                start
            })
            .collect();
        let table: Vec<u64> = parameters
            .iter()
            .zip(&starts)
            .flat_map(|(buffers, &start)| {
                let numbers = [buffers[0].len() as u64, start as u64];
                buffers.iter().map(|buffer| buffer.address()).chain(numbers).collect::<Vec<_>>()
            })
            .collect();
        let context = parameters[0][0].context();
        let flat = [0; 3].map(|_| Buffer::stale(context, blocks * BLOCK));
        let numbers = self.numbers();
        let numbers = context.graph_input(&numbers).unwrap_or_else(|| Buffer::upload(context, numbers.words()));
        let table = Buffer::upload(context, &table);
        context.keep(parameters.as_flattened().iter().copied());
        let [values, firsts, seconds] = &flat;
        let arguments: [&dyn Argument; 6] = [&table, &(parameters.len() as i32), values, firsts, seconds, &numbers];
        context.launch("adam_f32", [blocks, 1, 1], [256, 1, 1], &arguments);
        let parts = parameters.iter().zip(starts);
        parts.map(|([value, ..], start)| flat.each_ref().map(|flat| flat.part(start * BLOCK, value.len()))).collect()
    }
}
