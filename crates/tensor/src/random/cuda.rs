//! The same numbers from kernels.

use super::{Address, Random};
use crate::cuda::{Argument, Buffer, GraphInput, context};
use crate::shape::Shape;
use crate::storage::Storage;

impl Address {
    /// The step and the substep as the input of a graph that draws random numbers there. Stream and part remain those
    /// of the recording.
    pub fn graph_input(self) -> GraphInput {
        GraphInput::new("position of random numbers", [self.substep, self.step])
    }
}

impl Random {
    /// The numbers that `normal_f32` or `uniform_f32` makes on a device.
    pub(super) fn on_device(&self, kernel: &'static str, address: Address, shape: Shape, index: usize) -> Storage {
        let (context, len) = (context(index), shape.len());
        let numbers = Buffer::stale(context, len);
        let key = [self.seed as u32, (self.seed >> 32) as u32];
        let place = [address.substep, address.step, address.purpose()];
        let position = context.graph_input(&address.graph_input());
        let arguments: [&dyn Argument; 6] =
            [&numbers, &shape.nchw().axes(), &(len as i32), &key, &place, &position.as_ref()];
        // A thread makes four numbers.
        context.launch_for_each(kernel, len.div_ceil(4), &arguments);
        Storage::Cuda(numbers)
    }
}
