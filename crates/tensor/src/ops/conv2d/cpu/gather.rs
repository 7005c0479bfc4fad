//! Computes `conv2d` and `input_grad` with many output channels: every pixel gathers what its taps see.
//!
//! ```text
//! out[pixel] (n x outer)  =  sum over the group's taps of  a[origin + shift] (n x inner) * B[tap] (inner x outer)
//! ```
//!
//! The rows of all pixels of a group go through the microkernel together, so tiles are tall even at batch size 1 and on
//! borders. A panel of B (16 KiB) stays in the first-level cache for all rows of a job, and A in the second-level
//! cache.

use std::sync::Arc;

use rayon::prelude::*;

use super::super::epilogue::Epilogue;
use super::super::geometry::Geometry;
use super::plan::{Group, Tap, conv2d_taps, input_grad_taps};
use super::{Shared, finish};
use crate::cpu::Simd;
use crate::cpu::microkernel::{DEPTH, LANES, Product, Term, WIDE};

/// Fewer jobs than this are badly balanced, for example with single pixels or with 4x4 images, whose borders have fewer
/// taps than the middle.
const JOBS: usize = 32;

/// The minimum number of rows per job if jobs share the rows of a pixel.
const SHORT: usize = 16;

/// The number of rows that a group should have: enough to reuse a panel of B from the cache, few enough to balance the
/// jobs.
const ROWS: usize = 96;

/// A map from images with `inner` channels to images with `outer` channels.
pub(super) struct Map {
    groups: Arc<Vec<Group>>,
    n: usize,
    inner: usize,
    outer: usize,
    taps: usize,
}

impl Map {
    pub(super) fn conv2d(g: &Geometry) -> Self {
        let groups = conv2d_taps(g, (ROWS / g.n).max(1));
        Map { groups, n: g.n, inner: g.ci, outer: g.co, taps: g.kh * g.kw }
    }

    pub(super) fn input_grad(g: &Geometry) -> Self {
        let groups = input_grad_taps(g, (ROWS / g.n).max(1));
        Map { groups, n: g.n, inner: g.co, outer: g.ci, taps: g.kh * g.kw }
    }
}

/// Computes a map: `a` is `[pixel][n][inner]`, `b` is packed `[panel][tap][inner][16]`, and `out` is
/// `[pixel][n][outer]`.
pub(super) fn gather(simd: Simd, map: &Map, a: &[f32], b: &[f32], epilogue: Option<&Epilogue<f32>>, out: &mut [f32]) {
    let &Map { ref groups, n, inner, outer, taps } = map;
    let panels = outer.div_ceil(LANES);
    let panel_parts = panels.min(JOBS.div_ceil(groups.len()));
    let row_parts = (JOBS / (groups.len() * panel_parts)).clamp(1, n.div_ceil(SHORT));
    let jobs = groups.len() * panel_parts * row_parts;
    let out = Shared::new(out);
    (0..jobs).into_par_iter().with_max_len((jobs / 64).max(1)).for_each_init(Default::default, |scratch, job| {
        let (a_rows, c_rows, terms): &mut (Vec<usize>, Vec<usize>, Vec<Term>) = scratch;
        let group = &groups[job / (panel_parts * row_parts)];
        let (panel_part, row_part) = (job / row_parts % panel_parts, job % row_parts);
        let images = n * row_part / row_parts..n * (row_part + 1) / row_parts;
        a_rows.clear();
        c_rows.clear();
        for pixel in &group.pixels {
            a_rows.extend(images.clone().map(|image| (pixel.origin * n + image) * inner));
            c_rows.extend(images.clone().map(|image| (pixel.index * n + image) * outer));
        }
        let joined = joined_taps(group, inner);
        let taps_per_call = (DEPTH / (inner * joined)).max(1) * joined;
        let a_step = if joined > 1 { n } else { 1 };
        let end = panels * (panel_part + 1) / panel_parts;
        for panel in (panels * panel_part / panel_parts..end).step_by(WIDE / LANES) {
            let channels = panel * LANES..outer.min(end * LANES).min(panel * LANES + WIDE);
            let mut accumulate = false;
            for taps_of_call in group.taps.chunks(taps_per_call) {
                for first in (0..inner).step_by(DEPTH) {
                    terms.clear();
                    terms.extend(taps_of_call.iter().step_by(joined).map(|tap| Term {
                        a: tap.shift * n * inner + first,
                        b: ((panel * taps + tap.index) * inner + first) * LANES,
                    }));
                    let product = Product {
                        terms,
                        depth: DEPTH.min(inner - first) * joined,
                        a: a.as_ptr(),
                        a_rows,
                        a_step,
                        b: b.as_ptr(),
                        b_step: LANES,
                        b_panel: taps * inner * LANES,
                        c: out.at(channels.start),
                        c_rows,
                        columns: channels.len(),
                        accumulate,
                    };
                    // SAFETY: `simd` is available. The plan names pixels and taps of the geometry whose sizes the
                    // callers compared with the slices. A job owns its images of its group's pixels, and its panels.
                    unsafe { product.run(simd) };
                    accumulate = true;
                }
            }
            if group.taps.is_empty() {
                for &row in c_rows.iter() {
                    // SAFETY: the job owns these elements, as above.
                    unsafe { out.at(row + channels.start).write_bytes(0, channels.len()) };
                }
            }
            if let Some(epilogue) = epilogue {
                // SAFETY: the job owns these elements, as above.
                unsafe { finish(epilogue, out, c_rows.iter().copied(), channels) };
            }
        }
    });
}

/// Returns how many taps make one term. With one channel, a term of one tap would be a single multiply-add. The taps
/// along a row of the kernel are evenly spaced in the weights and, unless there is a stride between them, in the image
/// too, so they can be joined.
fn joined_taps(group: &Group, inner: usize) -> usize {
    let follows = |a: &Tap, b: &Tap| (a.shift + 1, a.index + 1) == (b.shift, b.index);
    let mut runs = group.taps.chunk_by(follows).map(<[Tap]>::len);
    match runs.next() {
        Some(first) if inner == 1 && runs.all(|run| run == first) => first,
        _ => 1,
    }
}
