//! From feature maps to rows and back, in PyTorch's order: column (c * H + h) * W + w of a row is pixel (h, w) of
//! channel c. Each is the other's gradient.

mod cuda;

use crate::pool::Buffer;
use crate::shape::Shape;
use crate::storage::{Element, dispatch};
use crate::tensor::Tensor;

impl Tensor {
    /// One row of C * H * W columns per image: shape `[n, c * h * w, 1, 1]`.
    pub fn flatten(&self) -> Tensor {
        let Shape { n, c, h, w } = self.shape();
        if h * w == 1 {
            return self.clone();
        }
        let storage = dispatch!(self, |x| to_rows(x, self.shape()), |x| cuda::transposed(x, n * c));
        Tensor::from_operation(Shape::matrix(n, c * h * w), storage, &[self], move |back| {
            vec![Some(back.upstream.unflatten(c, h, w))]
        })
    }

    /// Rows of `c * h * w` columns as feature maps: shape `[n, c, h, w]`.
    ///
    /// # Panics
    /// When this tensor is no matrix with that many columns.
    pub fn unflatten(&self, c: usize, h: usize, w: usize) -> Tensor {
        let shape = Shape::new(self.shape().n, c, h, w);
        assert_eq!(self.shape(), Shape::matrix(shape.n, c * h * w), "unflatten to {shape:?}");
        if h * w == 1 {
            return self.clone();
        }
        let storage = dispatch!(self, |x| to_maps(x, shape), |x| cuda::transposed(x, h * w));
        Tensor::from_operation(shape, storage, &[self], |back| vec![Some(back.upstream.flatten())])
    }
}

fn to_rows<T: Element>(x: &[T], shape: Shape) -> Buffer<T> {
    let (pixels, columns) = (shape.pixels(), shape.c * shape.pixels());
    let mut out = Buffer::stale(x.len());
    for (n, row) in out.chunks_exact_mut(columns).enumerate() {
        for (q, plane) in x.chunks_exact(shape.plane()).enumerate() {
            for (c, &value) in plane[n * shape.c..][..shape.c].iter().enumerate() {
                row[c * pixels + q] = value;
            }
        }
    }
    out
}

fn to_maps<T: Element>(x: &[T], shape: Shape) -> Buffer<T> {
    let (pixels, columns) = (shape.pixels(), shape.c * shape.pixels());
    let mut out = Buffer::stale(x.len());
    for (n, row) in x.chunks_exact(columns).enumerate() {
        for (q, plane) in out.chunks_exact_mut(shape.plane()).enumerate() {
            for (c, value) in plane[n * shape.c..][..shape.c].iter_mut().enumerate() {
                *value = row[c * pixels + q];
            }
        }
    }
    out
}
