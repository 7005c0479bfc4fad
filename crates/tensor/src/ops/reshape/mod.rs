//! Operations that give the same elements other axes: reshaping keeps their logical order, and permuting permutes the
//! axes.
//!
//! In memory the order is H, W, N, C. If there is only one pixel, or only one row and one channel, this is the logical
//! order. Otherwise memory holds the transpose of a matrix of N * C rows and H * W columns, so reshaping takes at most
//! two transpositions.

mod cuda;

use rayon::prelude::*;

use super::elementwise::planes_per_task;
use crate::autograd::Backward;
use crate::layout::Nchw;
use crate::pool::Buffer;
use crate::shape::{MAX_RANK, Shape};
use crate::storage::{Element, dispatch, operands, transpose};
use crate::tensor::Tensor;

impl Tensor {
    /// Returns the same elements, in the same logical order, with another shape.
    ///
    /// # Panics
    /// Panics if the shape has another number of elements.
    #[track_caller]
    pub fn reshape(&self, shape: impl Into<Shape>) -> Tensor {
        let (from, to) = (self.shape(), shape.into());
        let (count, asked) = (from.len(), to.len());
        assert!(
            count == asked,
            "reshape: a tensor of shape {from:?} has {count} elements, the shape {to:?} has {asked}"
        );
        self.reshape_to(to)
    }

    /// Flattens all axes but the first: `[n, c, h, w]` becomes `[n, c * h * w]`.
    ///
    /// # Panics
    /// Panics if this tensor is a scalar.
    #[track_caller]
    pub fn flatten(&self) -> Tensor {
        let rows = self.shape()[0];
        self.reshape([rows, self.shape().axes()[1..].iter().product()])
    }

    /// Permutes the axes: axis i of the result is axis `order[i]` of this tensor.
    ///
    /// # Panics
    /// Panics if `order` does not name each axis exactly once.
    #[track_caller]
    pub fn permute(&self, order: &[usize]) -> Tensor {
        let from = self.shape();
        let rank = from.rank();
        let is_permutation = order.len() == rank && (0..rank).all(|axis| order.contains(&axis));
        assert!(is_permutation, "permute: {order:?} does not name each of the axes 0..{rank} once");
        if order.is_sorted() {
            return self.clone();
        }
        let lengths: Vec<usize> = order.iter().map(|&axis| from[axis]).collect();
        let to = Shape::of(&lengths).expect("as many axes as before");
        // The strides are the distances in this tensor's memory between elements that are adjacent along each axis of
        // the result.
        let mut strides = [0; MAX_RANK];
        for (place, &axis) in order.iter().enumerate() {
            strides[to.place(place)] = from.strided(axis).inner;
        }
        let nchw = to.nchw();
        let storage = dispatch!(operands("permute", [self]), |[x]| permuted(x, nchw, strides), |[x]| cuda::permuted(
            x, nchw, strides
        ));
        let mut back_to = [0; MAX_RANK];
        order.iter().enumerate().for_each(|(place, &axis)| back_to[axis] = place);
        Tensor::from_operation(to, storage, &[self], move |back| vec![Some(back.upstream.permute(&back_to[..rank]))])
    }

    /// Returns the transpose of a matrix.
    ///
    /// # Panics
    /// Panics if this tensor is not a matrix; see [`Tensor::permute`] for other tensors.
    #[track_caller]
    pub fn t(&self) -> Tensor {
        self.matrix("t");
        self.permute(&[1, 0])
    }

    /// Reshapes to a shape that is known to have as many elements.
    pub(crate) fn reshape_to(&self, shape: Shape) -> Tensor {
        let old = self.shape();
        if old == shape {
            return self.clone();
        }
        let (from, to) = (old.nchw(), shape.nchw());
        let back_to_old = move |back: &Backward| vec![Some(back.upstream.reshape_to(old))];
        let transpositions = transpositions(from, to);
        let Some((&first, others)) = transpositions.split_first() else {
            return Tensor::sharing(shape, self, back_to_old);
        };
        let storage = dispatch!(
            operands("reshape", [self]),
            |[x]| others.iter().fold(transposed(x, first), |x, &columns| transposed(&x, columns)),
            |[x]| others.iter().fold(cuda::transposed(x, first), |x, &columns| cuda::transposed(&x, columns))
        );
        Tensor::from_operation(shape, storage, &[self], back_to_old)
    }
}

/// Returns the numbers of columns of the matrices whose transpositions lead from the memory order of one shape to that of
/// another, by way of the logical order. There are none if the elements lie in the same order.
fn transpositions(from: Nchw, to: Nchw) -> Vec<usize> {
    let is_logical = |shape: Nchw| shape.plane() <= 1 || shape.pixels() <= 1;
    if (from.plane(), from.pixels()) == (to.plane(), to.pixels()) {
        return Vec::new();
    }
    let steps = [(from, from.plane()), (to, to.pixels())].into_iter();
    steps.filter(|&(shape, _)| !is_logical(shape)).map(|(_, columns)| columns).collect()
}

/// Returns the transpose of a matrix with this many columns.
fn transposed<T: Element>(x: &[T], columns: usize) -> Buffer<T> {
    let mut out = Buffer::stale(x.len());
    transpose(x, columns, &mut out, |value| value);
    out
}

/// Returns a tensor of shape `to` whose element at (n, c, h, w) lies in `x` at the sum of its indices times these
/// strides.
fn permuted<T: Element>(x: &[T], to: Nchw, [sn, sc, sh, sw]: [usize; MAX_RANK]) -> Buffer<T> {
    let mut out = Buffer::stale(to.len());
    let planes = out.par_chunks_mut(to.plane().max(1)).enumerate();
    planes.with_min_len(planes_per_task(to.plane())).for_each(|(pixel, out)| {
        let start = pixel / to.w * sh + pixel % to.w * sw;
        for (n, row) in out.chunks_exact_mut(to.c).enumerate() {
            let start = start + n * sn;
            row.iter_mut().enumerate().for_each(|(c, out)| *out = x[start + c * sc]);
        }
    });
    out
}
