//! Batch normalisation without its affine half: zero mean and unit variance per channel and group of the batch.
//!
//! Both directions are fused kernels. The backward kernel runs only when its own graph is not recorded; when it is, the
//! gradient is that of the same function composed of other operations, and a test compares the two.

use rayon::prelude::*;

use super::elementwise::planes_per_task;
use crate::autograd::is_recording;
use crate::cpu::vectorised;
use crate::pool::Buffer;
use crate::shape::Shape;
use crate::storage::{Element, dispatch};
use crate::tensor::Tensor;

impl Tensor {
    /// `(x - mean) / sqrt(variance + epsilon)`, with the mean and the biased variance of each channel over the pixels
    /// and images of one group. The batch consists of `groups` groups of equal size, one after another: one group is
    /// plain batch norm, several are the class-pure batches of a replaying generator (paper section 3).
    ///
    /// # Panics
    /// When `groups` does not divide N.
    pub fn normalise(&self, groups: usize, epsilon: f64) -> Tensor {
        let shape = self.shape();
        assert!(groups > 0 && shape.n.is_multiple_of(groups), "normalise {shape:?} in {groups} groups");
        let grouped = Grouped { shape, groups };
        let table = |storage| Tensor::constant(Shape::matrix(groups, shape.c), storage);
        let mean = table(dispatch!(self, |x| grouped.means(x)));
        let inverse = table(dispatch!(self, mean, |x, mean| grouped.inverse_deviations(x, mean, epsilon)));
        let storage = dispatch!(self, mean, inverse, |x, mean, inverse| grouped.normalised(x, mean, inverse));
        let x = self.clone();
        Tensor::with_saved_output(shape, storage, &[self], move |y| {
            move |back| {
                let gradient = if is_recording() {
                    x.normalise_gradient_composed(back.upstream, groups, epsilon)
                } else {
                    let y = back.output(&y);
                    let storage = dispatch!(back.upstream, y, inverse, |g, y, inverse| grouped.backward(g, y, inverse));
                    Tensor::constant(shape, storage)
                };
                vec![Some(gradient)]
            }
        })
    }

    /// The gradient of [`Tensor::normalise`] for this operand, made of other operations: slower, and differentiable any
    /// number of times with respect to both the operand and `upstream`.
    fn normalise_gradient_composed(&self, upstream: &Tensor, groups: usize, epsilon: f64) -> Tensor {
        let table = Shape::matrix(groups, self.shape().c);
        let centred = self - &self.mean_to(table);
        let inverse = centred.square().mean_to(table).shift(epsilon).sqrt().reciprocal();
        let y = &centred * &inverse;
        let mean_gy = (upstream * &y).mean_to(table);
        &(&(upstream - &upstream.mean_to(table)) - &(&y * &mean_gy)) * &inverse
    }
}

/// Kernels over a batch in groups; a table has one row of C numbers per group.
#[derive(Clone, Copy)]
struct Grouped {
    shape: Shape,
    groups: usize,
}

impl Grouped {
    /// Numbers of a table.
    fn table_len(&self) -> usize {
        self.groups * self.shape.c
    }

    /// Numbers that each entry of a table stands for.
    fn members<T: Element>(&self) -> T {
        T::from_f64((self.shape.len() / self.table_len()) as f64)
    }

    /// One plane of the batch as (group, row of C numbers); `position` of the first number counts from the plane's start.
    fn rows(&self) -> impl Iterator<Item = (usize, usize)> {
        let (c, per_group) = (self.shape.c, self.shape.n / self.groups);
        (0..self.shape.n).map(move |n| (n / per_group * c, n * c))
    }

    /// Sums over pixels and rows into a table. `add_row(sums, group, row)` adds the row at position `row` of the whole
    /// tensor to its group's sums. Pixels are summed in bands, and bands in order: see `broadcast.rs`.
    fn sums<T: Element>(&self, add_row: impl Fn(&mut [T], usize, usize) + Sync) -> Buffer<T> {
        const BANDS: usize = 16;
        let (bands, len, c) = (self.shape.pixels().min(BANDS), self.table_len(), self.shape.c);
        let mut partial = Buffer::zeros(bands * len);
        partial.par_chunks_mut(len).enumerate().for_each(|(band, partial)| {
            let mut plane = Buffer::stale(len);
            for q in self.shape.pixels() * band / bands..self.shape.pixels() * (band + 1) / bands {
                plane.fill(T::zero());
                vectorised(
                    #[inline(always)]
                    || {
                        for (group, row) in self.rows() {
                            add_row(&mut plane[group..group + c], group, q * self.shape.plane() + row);
                        }
                    },
                );
                partial.iter_mut().zip(plane.iter()).for_each(|(sum, &plane)| *sum += plane);
            }
        });
        let mut total = Buffer::zeros(len);
        for partial in partial.chunks_exact(len) {
            total.iter_mut().zip(partial).for_each(|(total, &partial)| *total += partial);
        }
        total
    }

    /// A tensor filled row by row: `fill_row(out, group, row)`.
    fn fill<T: Element>(&self, fill_row: impl Fn(&mut [T], usize, usize) + Sync) -> Buffer<T> {
        let mut out = Buffer::stale(self.shape.len());
        let planes = out.par_chunks_mut(self.shape.plane()).enumerate();
        planes.with_min_len(planes_per_task(self.shape.plane())).for_each(|(q, out)| {
            vectorised(
                #[inline(always)]
                || {
                    for (group, row) in self.rows() {
                        fill_row(&mut out[row..row + self.shape.c], group, q * self.shape.plane() + row);
                    }
                },
            );
        });
        out
    }

    fn means<T: Element>(&self, x: &[T]) -> Buffer<T> {
        let mut means: Buffer<T> = self.sums(|sums, _, row| {
            for (sum, &x) in sums.iter_mut().zip(&x[row..]) {
                *sum += x;
            }
        });
        means.iter_mut().for_each(|mean| *mean = *mean / self.members());
        means
    }

    fn inverse_deviations<T: Element>(&self, x: &[T], mean: &[T], epsilon: f64) -> Buffer<T> {
        let mut squares: Buffer<T> = self.sums(|sums, group, row| {
            for ((sum, &x), &mean) in sums.iter_mut().zip(&x[row..]).zip(&mean[group..]) {
                *sum += (x - mean) * (x - mean);
            }
        });
        let epsilon = T::from_f64(epsilon);
        squares.iter_mut().for_each(|square| *square = (*square / self.members() + epsilon).sqrt().recip());
        squares
    }

    fn normalised<T: Element>(&self, x: &[T], mean: &[T], inverse: &[T]) -> Buffer<T> {
        self.fill(|out, group, row| {
            let table = mean[group..].iter().zip(&inverse[group..]);
            for ((out, &x), (&mean, &inverse)) in out.iter_mut().zip(&x[row..]).zip(table) {
                *out = (x - mean) * inverse;
            }
        })
    }

    /// `inverse * (g - mean(g) - y * mean(g y))`, means per group and channel, y the normalised tensor.
    fn backward<T: Element>(&self, g: &[T], y: &[T], inverse: &[T]) -> Buffer<T> {
        let mean_g = self.means(g);
        let mut mean_gy: Buffer<T> = self.sums(|sums, _, row| {
            for ((sum, &g), &y) in sums.iter_mut().zip(&g[row..]).zip(&y[row..]) {
                *sum += g * y;
            }
        });
        mean_gy.iter_mut().for_each(|mean| *mean = *mean / self.members());
        self.fill(|out, group, row| {
            let table = mean_g[group..].iter().zip(&mean_gy[group..]).zip(&inverse[group..]);
            for (((out, &g), &y), ((&mean_g, &mean_gy), &inverse)) in
                out.iter_mut().zip(&g[row..]).zip(&y[row..]).zip(table)
            {
                *out = inverse * (g - mean_g - y * mean_gy);
            }
        })
    }
}
