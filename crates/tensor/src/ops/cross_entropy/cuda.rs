//! The CUDA kernels of the loss and its gradient.

use crate::cuda::{Argument, Buffer};

/// Returns the maximum of each row.
pub(super) fn row_maxima(x: &Buffer, rows: usize) -> Buffer {
    let maxima = Buffer::stale(x.context(), rows);
    let arguments: [&dyn Argument; 4] = [x, &maxima, &(rows as i32), &columns(x, rows)];
    // Each warp reads one row, and a block has eight warps.
    x.context().launch("row_maxima_f32", [rows.div_ceil(8), 1, 1], [256, 1, 1], &arguments);
    maxima
}

/// Returns the logarithm of each row's sum of exponentials, and the loss.
pub(super) fn cross_entropy(x: &Buffer, labels: &Buffer) -> [Buffer; 2] {
    let rows = labels.len();
    let results = [rows, 1].map(|len| Buffer::stale(x.context(), len));
    let [log_sums, loss] = &results;
    let arguments: [&dyn Argument; 6] = [x, labels, log_sums, loss, &(rows as i32), &columns(x, rows)];
    x.context().launch("cross_entropy_f32", [1, 1, 1], [256, 1, 1], &arguments);
    results
}

pub(super) fn cross_entropy_gradient([x, labels, log_sums, upstream]: [&Buffer; 4]) -> Buffer {
    let (rows, out) = (labels.len(), Buffer::stale(x.context(), x.len()));
    let arguments: [&dyn Argument; 7] = [x, labels, log_sums, upstream, &out, &(rows as i32), &columns(x, rows)];
    x.context().launch_for_each("cross_entropy_gradient_f32", x.len(), &arguments);
    out
}

fn columns(x: &Buffer, rows: usize) -> i32 {
    (x.len() / rows) as i32
}
