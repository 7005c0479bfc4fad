//! The leaky rectifier, with and without the affine map that stands before it in every layer.
//!
//! Its slope is constant on either side of 0, so the derivative with respect to the sign is zero everywhere it exists,
//! and [`Tensor::gated_by`] closes the operation under differentiation: it is linear in what it gates.

use rayon::prelude::*;

use super::elementwise::{map, planes_per_task, zip};
use crate::cpu::vectorised;
use crate::pool::Buffer;
use crate::shape::Shape;
use crate::storage::{Element, dispatch};
use crate::tensor::Tensor;

impl Tensor {
    /// Every element where it is positive, `slope` times it elsewhere; a slope of 0 is the plain rectifier.
    pub fn leaky_relu(&self, slope: f64) -> Tensor {
        assert_slope(slope);
        let storage = dispatch!(self, |x| activated(x, slope));
        // The result has the sign of the operand, so the operand's memory need not be kept.
        Tensor::with_saved_output(self.shape(), storage, &[self], move |y| {
            move |back| vec![Some(back.upstream.gated_by(&back.output(&y).detach(), slope))]
        })
    }

    /// Every element where `sign` is positive, `slope` times it elsewhere: the gradient of [`Tensor::leaky_relu`].
    pub fn gated_by(&self, sign: &Tensor, slope: f64) -> Tensor {
        assert_eq!(self.shape(), sign.shape(), "a gate has the shape of what it gates");
        let storage = dispatch!(self, sign, |x, sign| gated(x, sign, slope));
        let sign = sign.detach();
        Tensor::from_operation(self.shape(), storage, &[self], move |back| {
            vec![Some(back.upstream.gated_by(&sign, slope))]
        })
    }

    /// `(x * scale + shift).leaky_relu(slope)` in one pass over memory.
    ///
    /// `scale` and `shift` have one number per channel and per group of rows: shape `[g, c, 1, 1]` where g divides N,
    /// as for [`Tensor::broadcast_to`]. Without `scale` it is a layer's bias and activation, with it the affine half of
    /// a conditional batch norm.
    pub fn affine_leaky_relu(&self, scale: Option<&Tensor>, shift: &Tensor, slope: f64) -> Tensor {
        assert_slope(slope);
        let shape = self.shape();
        for table in [scale, Some(shift)].into_iter().flatten() {
            let expected = Shape::matrix(table.shape().n, shape.c);
            assert!(
                table.shape() == expected && expected.broadcasts_to(shape),
                "affine_leaky_relu of {shape:?} with a table of {:?}",
                table.shape()
            );
        }
        let storage = match scale {
            Some(scale) => dispatch!(self, scale, shift, |x, scale, shift| affine(x, Some(scale), shift, shape, slope)),
            None => dispatch!(self, shift, |x, shift| affine(x, None, shift, shape, slope)),
        };
        // Only the gradient of the scale reads the operand's numbers.
        let scale_and_x = scale.map(|scale| (scale.clone(), self.clone()));
        let shift_shape = shift.shape();
        let operands: Vec<&Tensor> = [self, shift].into_iter().chain(scale).collect();
        Tensor::with_saved_output(shape, storage, &operands, |y| {
            move |back| {
                let before = back.upstream.gated_by(&back.output(&y).detach(), slope);
                let to_shift = back.when(1, || before.sum_to(shift_shape));
                match &scale_and_x {
                    None => vec![Some(before), to_shift],
                    Some((scale, x)) => vec![
                        back.when(0, || &before * scale),
                        to_shift,
                        back.when(2, || (&before * x).sum_to(scale.shape())),
                    ],
                }
            }
        })
    }
}

fn assert_slope(slope: f64) {
    assert!((0.0..1.0).contains(&slope), "the slope of a leaky rectifier lies in [0, 1): {slope}");
}

fn activated<T: Element>(x: &[T], slope: f64) -> Buffer<T> {
    let slope = T::from_f64(slope);
    map(x, move |x| if x > T::zero() { x } else { slope * x })
}

fn gated<T: Element>(x: &[T], sign: &[T], slope: f64) -> Buffer<T> {
    let slope = T::from_f64(slope);
    zip(x, sign, move |x, sign| if sign > T::zero() { x } else { slope * x })
}

fn affine<T: Element>(x: &[T], scale: Option<&[T]>, shift: &[T], shape: Shape, slope: f64) -> Buffer<T> {
    let (plane, c, slope) = (shape.plane(), shape.c, T::from_f64(slope));
    // Images that share one row of a table.
    let block = |table: &[T]| plane / table.len();
    let (scale_block, shift_block) = (scale.map_or(1, block), block(shift));
    let mut out = Buffer::stale(x.len());
    let planes = out.par_chunks_exact_mut(plane).zip(x.par_chunks_exact(plane));
    planes.with_min_len(planes_per_task(plane)).for_each(|(out, x)| {
        vectorised(
            #[inline(always)]
            move || {
                // Moved in, the slope stays in a register: no store can change it.
                let activate = move |z: T| if z > T::zero() { z } else { slope * z };
                for (n, (out, x)) in out.chunks_exact_mut(c).zip(x.chunks_exact(c)).enumerate() {
                    let shift = &shift[n / shift_block * c..][..c];
                    match scale {
                        Some(scale) => {
                            let scale = &scale[n / scale_block * c..][..c];
                            for i in 0..c {
                                out[i] = activate(x[i] * scale[i] + shift[i]);
                            }
                        }
                        None => {
                            for i in 0..c {
                                out[i] = activate(x[i] + shift[i]);
                            }
                        }
                    }
                }
            },
        );
    });
    out
}
