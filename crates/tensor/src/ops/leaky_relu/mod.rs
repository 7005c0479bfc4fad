//! The leaky rectifier, with and without an affine map before it, and the gradients of a layer that ends in a bias and
//! a rectifier.
//!
//! The rectifier's slope is constant on either side of 0, so its derivative with respect to the sign is zero wherever
//! it exists. [`Tensor::leaky_relu_grad`] is linear in the tensor that it gates, so it closes the operation under
//! differentiation.

mod cuda;

use rayon::prelude::*;

use super::elementwise::{self, CHUNK, map, planes_per_task, zip};
use crate::autograd::{Backward, is_recording};
use crate::cpu::microkernel::LANES;
use crate::cpu::vectorised;
use crate::layout::Nchw;
use crate::pool::Buffer;
use crate::storage::{Element, dispatch, operands};
use crate::tensor::{SavedOutput, Tensor};

impl Tensor {
    /// Returns each element where it is positive and `slope` times the element elsewhere. A slope of 0 gives the plain
    /// rectifier.
    ///
    /// # Panics
    /// Panics if the slope does not lie in `[0, 1]`.
    #[track_caller]
    pub fn leaky_relu(&self, slope: f64) -> Tensor {
        assert_slope(slope);
        let storage =
            dispatch!(operands("leaky_relu", [self]), |[x]| activated(x, slope), |[x]| elementwise::cuda::map(
                "leaky_relu_f32",
                x,
                &[slope as f32]
            ));
        // The result is positive exactly where the operand is, so the operand's memory need not be kept.
        Tensor::with_saved_output(self.shape(), storage, &[self], move |y| {
            move |back| vec![Some(back.upstream.leaky_relu_grad(&back.output(&y).detach(), slope))]
        })
    }

    /// Returns each element where `output` is positive and `slope` times the element elsewhere. This is the gradient of
    /// [`Tensor::leaky_relu`], if `output` has the signs of its result.
    ///
    /// # Panics
    /// Panics if the shapes differ.
    #[track_caller]
    pub fn leaky_relu_grad(&self, output: &Tensor, slope: f64) -> Tensor {
        let (gradient, result) = (self.shape(), output.shape());
        assert!(
            gradient == result,
            "leaky_relu_grad: a gradient of shape {gradient:?} of a result of shape {result:?}"
        );
        assert_slope(slope);
        if slope == 1.0 {
            return self.clone();
        }
        let sign = output;
        let storage =
            dispatch!(operands("leaky_relu_grad", [self, sign]), |[x, sign]| gated(x, sign, slope), |[x, sign]| {
                elementwise::cuda::zip("leaky_relu_grad_f32", x, sign, &[slope as f32])
            });
        let sign = sign.detach();
        Tensor::from_operation(self.shape(), storage, &[self], move |back| {
            vec![Some(back.upstream.leaky_relu_grad(&sign, slope))]
        })
    }

    /// Returns `(x * scale + shift).leaky_relu(slope)` in one pass over memory. This is conditional batch normalisation
    /// with standing statistics.
    ///
    /// This tensor is `[n, c, h, w]` or `[n, c]`. `scale` and `shift` are `[c]`, with one element for each channel, or
    /// `[r, c]`, with a row for each of r equal blocks of images.
    ///
    /// # Panics
    /// Panics if a table has another shape, or the slope does not lie in `[0, 1]`.
    #[track_caller]
    pub fn affine_leaky_relu(&self, scale: &Tensor, shift: &Tensor, slope: f64) -> Tensor {
        assert_slope(slope);
        let shape = self.images_or_rows("affine_leaky_relu");
        for table in [scale, shift] {
            table.table_rows("affine_leaky_relu", shape);
        }
        let storage = dispatch!(
            operands("affine_leaky_relu", [self, scale, shift]),
            |[x, scale, shift]| affine(x, scale, shift, shape, slope),
            |[x, scale, shift]| cuda::affine(x, scale, shift, shape, slope)
        );
        let (x, saved_scale) = (self.clone(), scale.clone());
        let shift_shape = shift.shape();
        Tensor::with_saved_output(self.shape(), storage, &[self, scale, shift], |y| {
            move |back| {
                let before = back.upstream.leaky_relu_grad(&back.output(&y).detach(), slope);
                vec![
                    back.when(0, || &before * saved_scale.spread(x.shape())),
                    back.when(1, || (&before * &x).sum_to_table(saved_scale.shape())),
                    back.when(2, || before.sum_to_table(shift_shape)),
                ]
            }
        })
    }
}

#[track_caller]
pub(super) fn assert_slope(slope: f64) {
    assert!((0.0..=1.0).contains(&slope), "the slope of a leaky rectifier lies in [0, 1]: {slope}");
}

#[inline(always)]
pub(super) fn rectified<T: Element>(x: T, slope: T) -> T {
    if x > T::zero() { x } else { slope * x }
}

/// Returns the gradients of `y = (z + bias).leaky_relu(slope)` with respect to z and, if it is wanted, to the bias. The
/// bias is operand number `bias` and has one element per channel. There is no y if the slope is 1.
///
/// Gating and summing take one pass over memory if the gradient's own graph is not recorded.
pub(super) fn leaky_relu_gradients(
    back: &Backward,
    y: Option<&SavedOutput>,
    slope: f64,
    bias: usize,
) -> (Tensor, Option<Tensor>) {
    let upstream = back.upstream;
    let channels = upstream.shape()[1];
    let Some(y) = y.map(|y| back.output(y).detach()) else {
        return (upstream.clone(), back.when(bias, || upstream.sum_to_table([channels].into())));
    };
    if is_recording() || !back.wants(bias) {
        let before = upstream.leaky_relu_grad(&y, slope);
        let to_bias = back.when(bias, || before.sum_to_table([channels].into()));
        return (before, to_bias);
    }
    let [gated, sums] = dispatch!(
        operands("leaky_relu_grad", [upstream, &y]),
        |[g, y]| gated_and_summed(g, y, slope, channels),
        |[g, y]| cuda::gated_and_summed(g, y, slope, channels)
    );
    (Tensor::constant(y.shape(), gated), Some(Tensor::constant([channels].into(), sums)))
}

fn activated<T: Element>(x: &[T], slope: f64) -> Buffer<T> {
    let slope = T::from_f64(slope);
    map(x, move |x| rectified(x, slope))
}

#[inline(always)]
pub(super) fn gate<T: Element>(x: T, sign: T, slope: T) -> T {
    if sign > T::zero() { x } else { slope * x }
}

fn gated<T: Element>(x: &[T], sign: &[T], slope: f64) -> Buffer<T> {
    let slope = T::from_f64(slope);
    zip(x, sign, move |x, sign| gate(x, sign, slope))
}

/// Returns the result of [`gated`] and its sums over all rows of `c` elements. Rows are summed in chunks, and chunks in
/// order; `broadcast/mod.rs` explains why.
fn gated_and_summed<T: Element>(x: &[T], sign: &[T], slope: f64, c: usize) -> [Buffer<T>; 2] {
    let slope = T::from_f64(slope);
    let chunk = (CHUNK / c).max(1) * c;
    let mut out = Buffer::stale(x.len());
    let mut partial = Buffer::stale(x.len().div_ceil(chunk) * c);
    let chunks = (out.par_chunks_mut(chunk), partial.par_chunks_exact_mut(c));
    (chunks, x.par_chunks(chunk), sign.par_chunks(chunk)).into_par_iter().for_each(|((out, sums), x, sign)| {
        vectorised(
            #[inline(always)]
            move || {
                let (blocks, rest) = sums.as_chunks_mut::<LANES>();
                let first = blocks.len() * LANES;
                for (i, sums) in blocks.iter_mut().enumerate() {
                    *sums = gate_columns(out, x, sign, slope, i * LANES, c);
                }
                for (i, sum) in rest.iter_mut().enumerate() {
                    [*sum] = gate_columns(out, x, sign, slope, first + i, c);
                }
            },
        );
    });
    let mut total = Buffer::zeros(c);
    for partial in partial.chunks_exact(c) {
        total.iter_mut().zip(partial).for_each(|(total, &partial)| *total += partial);
    }
    [out, total]
}

/// Gates `N` columns, from `first` on, of a matrix with `c` columns, and returns their sums.
#[inline(always)]
fn gate_columns<T: Element, const N: usize>(
    out: &mut [T],
    x: &[T],
    sign: &[T],
    slope: T,
    first: usize,
    c: usize,
) -> [T; N] {
    let mut sums = [T::zero(); N];
    for start in (first..x.len()).step_by(c) {
        // These are copies, so that no store can change what is still to be read.
        let mut gated: [T; N] = *x[start..].first_chunk().expect("N columns");
        let sign: [T; N] = *sign[start..].first_chunk().expect("N columns");
        for i in 0..N {
            gated[i] = gate(gated[i], sign[i], slope);
            sums[i] += gated[i];
        }
        out[start..start + N].copy_from_slice(&gated);
    }
    sums
}

fn affine<T: Element>(x: &[T], scale: &[T], shift: &[T], shape: Nchw, slope: f64) -> Buffer<T> {
    let (plane, c, slope) = (shape.plane(), shape.c, T::from_f64(slope));
    // The block sizes count the images that share one row of a table.
    let [scale_block, shift_block] = [scale, shift].map(|table| plane / table.len());
    let mut out = Buffer::stale(x.len());
    let planes = out.par_chunks_exact_mut(plane).zip(x.par_chunks_exact(plane));
    planes.with_min_len(planes_per_task(plane)).for_each(|(out, x)| {
        vectorised(
            #[inline(always)]
            move || {
                for (n, (out, x)) in out.chunks_exact_mut(c).zip(x.chunks_exact(c)).enumerate() {
                    let (scale, shift) = (&scale[n / scale_block * c..][..c], &shift[n / shift_block * c..][..c]);
                    for i in 0..c {
                        // The closure owns the slope, so it stays in a register: no store can change it.
                        out[i] = rectified(x[i] * scale[i] + shift[i], slope);
                    }
                }
            },
        );
    });
    out
}
