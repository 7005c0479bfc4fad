//! The same loops as kernels.

use crate::cuda::{Argument, Buffer, Context};

/// Threads of a block.
const THREADS: usize = 256;

/// `f(x)` for every element, `f` being a kernel of `elementwise.cu` that takes these numbers besides.
pub(crate) fn map(kernel: &'static str, x: &Buffer, numbers: &[f32]) -> Buffer {
    run(kernel, x.context(), &[x], x.len(), numbers)
}

/// `f(x, y)` for every pair of elements.
pub(crate) fn zip(kernel: &'static str, x: &Buffer, y: &Buffer, numbers: &[f32]) -> Buffer {
    assert_eq!(x.len(), y.len(), "operands of {kernel}");
    run(kernel, x.context(), &[x, y], x.len(), numbers)
}

/// A buffer of the same number everywhere.
pub(crate) fn filled(context: &'static Context, len: usize, value: f32) -> Buffer {
    run("fill_f32", context, &[], len, &[value])
}

fn run(kernel: &'static str, context: &'static Context, operands: &[&Buffer], len: usize, numbers: &[f32]) -> Buffer {
    let (out, count) = (Buffer::stale(context, len), len as i32);
    let mut arguments: Vec<&dyn Argument> = operands.iter().map(|&operand| operand as _).collect();
    arguments.extend([&out as &dyn Argument, &count]);
    arguments.extend(numbers.iter().map(|number| number as &dyn Argument));
    // A thread computes four elements.
    context.launch(kernel, [len.div_ceil(4 * THREADS), 1, 1], [THREADS, 1, 1], &arguments);
    out
}
