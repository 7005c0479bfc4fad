//! The same numbers under other axes: reshaping, which keeps their logical order, and permuting, which permutes it.
//!
//! In memory the order is H, W, N, C. With one pixel, or one row and one channel, that is the logical order; else the numbers
//! are the transpose of a matrix of N * C rows and H * W columns, so that reshaping takes two transpositions at most.

mod cuda;

use rayon::prelude::*;

use super::elementwise::planes_per_task;
use crate::layout::Nchw;
use crate::pool::Buffer;
use crate::shape::{MAX_RANK, Shape};
use crate::storage::{Element, dispatch, operands, transpose};
use crate::tensor::Tensor;

impl Tensor {
    /// The same numbers, in the same logical order, in another shape.
    ///
    /// # Panics
    /// When the shape is of another number of elements.
    #[track_caller]
    pub fn reshape(&self, shape: impl Into<Shape>) -> Tensor {
        let (from, to) = (self.shape(), shape.into());
        assert_eq!(
            from.len(),
            to.len(),
            "reshape: a tensor of shape {from:?} has not as many elements as the shape {to:?}"
        );
        self.reshape_to(to)
    }

    /// One row of all numbers of each element of the first axis: `[n, c, h, w]` becomes `[n, c * h * w]`.
    ///
    /// # Panics
    /// When the tensor is a scalar.
    #[track_caller]
    pub fn flatten(&self) -> Tensor {
        let rows = self.shape()[0];
        self.reshape([rows, self.shape().axes()[1..].iter().product()])
    }

    /// The axes in another order: axis i of the result is axis `order[i]` of this tensor.
    ///
    /// # Panics
    /// When `order` does not name each axis once.
    #[track_caller]
    pub fn permute(&self, order: &[usize]) -> Tensor {
        let from = self.shape();
        let rank = from.rank();
        let is_permutation = order.len() == rank && (0..rank).all(|axis| order.contains(&axis));
        assert!(is_permutation, "permute: {order:?} does not name each of the axes 0..{rank} once");
        let lengths: Vec<usize> = order.iter().map(|&axis| from[axis]).collect();
        let to = Shape::of(&lengths).expect("as many axes as before");
        // How far apart the elements of each axis of the result lie in this tensor's memory.
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

    /// The transpose of a matrix.
    ///
    /// # Panics
    /// When this is no matrix; see [`Tensor::permute`] for other tensors.
    #[track_caller]
    pub fn t(&self) -> Tensor {
        let [_, _] = self.shape().dims();
        self.permute(&[1, 0])
    }

    /// [`Tensor::reshape`] to a shape that has as many elements.
    pub(crate) fn reshape_to(&self, shape: Shape) -> Tensor {
        let old = self.shape();
        if old == shape {
            return self.clone();
        }
        let (from, to) = (old.nchw(), shape.nchw());
        if from.in_memory() == to.in_memory() {
            return self.relabelled(shape);
        }
        let storage =
            dispatch!(operands("reshape", [self]), |[x]| in_memory(&logical(x, from), to), |[x]| cuda::reshaped(
                x, from, to
            ));
        Tensor::from_operation(shape, storage, &[self], move |back| vec![Some(back.upstream.reshape_to(old))])
    }

    /// The same memory under a shape whose numbers lie in the same order.
    pub(super) fn relabelled(&self, shape: Shape) -> Tensor {
        let old = self.shape();
        if old == shape {
            return self.clone();
        }
        Tensor::sharing(shape, self, move |back| vec![Some(back.upstream.relabelled(old))])
    }
}

impl Nchw {
    /// What decides where the elements lie: the matrix that memory holds the transpose of.
    fn in_memory(&self) -> [usize; 2] {
        let order = [self.plane(), self.pixels()];
        if order.contains(&1) { [1, self.len()] } else { order }
    }
}

/// The numbers in logical order.
fn logical<T: Element>(x: &[T], shape: Nchw) -> Buffer<T> {
    let mut out = Buffer::stale(x.len());
    transpose(x, shape.plane(), &mut out, |value| value);
    out
}

/// The numbers, given in logical order, as memory holds them.
fn in_memory<T: Element>(x: &[T], shape: Nchw) -> Buffer<T> {
    let mut out = Buffer::stale(x.len());
    transpose(x, shape.pixels(), &mut out, |value| value);
    out
}

/// A tensor of shape `to` whose element at (n, c, h, w) lies in `x` at the sum of these strides.
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
