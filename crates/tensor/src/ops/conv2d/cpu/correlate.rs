//! Computes `weight_grad` with many channels on both sides, by correlating images tap by tap.
//!
//! ```text
//! dw[tap] (co x ci)  =  sum over output pixels of  dy[pixel]^T (co x n) * x[input pixel] (n x ci)
//! ```
//!
//! B is x, which is copied into panels because every tap reads it again. A is dy itself, because the rows of a tile are
//! one cache line of it in any case. A job owns one row of the kernel and a few panels, and walks down the images: one
//! row of each image stays in the second-level cache for all taps of that kernel row, whereas one job per tap would
//! stream both images from memory each time. Kernels with few rows and panels give too few such jobs, so they are also
//! cut into bands of image rows, and the partial sums are added in order.

use std::ops::Range;

use rayon::prelude::*;

use super::super::geometry::Geometry;
use super::{Shared, add_in_order};
use crate::cpu::Simd;
use crate::cpu::microkernel::{DEPTH, LANES, Product, Term, WIDE};
use crate::cpu::pack::pack;
use crate::pool::Buffer;

/// With fewer (kernel row, panel) pairs than this, the image rows are cut into at most [`BANDS`] bands.
const FEW: usize = 10;
const BANDS: usize = 8;

/// With at least this many pairs, a job takes two panels and reads A half as often.
const MANY: usize = 40;

/// Batches smaller than this make short terms, so whole rows of pixels are joined into one term if possible.
const SHORT: usize = 64;

/// Computes `dw` `[tap][co][ci]`.
pub(super) fn correlate(simd: Simd, g: &Geometry, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let panels = g.ci.div_ceil(LANES);
    let packed;
    let x_panels = if g.ci == LANES {
        x
    } else {
        packed = pack(x, 1, g.input_pixels() * g.n, g.ci);
        &packed
    };
    let bands = if g.kh * panels < FEW { g.oh.min(BANDS) } else { 1 };
    if bands == 1 {
        correlate_bands(simd, g, x_panels, dy, 1, dw);
    } else {
        let mut parts = Buffer::stale(bands * dw.len());
        correlate_bands(simd, g, x_panels, dy, bands, &mut parts);
        add_in_order(&parts, dw);
    }
}

/// Writes one `[tap][co][ci]` for every band of output rows.
fn correlate_bands(simd: Simd, g: &Geometry, x_panels: &[f32], dy: &[f32], bands: usize, parts: &mut [f32]) {
    let panels = g.ci.div_ceil(LANES);
    let panels_per_job = if bands > 1 { panels } else { 1 + usize::from(g.kh * panels >= MANY) };
    let panel_parts = panels.div_ceil(panels_per_job);
    let parts = Shared::new(parts);
    let rows: (Vec<usize>, Vec<usize>) = (0..g.co).map(|co| (co, co * g.ci)).unzip();
    (0..g.kh * panel_parts * bands).into_par_iter().with_max_len(1).for_each(|job| {
        let (ky, panel_part, band) = (job % g.kh, job / g.kh % panel_parts, job / g.kh / panel_parts);
        let job = Job {
            simd,
            g,
            ky,
            panels: panel_part * panels_per_job..panels.min((panel_part + 1) * panels_per_job),
            output_rows: g.oh * band / bands..g.oh * (band + 1) / bands,
            rows: &rows,
        };
        // SAFETY: the callers compared the sizes of the geometry with the slices, and only this job has this kernel
        // row, these panels and this band.
        unsafe { job.run(x_panels, dy, parts.at(band * g.weight_len())) };
    });
}

/// The work of one job: the taps of a kernel row and some panels of input channels, over some rows of output pixels.
struct Job<'a> {
    simd: Simd,
    g: &'a Geometry,
    ky: usize,
    panels: Range<usize>,
    output_rows: Range<usize>,
    /// The offsets of all output channels in a row of dy and in a tap of dw.
    rows: &'a (Vec<usize>, Vec<usize>),
}

impl Job<'_> {
    /// # Safety
    ///
    /// The slices and the weights at `dw` must have the sizes of the geometry, the machine must be able to run `simd`,
    /// and nothing else may use the job's part of `dw` at the same time.
    unsafe fn run(&self, x_panels: &[f32], dy: &[f32], dw: *mut f32) {
        let g = self.g;
        let mut begun = vec![false; g.kw];
        let mut terms = Vec::new();
        // This is the number of rows of output pixels whose B fills one call of the microkernel.
        let height = (DEPTH / (g.ow * g.n)).max(1);
        for row in self.output_rows.clone().step_by(height) {
            for (kx, begun) in begun.iter_mut().enumerate() {
                let hits = self.hits(row..self.output_rows.end.min(row + height), kx);
                let joined = joined_pixels(g, &hits);
                let depth = joined * g.n;
                for hits in hits.chunks((DEPTH / depth).max(1) * joined) {
                    terms.clear();
                    terms.extend(
                        hits.iter()
                            .step_by(joined)
                            .map(|&(input, output)| Term { a: output * g.n * g.co, b: input * g.n * LANES }),
                    );
                    for panel in self.panels.clone().step_by(WIDE / LANES) {
                        let product = Product {
                            terms: &terms,
                            depth,
                            a: dy.as_ptr(),
                            a_rows: &self.rows.0,
                            a_step: g.co,
                            b: x_panels[panel * g.input_pixels() * g.n * LANES..].as_ptr(),
                            // At batch size 1, joined pixels may have a stride between them.
                            b_step: if g.n == 1 { g.stride[1] * LANES } else { LANES },
                            b_panel: g.input_pixels() * g.n * LANES,
                            c: dw.wrapping_add(self.offset(kx, panel)),
                            c_rows: &self.rows.1,
                            columns: g.ci.min(self.panels.end * LANES).min(panel * LANES + WIDE) - panel * LANES,
                            accumulate: *begun,
                        };
                        // SAFETY: the caller vouches for sizes and instructions; pixels, taps and channels are those
                        // of the geometry.
                        unsafe { product.run(self.simd) };
                    }
                    *begun = true;
                }
            }
        }
        for kx in (0..g.kw).filter(|&kx| !begun[kx]) {
            for panel in self.panels.clone() {
                for row in &self.rows.1 {
                    let columns = LANES.min(g.ci - panel * LANES);
                    // SAFETY: as above, these are elements of the job's part.
                    unsafe { dw.add(self.offset(kx, panel) + row).write_bytes(0, columns) };
                }
            }
        }
    }

    /// Returns the (input pixel, output pixel) pairs that a tap connects in some rows of output pixels.
    fn hits(&self, output_rows: Range<usize>, kx: usize) -> Vec<(usize, usize)> {
        let tap = self.ky * self.g.kw + kx;
        let outputs = output_rows.start * self.g.ow..output_rows.end * self.g.ow;
        outputs.filter_map(|output| Some((self.g.input_pixel(output, tap)?, output))).collect()
    }

    /// Returns the offset in the weights of the job's first row of a tap and a panel.
    fn offset(&self, kx: usize, panel: usize) -> usize {
        (self.ky * self.g.kw + kx) * self.g.co * self.g.ci + panel * LANES
    }
}

/// Returns how many neighbouring pixels make one term: those of a row, if both sides are evenly spaced in memory.
fn joined_pixels(g: &Geometry, hits: &[(usize, usize)]) -> usize {
    let even = g.n == 1 || g.n < SHORT && g.stride[1] == 1;
    let Some(&(_, first)) = hits.first() else {
        return 1;
    };
    if even { hits.iter().filter(|hit| hit.1 / g.ow == first / g.ow).count() } else { 1 }
}
