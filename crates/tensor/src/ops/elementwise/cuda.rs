//! The CUDA kernels of the same loops.

use crate::cuda::{Argument, Buffer, Context};

/// The number of threads in a block.
const THREADS: usize = 256;

/// Returns `f(x)` for every element, where `f` is a kernel of `elementwise.cu` that takes these additional numbers.
pub(crate) fn map(kernel: &'static str, x: &Buffer, numbers: &[f32]) -> Buffer {
    run(kernel, x.context(), &[x], x.len(), numbers)
}

/// Returns `f(x, y)` for every pair of elements.
pub(crate) fn zip(kernel: &'static str, x: &Buffer, y: &Buffer, numbers: &[f32]) -> Buffer {
    assert_eq!(x.len(), y.len(), "operands of {kernel}");
    run(kernel, x.context(), &[x, y], x.len(), numbers)
}

/// Returns a buffer filled with one number.
pub(crate) fn filled(context: &'static Context, len: usize, value: f32) -> Buffer {
    run("fill_f32", context, &[], len, &[value])
}

fn run(kernel: &'static str, context: &'static Context, operands: &[&Buffer], len: usize, numbers: &[f32]) -> Buffer {
    let (out, count) = (Buffer::stale(context, len), len as i32);
    let mut arguments: Vec<&dyn Argument> = operands.iter().map(|&operand| operand as _).collect();
    arguments.extend([&out as &dyn Argument, &count]);
    arguments.extend(numbers.iter().map(|number| number as &dyn Argument));
    // Each thread computes four elements.
    context.launch(kernel, [len.div_ceil(4 * THREADS), 1, 1], [THREADS, 1, 1], &arguments);
    out
}
