//! Computes `conv2d` and `input_grad` with few output channels: every source pixel is scattered over the pixels that it
//! reaches.
//!
//! ```text
//! out[target pixel][channel][16 images] += W[tap][channel] (inner, broadcast) * a[source pixel]^T (inner x 16 images)
//! ```
//!
//! A tile of channels would use only one to four of sixteen columns, so the columns are images. The rows of a tile are
//! all pairs of a tap and a channel: 25 for a 5x5 kernel and one channel. A job owns a band of target rows and sixteen
//! images, and their sums stay in the second-level cache until the last source pixel is done.

use std::ops::Range;
use std::slice;
use std::sync::Arc;

use rayon::prelude::*;

use super::super::epilogue::Epilogue;
use super::super::geometry::Geometry;
use super::Shared;
use super::plan::Cache;
use crate::cpu::microkernel::{DEPTH, LANES, Product, Term};
use crate::cpu::pack::transpose;
use crate::cpu::{Simd, vectorised};

/// The maximum number of sums in a band (64 KiB), unless a single row of pixels has more.
const BAND: usize = 16384;

/// The minimum number of bands that a map is cut into for balance, if it has that many target rows.
const BANDS: usize = 4;

/// A map from images with `inner` channels to images with `outer` channels.
pub(super) struct Map {
    bands: Arc<Vec<Band>>,
    n: usize,
    inner: usize,
    outer: usize,
    /// The distance between neighbours along `inner` in the weights.
    step: usize,
}

/// Consecutive target pixels and the source pixels that reach them.
struct Band {
    targets: Range<usize>,
    sources: Vec<Source>,
}

/// A source pixel with the offsets of its tile in the weights and in the sums of the band.
struct Source {
    pixel: usize,
    weights: Vec<usize>,
    sums: Vec<usize>,
}

impl Map {
    pub(super) fn conv2d(g: &Geometry) -> Self {
        static PLANS: Cache<Geometry, Vec<Band>> = Cache::new();
        let bands = PLANS.get(*g, || {
            let weight = |tap, co| (tap * g.co + co) * g.ci;
            bands((g.oh, g.ow, g.co), g, g.input_pixels(), |i, tap| g.output_pixel(i, tap), weight)
        });
        Map { bands, n: g.n, inner: g.ci, outer: g.co, step: 1 }
    }

    pub(super) fn input_grad(g: &Geometry) -> Self {
        static PLANS: Cache<Geometry, Vec<Band>> = Cache::new();
        let bands = PLANS.get(*g, || {
            let weight = |tap, ci| tap * g.co * g.ci + ci;
            bands((g.h, g.w, g.ci), g, g.output_pixels(), |o, tap| g.input_pixel(o, tap), weight)
        });
        Map { bands, n: g.n, inner: g.co, outer: g.ci, step: g.ci }
    }
}

/// Cuts target images of `height` x `width` pixels into bands. `reach` returns the target pixel of a source pixel and a
/// tap, and `weight` the offset of the first of the `inner` weights of a tap and an outer channel.
fn bands(
    (height, width, outer): (usize, usize, usize),
    g: &Geometry,
    sources: usize,
    reach: impl Fn(usize, usize) -> Option<usize>,
    weight: impl Fn(usize, usize) -> usize,
) -> Vec<Band> {
    let rows = (BAND / (width * outer * LANES)).min(height.div_ceil(BANDS)).max(1);
    let band = |y: usize| {
        let targets = y * width..(y + rows).min(height) * width;
        let source = |pixel: usize| {
            let hits = g.taps().filter_map(|tap| Some((tap, reach(pixel, tap)?)));
            let rows = hits
                .filter(|(_, target)| targets.contains(target))
                .flat_map(|(tap, target)| (0..outer).map(move |channel| (tap, target, channel)));
            let (weights, sums): (Vec<_>, Vec<_>) = rows
                .map(|(tap, target, channel)| {
                    (weight(tap, channel), ((target - targets.start) * outer + channel) * LANES)
                })
                .unzip();
            (!weights.is_empty()).then_some(Source { pixel, weights, sums })
        };
        Band { sources: (0..sources).filter_map(source).collect(), targets }
    };
    (0..height).step_by(rows).map(band).collect()
}

/// Computes a map: `a` is `[pixel][n][inner]`, `weights` are in their original order, and `out` is `[pixel][n][outer]`.
pub(super) fn scatter(
    simd: Simd,
    map: &Map,
    a: &[f32],
    weights: &[f32],
    epilogue: Option<&Epilogue<f32>>,
    out: &mut [f32],
) {
    let &Map { ref bands, n, inner, outer, step } = map;
    let slabs = n.div_ceil(LANES);
    let out = Shared::new(out);
    (0..bands.len() * slabs).into_par_iter().with_max_len(1).for_each_init(Default::default, |scratch, job| {
        let (sums, columns): &mut (Vec<f32>, Vec<f32>) = scratch;
        let (band, slab) = (&bands[job / slabs], job % slabs);
        let images = slab * LANES..n.min((slab + 1) * LANES);
        sums.clear();
        sums.resize(band.targets.len() * outer * LANES, 0.0);
        columns.resize(inner.min(DEPTH) * LANES, 0.0);
        for source in &band.sources {
            let rows = &a[(source.pixel * n + images.start) * inner..][..images.len() * inner];
            for first in (0..inner).step_by(DEPTH) {
                let depth = DEPTH.min(inner - first);
                transpose(&rows[first..], inner, [images.len(), depth], columns, LANES);
                let product = Product {
                    terms: &[Term { a: first * step, b: 0 }],
                    depth,
                    a: weights.as_ptr(),
                    a_rows: &source.weights,
                    a_step: step,
                    b: columns.as_ptr(),
                    b_step: LANES,
                    b_panel: 0,
                    c: sums.as_mut_ptr(),
                    c_rows: &source.sums,
                    columns: LANES,
                    accumulate: true,
                };
                // SAFETY: `simd` is available; the plan names weights of the geometry whose size the callers compared
                // with the slice, and targets of this band, whose sums were sized above.
                unsafe { product.run(simd) };
            }
        }
        if let Some(epilogue) = epilogue {
            vectorised(
                #[inline(always)]
                || {
                    for (i, sums) in sums.chunks_exact_mut(LANES).enumerate() {
                        epilogue.apply_to_channel(i % outer, sums.iter_mut());
                    }
                },
            );
        }
        for (target, sums) in band.targets.clone().zip(sums.chunks_exact(outer * LANES)) {
            let len = images.len() * outer;
            // SAFETY: the job owns these images of the band's pixels, which lie inside the output.
            let out = unsafe { slice::from_raw_parts_mut(out.at((target * n + images.start) * outer), len) };
            if outer == 1 {
                out.copy_from_slice(&sums[..len]);
                continue;
            }
            for (image, out) in out.chunks_exact_mut(outer).enumerate() {
                for (channel, out) in out.iter_mut().enumerate() {
                    *out = sums[channel * LANES + image];
                }
            }
        }
    });
}
