//! Repeating a small tensor to fill a larger shape, and its opposite, summing back. Each is the other's gradient.
//!
//! The batch axis repeats in blocks: a tensor of G rows fills N rows, G dividing N, so that rows n of the result read
//! row n / (N / G). That is how one row of statistics or of class parameters serves one class-pure group of a batch.

pub(crate) mod cuda;

use rayon::prelude::*;

use super::elementwise::planes_per_task;
use crate::cpu::microkernel::LANES;
use crate::pool::Buffer;
use crate::shape::Shape;
use crate::storage::{Element, dispatch};
use crate::tensor::Tensor;

impl Tensor {
    /// This tensor repeated to fill `shape`: axes C, H and W must be equal or 1, and N must divide the new N (row n of
    /// the result is row n / (N / own N): each row fills one block).
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn broadcast_to(&self, shape: impl Into<Shape>) -> Tensor {
        let (from, to) = (self.shape(), shape.into());
        if from == to {
            return self.clone();
        }
        assert!(from.broadcasts_to(to), "broadcast of {from:?} to {to:?}");
        let storage = dispatch!(self, |x| repeated(x, from, to), |x| cuda::repeated(x, from, to));
        Tensor::from_operation(to, storage, &[self], move |back| vec![Some(back.upstream.sum_to(from))])
    }

    /// Sums of the elements that [`Tensor::broadcast_to`] would fill from one.
    ///
    /// # Panics
    /// When `shape` cannot be broadcast to this tensor's.
    pub fn sum_to(&self, shape: impl Into<Shape>) -> Tensor {
        let (from, to) = (self.shape(), shape.into());
        if from == to {
            return self.clone();
        }
        assert!(to.broadcasts_to(from), "sum of {from:?} to {to:?}");
        let storage = dispatch!(self, |x| summed(x, from, to), |x| cuda::summed(x, from, to));
        Tensor::from_operation(to, storage, &[self], move |back| vec![Some(back.upstream.broadcast_to(from))])
    }

    /// The sum of all elements, a scalar.
    pub fn sum(&self) -> Tensor {
        self.sum_to(Shape::SCALAR)
    }

    /// The mean of the elements that [`Tensor::sum_to`] adds up.
    pub fn mean_to(&self, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        self.sum_to(shape).scale(shape.len() as f64 / self.shape().len() as f64)
    }

    /// The mean of all elements, a scalar.
    pub fn mean(&self) -> Tensor {
        self.mean_to(Shape::SCALAR)
    }
}

/// The pixel of the small tensor that pixel `q` of the large one belongs to.
fn small_pixel(q: usize, small: Shape, large: Shape) -> usize {
    let (y, x) = (q / large.w, q % large.w);
    (if small.h == 1 { 0 } else { y }) * small.w + if small.w == 1 { 0 } else { x }
}

fn repeated<T: Element>(x: &[T], from: Shape, to: Shape) -> Buffer<T> {
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

/// Pixels are summed in bands, and bands in order, so that the result depends neither on the number of threads nor much
/// on rounding: a sum of many numbers is a sum of sums.
fn summed<T: Element>(x: &[T], from: Shape, to: Shape) -> Buffer<T> {
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
fn add_plane<T: Element>(x: &[T], q: usize, from: Shape, to: Shape, plane: &mut [T]) {
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

/// The sum of neighbouring numbers: every sixteenth is added up by itself, which vector instructions can do at once.
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
