//! The three maps of a convolution on the CPU.
//!
//! In the layout `[pixel][batch][channel]`, a pixel of all images is one contiguous matrix, and a convolution is a sum
//! of matrix products, one per tap that hits the input. Nothing is copied into columns (im2col), padding shortens the
//! list of taps instead of causing multiplications by zero (except in Winograd's path), and one microkernel computes
//! all products. The paths are:
//!
//! - [`mod@gather`]: `conv2d` and `input_grad` with more than [`NARROW`] output channels, unless Winograd's path is
//!   faster. The rows of a tile are (pixel, image) and the columns are channels; pixels with the same taps share tiles.
//! - [`mod@scatter`]: the same two maps with few output channels, where a tile of channels would be nearly empty. The
//!   columns are the batch and the rows are (tap, channel): a source pixel is scattered over all pixels that it
//!   reaches.
//! - [`mod@correlate`]: `weight_grad` with more than [`NARROW`] channels on both sides, unless Winograd's path is
//!   faster. Rows and columns are channels, and the reduction runs over pixels and images.
//! - [`mod@fold`]: `weight_grad` with few channels on one side. The rows are (tap, channel of that side) and the
//!   columns are channels of the other.
//! - [`mod@winograd`]: all three maps of 5x5 kernels with stride 2, with enough images and enough channels on both
//!   sides. It takes a third of the multiplications.
//!
//! A matrix product is a convolution with one pixel and one tap.
//!
//! *Invariant*: each element of a result is computed by one job, in one order, and the geometry alone determines the
//! jobs.

mod correlate;
mod fold;
mod gather;
mod plan;
mod scatter;
pub(super) mod winograd;

use rayon::prelude::*;

use super::epilogue::Epilogue;
use super::geometry::Geometry;
use crate::cpu::microkernel::LANES;
use crate::cpu::pack::{pack, pack_transposed, transpose};
use crate::cpu::{Simd, vectorised};
use crate::pool::Buffer;
use gather::gather;
use scatter::scatter;
use winograd::winograd;

/// A side with at most this many channels has dedicated kernels.
const NARROW: usize = 4;

/// Computes the convolution of `x` `[h][w][n][ci]` with `w` `[kh][kw][co][ci]`: `y` `[oh][ow][n][co]`.
pub(super) fn conv2d(g: &Geometry, x: &[f32], w: &[f32], epilogue: Option<&Epilogue<f32>>, y: &mut [f32]) {
    conv2d_packed(Simd::chosen(), g, x, &pack_conv2d(g, w), epilogue, y);
}

/// Computes the gradient of [`conv2d`] with respect to `x`, which is the transposed convolution of `dy`.
pub(super) fn input_grad(g: &Geometry, dy: &[f32], w: &[f32], epilogue: Option<&Epilogue<f32>>, dx: &mut [f32]) {
    input_grad_packed(Simd::chosen(), g, dy, &pack_input_grad(g, w), epilogue, dx);
}

/// Computes the gradient of [`conv2d`] with respect to `w`.
pub(super) fn weight_grad(g: &Geometry, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    weight_grad_with(Simd::chosen(), g, x, dy, dw);
}

/// Returns the weights in the order in which [`conv2d_packed`] reads them.
pub(super) fn pack_conv2d(g: &Geometry, w: &[f32]) -> Buffer<f32> {
    assert_eq!(w.len(), g.weight_len(), "weights of {g:?}");
    if g.co <= NARROW { Buffer::from(w) } else { pack_transposed(w, g.kh * g.kw, g.ci, g.co) }
}

/// Computes [`conv2d`] with weights from [`pack_conv2d`] and the given instruction set.
pub(super) fn conv2d_packed(
    simd: Simd,
    g: &Geometry,
    x: &[f32],
    packed: &[f32],
    epilogue: Option<&Epilogue<f32>>,
    y: &mut [f32],
) {
    assert_eq!((x.len(), y.len()), (g.input_len(), g.output_len()), "images of {g:?}");
    if g.co <= NARROW {
        scatter(simd, &scatter::Map::conv2d(g), x, packed, epilogue, y);
    } else if winograd::pays(g) {
        winograd(simd, &winograd::Map::conv2d(g), x, packed, epilogue, y);
    } else {
        gather(simd, &gather::Map::conv2d(g), x, packed, epilogue, y);
    }
}

/// Returns the weights in the order in which [`input_grad_packed`] reads them.
pub(super) fn pack_input_grad(g: &Geometry, w: &[f32]) -> Buffer<f32> {
    assert_eq!(w.len(), g.weight_len(), "weights of {g:?}");
    if g.ci <= NARROW { Buffer::from(w) } else { pack(w, g.kh * g.kw, g.co, g.ci) }
}

/// Computes [`input_grad`] with weights from [`pack_input_grad`] and the given instruction set.
pub(super) fn input_grad_packed(
    simd: Simd,
    g: &Geometry,
    dy: &[f32],
    packed: &[f32],
    epilogue: Option<&Epilogue<f32>>,
    dx: &mut [f32],
) {
    assert_eq!((dy.len(), dx.len()), (g.output_len(), g.input_len()), "images of {g:?}");
    if g.ci <= NARROW {
        scatter(simd, &scatter::Map::input_grad(g), dy, packed, epilogue, dx);
    } else if winograd::pays(g) {
        winograd(simd, &winograd::Map::input_grad(g), dy, packed, epilogue, dx);
    } else {
        gather(simd, &gather::Map::input_grad(g), dy, packed, epilogue, dx);
    }
}

/// Computes [`weight_grad`] with the given instruction set.
pub(super) fn weight_grad_with(simd: Simd, g: &Geometry, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    assert_eq!((x.len(), dy.len()), (g.input_len(), g.output_len()), "images of {g:?}");
    assert_eq!(dw.len(), g.weight_len(), "weights of {g:?}");
    if g.ci <= NARROW {
        fold::narrow_input(simd, g, x, dy, dw);
    } else if g.co <= NARROW {
        fold::narrow_output(simd, g, x, dy, dw);
    } else if winograd::pays(g) {
        winograd::weight_grad(simd, g, x, dy, dw);
    } else {
        correlate::correlate(simd, g, x, dy, dw);
    }
}

/// The start of an array that jobs write in disjoint places. Each use explains why they are disjoint.
#[derive(Clone, Copy)]
struct Shared(*mut f32);

// SAFETY: the pointer is only an address; the blocks that write through it justify themselves.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    fn new(array: &mut [f32]) -> Self {
        Shared(array.as_mut_ptr())
    }

    /// Returns a pointer to an element of the array. This is a method so that closures capture the wrapper instead of
    /// the bare pointer.
    fn at(self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}

/// Applies an epilogue to `columns` channels (at most sixteen) from `first` on, in the rows at these offsets.
///
/// # Safety
///
/// The rows must have these channels, and nothing else may use them at the same time.
unsafe fn finish(
    epilogue: &Epilogue<f32>,
    out: Shared,
    rows: impl Iterator<Item = usize> + Clone,
    first: usize,
    columns: usize,
) {
    vectorised(
        #[inline(always)]
        || {
            if columns == LANES {
                // SAFETY: the caller vouches for the elements, and no two rows overlap.
                epilogue.apply(first, rows.map(|row| unsafe { &mut *out.at(row + first).cast::<[f32; LANES]>() }));
            } else {
                for channel in first..first + columns {
                    // SAFETY: as above.
                    epilogue.apply_to_channel(channel, rows.clone().map(|row| unsafe { &mut *out.at(row + channel) }));
                }
            }
        },
    );
}

/// Sums arrays of the length of `sum` in order. They are partial sums of jobs that share a result.
fn add_in_order(parts: &[f32], sum: &mut [f32]) {
    const GRAIN: usize = 4096;
    let len = sum.len();
    sum.par_chunks_mut(GRAIN).enumerate().for_each(|(i, sum)| {
        vectorised(
            #[inline(always)]
            || {
                for (p, part) in parts.chunks_exact(len).enumerate() {
                    let part = &part[i * GRAIN..][..sum.len()];
                    if p == 0 {
                        sum.copy_from_slice(part);
                    } else {
                        sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
                    }
                }
            },
        );
    });
}

/// Transposes the `[rows][columns]` matrix of every tap.
fn transpose_taps(from: &[f32], rows: usize, columns: usize, to: &mut [f32]) {
    let len = rows * columns;
    to.par_chunks_exact_mut(len)
        .zip(from.par_chunks_exact(len))
        .for_each(|(to, from)| transpose(from, columns, [rows, columns], to, rows));
}
