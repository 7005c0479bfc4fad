//! Computes `weight_grad` with few channels on one side, by folding the taps into the rows of a tile.
//!
//! ```text
//! dw[tap][narrow channel][wide channel]
//!     =  sum over wide pixels and images of  narrow[origin + shift(tap)]^T * wide[pixel]
//! ```
//!
//! With only one or three rows, a tile would wait for its own multiply-adds. The row offsets of the microkernel let it
//! read all taps at once, like the columns of an im2col that is never written. Pixels of the wide side that see the
//! same taps share tiles. Jobs are bands of such pixels, and their partial sums are added in order.

use rayon::prelude::*;

use super::super::geometry::Geometry;
use super::plan::{Group, conv2d_taps, input_grad_taps};
use super::{add_in_order, transpose_taps};
use crate::cpu::Simd;
use crate::cpu::microkernel::{DEPTH, LANES, Product, Term, WIDE};
use crate::pool::Buffer;

/// The approximate number of groups that the pixels of the wide side are cut into. The groups form at most [`BANDS`]
/// bands.
const GROUPS: usize = 24;
const BANDS: usize = 32;

/// Images `[pixel][n][channels]`.
struct Images<'a> {
    channels: usize,
    data: &'a [f32],
}

/// Handles few input channels: an output pixel reads the input through its taps.
pub(super) fn narrow_input(simd: Simd, g: &Geometry, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let groups = conv2d_taps(g, g.output_pixels().div_ceil(GROUPS));
    let (x, dy) = (Images { channels: g.ci, data: x }, Images { channels: g.co, data: dy });
    if g.ci == 1 {
        fold(simd, g, &groups, x, dy, dw);
    } else {
        let mut transposed = Buffer::stale(dw.len());
        fold(simd, g, &groups, x, dy, &mut transposed);
        transpose_taps(&transposed, g.ci, g.co, dw);
    }
}

/// Handles few output channels: an input pixel is read by outputs through its taps.
pub(super) fn narrow_output(simd: Simd, g: &Geometry, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let groups = input_grad_taps(g, g.input_pixels().div_ceil(GROUPS));
    fold(simd, g, &groups, Images { channels: g.co, data: dy }, Images { channels: g.ci, data: x }, dw);
}

/// Writes `[tap][narrow channel][wide channel]`; the groups hold pixels of the wide side.
fn fold(simd: Simd, g: &Geometry, groups: &[Group], narrow: Images, wide: Images, dw: &mut [f32]) {
    let bands = groups.len().min(BANDS);
    let mut parts = Buffer::zeros(bands * dw.len());
    parts.par_chunks_exact_mut(dw.len()).with_max_len(1).enumerate().for_each(|(band, part)| {
        for group in &groups[groups.len() * band / bands..groups.len() * (band + 1) / bands] {
            add_group(simd, g.n, group, &narrow, &wide, part);
        }
    });
    add_in_order(&parts, dw);
}

/// Adds the contribution of the pixels of a group.
fn add_group(simd: Simd, n: usize, group: &Group, narrow: &Images, wide: &Images, part: &mut [f32]) {
    let rows = || group.taps.iter().flat_map(|tap| (0..narrow.channels).map(move |channel| (tap, channel)));
    let a_rows: Vec<usize> = rows().map(|(tap, channel)| tap.shift * n * narrow.channels + channel).collect();
    let c_rows: Vec<usize> =
        rows().map(|(tap, channel)| (tap.index * narrow.channels + channel) * wide.channels).collect();
    // Rows of more than one panel share cache sets, so fewer of them stay in the first-level cache.
    let depth = if wide.channels <= LANES { DEPTH } else { DEPTH / 2 };
    let mut tail = Vec::new();
    for pixels in group.pixels.chunks((depth / n).max(1)) {
        let mut first = 0;
        while first < wide.channels {
            // The last columns are a panel of their own if they do not fill one.
            let columns = match wide.channels - first {
                rest @ ..LANES => rest,
                rest => WIDE.min(rest - rest % LANES),
            };
            let mut terms: Vec<Term> = pixels
                .iter()
                .map(|pixel| Term { a: pixel.origin * n * narrow.channels, b: pixel.index * n * wide.channels + first })
                .collect();
            let (mut b, mut b_step) = (wide.data, wide.channels);
            if columns < LANES {
                // Sixteen lanes would read past the last row, so the existing columns are copied.
                tail.clear();
                for (i, term) in terms.iter_mut().enumerate() {
                    for row in wide.data[term.b - first..].chunks_exact(wide.channels).take(n) {
                        tail.extend_from_slice(&row[first..]);
                        tail.extend_from_slice(&[0.0; LANES][columns..]);
                    }
                    term.b = i * n * LANES;
                }
                (b, b_step) = (&tail, LANES);
            }
            let product = Product {
                terms: &terms,
                depth: n,
                a: narrow.data.as_ptr(),
                a_rows: &a_rows,
                a_step: narrow.channels,
                b: b.as_ptr(),
                b_step,
                b_panel: LANES,
                c: part[first..].as_mut_ptr(),
                c_rows: &c_rows,
                columns,
                accumulate: true,
            };
            // SAFETY: `simd` is available; the plan names pixels and taps of the geometry whose sizes the callers
            // compared with the slices; B ends with sixteen columns, its own or the copied ones; the job owns `part`.
            unsafe { product.run(simd) };
            first += columns;
        }
    }
}
