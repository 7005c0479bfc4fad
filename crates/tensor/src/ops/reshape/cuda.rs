//! The CUDA kernels of reshaping and permuting.

use crate::cuda::{Argument, Buffer};
use crate::layout::Nchw;
use crate::shape::MAX_RANK;

/// Returns the transpose of a matrix with this many columns.
pub(super) fn transposed(x: &Buffer, columns: usize) -> Buffer {
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
