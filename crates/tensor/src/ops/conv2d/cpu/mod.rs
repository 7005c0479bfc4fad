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
//! - [`mod@winograd`]: all three maps of 3x3 kernels with stride 1 and of 5x5 kernels with stride 2, with enough images and
//!   enough channels on both sides. It takes a quarter or a third of the multiplications.
//!
//! A matrix product is a convolution with one pixel and one tap.
//!
//! *Invariant*: each element of a result is computed by one job, in an order that the geometry alone determines.

#![allow(unsafe_code, reason = "vector instructions, and kernels that write one array from many threads")]

mod correlate;
mod fold;
mod gather;
mod plan;
mod scatter;
pub(super) mod winograd;

use std::ops::Range;

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

/// One of the two maps from images to images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Direction {
    /// The convolution, from `x` `[h][w][n][ci]` to `y` `[oh][ow][n][co]`.
    Forward,
    /// Its gradient with respect to `x`, which is the transposed convolution.
    Transposed,
}

/// The order in which kernels read weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Order {
    /// `[tap][co][ci]`, as they are stored.
    Stored,
    /// `[panel of 16 outer channels][tap][inner][16]`.
    Packed,
    /// `[panel of 16 outer channels][entry][inner][16]`, for Winograd's path.
    AtPoints,
}

impl Direction {
    /// Returns the order in which this map of a geometry reads the weights.
    pub(super) fn order(self, g: &Geometry) -> Order {
        match self.channels(g)[1] {
            ..=NARROW => Order::Stored,
            _ if winograd::pays(g) => Order::AtPoints,
            _ => Order::Packed,
        }
    }

    /// Returns the numbers of inner and of outer channels.
    fn channels(self, g: &Geometry) -> [usize; 2] {
        match self {
            Direction::Forward => [g.ci, g.co],
            Direction::Transposed => [g.co, g.ci],
        }
    }

    /// Returns weights in another order than [`Order::Stored`].
    pub(super) fn arrange(self, simd: Simd, g: &Geometry, order: Order, w: &[f32]) -> Buffer<f32> {
        assert_eq!(w.len(), g.weight_len(), "weights of {g:?}");
        let packed = match self {
            Direction::Forward => pack_transposed(w, g.kh * g.kw, g.ci, g.co),
            Direction::Transposed => pack(w, g.kh * g.kw, g.co, g.ci),
        };
        if order == Order::AtPoints { self.at_points(simd, g, &packed) } else { packed }
    }

    /// Returns packed weights in the order of Winograd's path.
    pub(super) fn at_points(self, simd: Simd, g: &Geometry, packed: &[f32]) -> Buffer<f32> {
        winograd::kernel_at_points(simd, g, packed, self.channels(g)[0], self == Direction::Transposed)
    }

    /// Computes the map from `a` to `out`, given weights in this order, followed by an epilogue.
    pub(super) fn compute(
        self,
        simd: Simd,
        g: &Geometry,
        a: &[f32],
        (order, w): (Order, &[f32]),
        epilogue: Option<&Epilogue<f32>>,
        out: &mut [f32],
    ) {
        let lens = match self {
            Direction::Forward => (g.input_len(), g.output_len()),
            Direction::Transposed => (g.output_len(), g.input_len()),
        };
        assert_eq!((a.len(), out.len()), lens, "images of {g:?}");
        match (order, self) {
            (Order::Stored, Direction::Forward) => scatter(simd, &scatter::Map::conv2d(g), a, w, epilogue, out),
            (Order::Stored, Direction::Transposed) => scatter(simd, &scatter::Map::input_grad(g), a, w, epilogue, out),
            (Order::Packed, Direction::Forward) => gather(simd, &gather::Map::conv2d(g), a, w, epilogue, out),
            (Order::Packed, Direction::Transposed) => gather(simd, &gather::Map::input_grad(g), a, w, epilogue, out),
            (Order::AtPoints, Direction::Forward) => winograd(simd, &winograd::Map::conv2d(g), a, w, epilogue, out),
            (Order::AtPoints, Direction::Transposed) => {
                winograd(simd, &winograd::Map::input_grad(g), a, w, epilogue, out)
            }
        }
    }

    /// Computes the map given weights as they are stored. Arranging them anew for every batch is as fast as reading what
    /// earlier batches have arranged, which the caches have lost meanwhile.
    pub(super) fn run(self, g: &Geometry, a: &[f32], w: &[f32], epilogue: Option<&Epilogue<f32>>, out: &mut [f32]) {
        let (simd, order) = (Simd::chosen(), self.order(g));
        if order == Order::Stored {
            self.compute(simd, g, a, (order, w), epilogue, out);
        } else {
            self.compute(simd, g, a, (order, &self.arrange(simd, g, order, w)), epilogue, out);
        }
    }
}

/// Computes the gradient of the convolution with respect to `w`.
pub(super) fn weight_grad(g: &Geometry, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    weight_grad_with(Simd::chosen(), g, x, dy, dw);
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

/// Applies an epilogue to some channels in the rows at these offsets.
///
/// # Safety
///
/// The rows must have these channels, and nothing else may use them at the same time.
unsafe fn finish(
    epilogue: &Epilogue<f32>,
    out: Shared,
    rows: impl Iterator<Item = usize> + Clone,
    channels: Range<usize>,
) {
    vectorised(
        #[inline(always)]
        || {
            let rest = channels.end - channels.len() % LANES;
            for first in (channels.start..rest).step_by(LANES) {
                let rows = rows.clone();
                // SAFETY: the caller vouches for the elements, and no two rows overlap.
                epilogue.apply(first, rows.map(|row| unsafe { &mut *out.at(row + first).cast::<[f32; LANES]>() }));
            }
            for channel in rest..channels.end {
                // SAFETY: as above.
                epilogue.apply_to_channel(channel, rows.clone().map(|row| unsafe { &mut *out.at(row + channel) }));
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
