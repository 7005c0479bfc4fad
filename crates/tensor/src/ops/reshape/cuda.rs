//! The CUDA kernels of reshaping and permuting.

use crate::cuda::{Argument, Buffer};
use crate::layout::Nchw;
use crate::shape::MAX_RANK;

/// Moves elements from the memory order of one shape to that of another, by way of the logical order.
pub(super) fn reshaped(x: &Buffer, from: Nchw, to: Nchw) -> Buffer {
    let is_logical = |shape: Nchw| shape.plane() == 1 || shape.pixels() == 1;
    match (is_logical(from), is_logical(to)) {
        (true, _) => transposed(x, to.pixels()),
        (false, true) => transposed(x, from.plane()),
        (false, false) => transposed(&transposed(x, from.plane()), to.pixels()),
    }
}

/// Returns the transpose of a matrix with this many columns.
fn transposed(x: &Buffer, columns: usize) -> Buffer {
    let (out, rows) = (Buffer::stale(x.context(), x.len()), x.len() / columns);
    let tiles = rows.div_ceil(32) * columns.div_ceil(32);
    let arguments: [&dyn Argument; 4] = [x, &out, &(rows as i32), &(columns as i32)];
    x.context().launch("transpose_f32", [tiles, 1, 1], [32, 8, 1], &arguments);
    out
}

pub(super) fn permuted(x: &Buffer, to: Nchw, strides: [usize; MAX_RANK]) -> Buffer {
    let out = Buffer::stale(x.context(), to.len());
    let strides = strides.map(|stride| stride as i32);
    x.context().launch_for_each("permute_f32", to.len(), &[x, &out, &to.axes(), &strides, &(to.len() as i32)]);
    out
}
