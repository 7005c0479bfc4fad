//! Both directions are the transpose of a matrix.

use crate::cuda::{Argument, Buffer};

/// The transpose of a matrix with so many columns.
pub(super) fn transposed(x: &Buffer, columns: usize) -> Buffer {
    let (out, rows) = (Buffer::stale(x.context(), x.len()), x.len() / columns);
    let tiles = rows.div_ceil(32) * columns.div_ceil(32);
    let arguments: [&dyn Argument; 4] = [x, &out, &(rows as i32), &(columns as i32)];
    x.context().launch("transpose_f32", [tiles, 1, 1], [32, 8, 1], &arguments);
    out
}
