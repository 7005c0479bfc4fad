//! Repeats a small tensor to fill a larger shape, and sums back to the small shape. Each is the other's gradient.
//!
//! The kernels repeat rows in blocks: a tensor of G rows fills N rows, where G divides N, so that row n of the result
//! reads row n / (N / G). One row of statistics or of class parameters can thus serve one class-pure group of a batch.
//! The public interface to this is [`Tensor::repeat_interleave`]; broadcasting follows NumPy's rule alone.

pub(crate) mod cuda;

use rayon::prelude::*;

use super::elementwise::planes_per_task;
use crate::cpu::microkernel::LANES;
use crate::layout::Nchw;
use crate::pool::Buffer;
use crate::shape::Shape;
use crate::storage::{Element, dispatch, operands};
use crate::tensor::Tensor;

impl Tensor {
    /// Broadcasts this tensor to `shape` by NumPy's rule: axes are compared from the last to the first, and each axis
    /// of this tensor has the length of that of `shape`, has length 1 or is absent.
    ///
    /// # Panics
    /// Panics if the shapes do not fit.
    #[track_caller]
    pub fn broadcast_to(&self, shape: impl Into<Shape>) -> Tensor {
        let (from, to) = (self.shape(), shape.into());
        assert!(from.broadcast(&to) == Some(to), "broadcast_to: the shape {from:?} cannot be broadcast to {to:?}");
        self.repeat_to(to)
    }

    /// Returns the sums of the elements that [`Tensor::broadcast_to`] would fill from the same element.
    ///
    /// # Panics
    /// Panics if `shape` cannot be broadcast to this tensor's shape.
    #[track_caller]
    pub fn sum_to(&self, shape: impl Into<Shape>) -> Tensor {
        let (from, to) = (self.shape(), shape.into());
        assert!(to.broadcast(&from) == Some(from), "sum_to: a tensor of shape {from:?} cannot be summed to {to:?}");
        self.sum_rows_to(to)
    }

    /// Repeats every row of the first axis `repeats` times, one after another: row i of the result is row
    /// `i / repeats`.
    ///
    /// # Panics
    /// Panics if this tensor is a scalar.
    #[track_caller]
    pub fn repeat_interleave(&self, repeats: usize) -> Tensor {
        let rows = self.shape()[0];
        if self.shape().place(0) == 0 && repeats > 0 {
            return self.repeat_to(self.shape().with(0, rows * repeats));
        }
        self.index_select(0, &(0..rows * repeats).map(|i| i / repeats).collect::<Vec<_>>())
    }

    /// Returns the sum of all elements, a scalar.
    pub fn sum(&self) -> Tensor {
        self.sum_rows_to(Shape::SCALAR)
    }

    /// Returns the means of the elements that [`Tensor::sum_to`] adds up.
    ///
    /// # Panics
    /// Panics if `shape` cannot be broadcast to this tensor's shape.
    #[track_caller]
    pub fn mean_to(&self, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        self.sum_to(shape) * (shape.len() as f64 / self.shape().len() as f64)
    }

    /// Returns the mean of all elements, a scalar.
    pub fn mean(&self) -> Tensor {
        self.mean_to(Shape::SCALAR)
    }

    /// Returns the sums over some axes, which the result no longer has.
    ///
    /// # Panics
    /// Panics if there is no such axis.
    #[track_caller]
    pub fn sum_axes(&self, axes: &[usize]) -> Tensor {
        self.sum_to(self.shape_over(axes)).without_axes(axes)
    }

    /// Returns the means over some axes, which the result no longer has.
    ///
    /// # Panics
    /// Panics if there is no such axis.
    #[track_caller]
    pub fn mean_axes(&self, axes: &[usize]) -> Tensor {
        self.mean_to(self.shape_over(axes)).without_axes(axes)
    }

    /// Returns this tensor's shape with length 1 along some axes.
    #[track_caller]
    pub(super) fn shape_over(&self, axes: &[usize]) -> Shape {
        let mut shape = self.shape();
        for &axis in axes {
            shape = shape.with(axis, 1);
        }
        shape
    }

    /// Removes some axes, which have length 1.
    pub(super) fn without_axes(&self, axes: &[usize]) -> Tensor {
        let left: Vec<usize> =
            (0..self.shape().rank()).filter(|axis| !axes.contains(axis)).map(|axis| self.shape()[axis]).collect();
        self.reshape_to(Shape::of(&left).expect("fewer axes than before"))
    }

    /// Broadcasts as [`Tensor::broadcast_to`] does, but may also repeat rows in blocks.
    pub(crate) fn repeat_to(&self, shape: Shape) -> Tensor {
        if self.shape() == shape {
            return self.clone();
        }
        if shape.is_empty() {
            return Tensor::zeros(shape, self.device());
        }
        let (from, to) = (self.shape().nchw_among(shape.rank()), shape.nchw());
        debug_assert!(from.repeats_to(to), "{from:?} repeated to {to:?}");
        let storage =
            dispatch!(operands("broadcast_to", [self]), |[x]| repeated(x, from, to), |[x]| cuda::repeated(x, from, to));
        let small = self.shape();
        Tensor::from_operation(shape, storage, &[self], move |back| vec![Some(back.upstream.sum_rows_to(small))])
    }

    /// Sums as [`Tensor::sum_to`] does, but may also sum blocks of rows.
    pub(crate) fn sum_rows_to(&self, shape: Shape) -> Tensor {
        if self.shape() == shape {
            return self.clone();
        }
        if self.shape().is_empty() {
            return Tensor::zeros(shape, self.device());
        }
        let (from, to) = (self.shape().nchw(), shape.nchw_among(self.shape().rank()));
        debug_assert!(to.repeats_to(from), "{from:?} summed to {to:?}");
        let storage = dispatch!(operands("sum_to", [self]), |[x]| summed(x, from, to), |[x]| cuda::summed(x, from, to));
        let large = self.shape();
        Tensor::from_operation(shape, storage, &[self], move |back| vec![Some(back.upstream.repeat_to(large))])
    }
}

/// Returns the pixel of the small tensor that corresponds to pixel `q` of the large one.
fn small_pixel(q: usize, small: Nchw, large: Nchw) -> usize {
    let (y, x) = (q / large.w, q % large.w);
    (if small.h == 1 { 0 } else { y }) * small.w + if small.w == 1 { 0 } else { x }
}

fn repeated<T: Element>(x: &[T], from: Nchw, to: Nchw) -> Buffer<T> {
    let mut out = Buffer::stale(to.len());
    let block = to.n / from.n;
    let planes = out.par_chunks_mut(to.plane()).enumerate();
    planes.with_min_len(planes_per_task(to.plane())).for_each(|(q, out)| {
        let x = &x[small_pixel(q, from, to) * from.plane()..][..from.plane()];
        if from.plane() == to.plane() {
            out.copy_from_slice(x);
        } else {
            for (n, row) in out.chunks_exact_mut(to.c).enumerate() {
                let source = &x[n / block * from.c..][..from.c];
                if from.c == to.c { row.copy_from_slice(source) } else { row.fill(source[0]) }
            }
        }
    });
    out
}

/// Sums pixels in bands, and bands in order, so that the result does not depend on the number of threads, and little on
/// rounding: a sum of many numbers is a sum of sums.
fn summed<T: Element>(x: &[T], from: Nchw, to: Nchw) -> Buffer<T> {
    const BANDS: usize = 16;
    let mut out = Buffer::zeros(to.len());
    if to.pixels() == from.pixels() {
        out.par_chunks_mut(to.plane()).enumerate().for_each(|(q, out)| add_plane(x, q, from, to, out));
        return out;
    }
    let bands = from.pixels().min(BANDS);
    let mut partial = Buffer::zeros(bands * to.len());
    partial.par_chunks_mut(to.len()).enumerate().for_each(|(band, partial)| {
        let mut plane = Buffer::stale(to.plane());
        for q in from.pixels() * band / bands..from.pixels() * (band + 1) / bands {
            plane.fill(T::zero());
            add_plane(x, q, from, to, &mut plane);
            let start = small_pixel(q, to, from) * to.plane();
            add(&mut partial[start..start + to.plane()], &plane);
        }
    });
    for partial in partial.chunks_exact(to.len()) {
        add(&mut out, partial);
    }
    out
}

/// Adds pixel `q` of `x` to one plane of the result.
fn add_plane<T: Element>(x: &[T], q: usize, from: Nchw, to: Nchw, plane: &mut [T]) {
    let x = &x[q * from.plane()..][..from.plane()];
    if from.plane() == to.plane() {
        return add(plane, x);
    }
    let block = from.n / to.n;
    if to.c == 1 {
        for (target, x) in plane.iter_mut().zip(x.chunks_exact(block * from.c)) {
            *target += sum(x);
        }
        return;
    }
    for (n, row) in x.chunks_exact(from.c).enumerate() {
        add(&mut plane[n / block * to.c..][..to.c], row);
    }
}

/// Returns the sum of contiguous elements. There is one partial sum for every sixteenth element, so that vector
/// instructions can compute them together.
fn sum<T: Element>(x: &[T]) -> T {
    let mut sums = [T::zero(); LANES];
    for x in x.chunks(LANES) {
        add(&mut sums, x);
    }
    sums.into_iter().sum()
}

fn add<T: Element>(target: &mut [T], x: &[T]) {
    for (target, &x) in target.iter_mut().zip(x) {
        *target += x;
    }
}
