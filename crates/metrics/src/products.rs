//! Matrix products in f64. Blocks depend on shapes alone, so that results do not depend on the number of threads.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

/// The rows of a product that one job computes.
const BLOCK: usize = 256;

/// Wraps a matrix in row-major order for faer.
pub(crate) fn as_faer(a: &Array2<f64>) -> MatRef<'_, f64> {
    let (rows, columns) = a.dim();
    MatRef::from_row_major_slice(a.as_slice().expect("an owned matrix in standard layout"), rows, columns)
}

/// Computes `a b`.
pub(crate) fn product(a: MatRef<f64>, b: MatRef<f64>) -> Array2<f64> {
    let mut out = Array2::zeros((a.nrows(), b.ncols()));
    let blocks = out.axis_chunks_iter_mut(Axis(0), BLOCK).into_par_iter().enumerate();
    blocks.for_each(|(i, mut out)| {
        let (rows, columns) = out.dim();
        let out = out.as_slice_mut().expect("whole rows of a matrix in standard layout");
        let out = MatMut::from_row_major_slice_mut(out, rows, columns);
        matmul(out, Accum::Replace, a.subrows(i * BLOCK, rows), b, 1.0, Par::Seq);
    });
    out
}

/// Calls `f` with the first row number of each block, and with the block of scalar products of the rows of `a` (rows)
/// and those of `b` (columns). The results come in order.
pub(crate) fn row_products<R: Send>(
    a: &Array2<f64>,
    b: &Array2<f64>,
    f: impl Fn(usize, ArrayView2<f64>) -> R + Sync,
) -> Vec<R> {
    let (a, b) = (as_faer(a), as_faer(b).transpose());
    let blocks = (0..a.nrows()).into_par_iter().step_by(BLOCK);
    blocks
        .map(|first| {
            let rows = BLOCK.min(a.nrows() - first);
            let mut out = vec![0.0; rows * b.ncols()];
            let into = MatMut::from_row_major_slice_mut(&mut out, rows, b.ncols());
            matmul(into, Accum::Replace, a.subrows(first, rows), b, 1.0, Par::Seq);
            f(first, ArrayView2::from_shape((rows, b.ncols()), &out).expect("rows of as many products"))
        })
        .collect()
}
