//! Computes all three maps of the 5x5 convolution with stride 2 by Winograd's method, with a third of the
//! multiplications.
//!
//! Even and odd rows and columns of the input (four *phases*) meet kernels of 3x3, 3x2, 2x3 and 2x2 taps at stride 1.
//! Winograd's nested F(4, 3) and F(4, 2) (see [`transforms`]) turn a phase of a tile of 4x4 outputs into products at
//! 36, 30, 30 and 25 pairs of points, called its *entries*. This takes 121 matrix products, where computing tap by tap
//! takes 400.
//!
//! ```text
//! conv2d        y  = OUTPUT^T [ sum over phases of  (DATA x) * (KERNEL w) ]
//! input_grad    dx = OUTPUT^T [ (DATA dy) * (KERNEL w reversed) ],  for every phase
//! weight_grad   dw = KERNEL^T [ sum over tiles and images of  (OUTPUT dy) * (DATA x) ]
//! ```
//!
//! OUTPUT is the same for three and for two taps, so the microkernel sums the phases of `conv2d` before the transform
//! back. In the layout `[pixel][n][channel]`, the transforms of images add whole pixels.
//!
//! Memory: x is 1.9 times as large at points, and the dy of `input_grad` 7.6 times. Therefore only a few tiles are
//! transformed and multiplied at once, so that what the transforms write is still in the last-level cache when it is
//! read. The kernel is 4.8 times as large at points, and is transformed once for all tiles and images. The products of
//! `weight_grad` sum over all tiles, so all tiles of x and dy are at points at once, but the gradient of the kernel is
//! computed for a few output channels at a time.
//!
//! Errors: the choice of points in [`transforms`] determines them. They are relative to the largest results of a tile,
//! not to each result.

mod transforms;

use std::ops::Range;

use rayon::prelude::*;

use super::super::epilogue::Epilogue;
use super::super::geometry::Geometry;
use super::{Shared, finish};
use crate::cpu::Simd;
use crate::cpu::microkernel::{DEPTH, LANES, Product, Term};
use crate::pool::Buffer;
use transforms::{POINTS, Patch, TILE, data, kernel, kernel_grad, output, output_grad};

const KERNEL: usize = 5;
const STRIDE: usize = 2;

/// With fewer channels on either side, or fewer images, an entry has too few multiplications to pay for the transforms.
const CHANNELS: usize = 16;
const IMAGES: usize = 16;

/// The number of elements (4 MiB) that stay in the last-level cache between their transform and their use.
const CACHED: usize = 1 << 20;

/// The number of elements of a pixel that one job transforms.
const RUN: usize = 1024;

/// The number of rows in a job of products: enough to reuse its panel of the transformed kernel, few enough for the
/// second-level cache.
const ROWS: usize = 64;

/// A phase of the kernel: every second tap along both axes.
struct Phase {
    /// The row and column of the first tap.
    first: [usize; 2],
    /// The index of its first entry among those of all phases.
    start: usize,
}

const PHASES: [Phase; 4] = [
    Phase { first: [0, 0], start: 0 },
    Phase { first: [0, 1], start: 36 },
    Phase { first: [1, 0], start: 66 },
    Phase { first: [1, 1], start: 96 },
];

/// The number of entries of all phases.
const ENTRIES: usize = 121;

impl Phase {
    fn taps(&self) -> [usize; 2] {
        self.first.map(|first| (KERNEL - first).div_ceil(STRIDE))
    }

    fn points(&self) -> [usize; 2] {
        self.taps().map(|taps| TILE + taps - 1)
    }

    fn entries(&self) -> usize {
        self.points().into_iter().product()
    }

    /// Returns the entry at points `i`, `j`, or `None` if the phase does not have these points.
    fn entry(&self, i: usize, j: usize) -> Option<usize> {
        let [rows, columns] = self.points();
        (i < rows && j < columns).then_some(self.start + i * columns + j)
    }

    /// Returns the index in the kernel of each of its taps.
    fn kernel_taps(&self) -> Vec<usize> {
        let [rows, columns] = self.taps();
        let place = |axis: usize, tap: usize| self.first[axis] + STRIDE * tap;
        (0..rows * columns).map(|tap| place(0, tap / columns) * KERNEL + place(1, tap % columns)).collect()
    }

    /// Returns the position along an axis of the input pixel that the phase's first tap meets at position `at`.
    fn input(&self, g: &Geometry, axis: usize, at: usize) -> Option<usize> {
        let size = [g.h, g.w][axis];
        (STRIDE * at + self.first[axis]).checked_sub(g.padding[axis]).filter(|&pixel| pixel < size)
    }
}

/// Returns whether this path is the fastest for all maps of a geometry: it must save at least half of the
/// multiplications, and there must be enough of them. The last bits of an image's result therefore depend on the number
/// of images in its batch.
pub(crate) fn pays(g: &Geometry) -> bool {
    let tiles: usize = [g.oh, g.ow].iter().map(|size| size.div_ceil(TILE)).product();
    let multiplications = ENTRIES * tiles * g.n * g.ci * g.co;
    // Each multiplication by a tap counts as two operations in `flops`.
    fits(g) && g.ci.min(g.co) >= CHANNELS && g.n >= IMAGES && 2 * multiplications <= g.flops() / 2
}

/// Returns whether this path can compute a geometry, given packed weights.
pub(crate) fn fits(g: &Geometry) -> bool {
    [g.kh, g.kw] == [KERNEL; 2] && g.stride == [STRIDE; 2] && g.dilation == [1, 1]
}

/// Pixels, row after row; `None` lies in the padding or beyond a border.
type Pixels = Vec<Option<usize>>;

/// Returns the pixels of images that are `width` pixels wide, given the positions along either axis.
fn pixels([rows, columns]: [usize; 2], width: usize, along: impl Fn(usize, usize) -> Option<usize>) -> Pixels {
    (0..rows * columns).map(|i| Some(along(0, i / columns)? * width + along(1, i % columns)?)).collect()
}

/// Returns the first positions of the tiles that cover `start..end` along both axes.
fn corners(start: [usize; 2], end: [usize; 2]) -> impl Iterator<Item = [usize; 2]> {
    let rows = (start[0]..end[0]).step_by(TILE);
    rows.flat_map(move |y| (start[1]..end[1]).step_by(TILE).map(move |x| [y, x]))
}

/// Returns the input pixels that a phase of a tile of outputs reads.
fn input_pixels(g: &Geometry, phase: &Phase, corner: [usize; 2]) -> Pixels {
    pixels(phase.points(), g.w, |axis, i| phase.input(g, axis, corner[axis] + i))
}

/// Returns the pixels of a tile of outputs.
fn output_pixels(g: &Geometry, corner: [usize; 2]) -> Pixels {
    pixels([TILE; 2], g.ow, |axis, i| Some(corner[axis] + i).filter(|&o| o < [g.oh, g.ow][axis]))
}

/// A map from images with `inner` channels to images with `outer` channels.
pub(crate) struct Map {
    n: usize,
    inner: usize,
    outer: usize,
    tiles: Vec<Tile>,
    /// Whether the last tap of a phase meets the first source pixel.
    reversed: bool,
}

/// A tile of the target images.
struct Tile {
    /// The source pixels of every phase.
    sources: [Pixels; 4],
    /// The target pixels: one list for all phases together, or one for each.
    targets: Vec<Pixels>,
}

impl Map {
    pub(crate) fn conv2d(g: &Geometry) -> Self {
        assert!(fits(g), "Winograd's path for {g:?}");
        let tile = |corner| Tile {
            sources: PHASES.each_ref().map(|phase| input_pixels(g, phase, corner)),
            targets: vec![output_pixels(g, corner)],
        };
        let tiles = corners([0; 2], [g.oh, g.ow]).map(tile).collect();
        Map { n: g.n, inner: g.ci, outer: g.co, tiles, reversed: false }
    }

    pub(crate) fn input_grad(g: &Geometry) -> Self {
        assert!(fits(g), "Winograd's path for {g:?}");
        // The input pixel that a phase's first tap meets at position b meets its u-th tap at output b - u.
        let tile = |corner: [usize; 2]| {
            let source = |phase: &Phase, axis: usize, i: usize| {
                (corner[axis] + i + 1).checked_sub(phase.taps()[axis]).filter(|&o| o < [g.oh, g.ow][axis])
            };
            let target = |phase: &Phase| pixels([TILE; 2], g.w, |axis, i| phase.input(g, axis, corner[axis] + i));
            Tile {
                sources: PHASES.each_ref().map(|phase| pixels(phase.points(), g.ow, |axis, i| source(phase, axis, i))),
                targets: PHASES.iter().map(target).collect(),
            }
        };
        let start = g.padding.map(|padding| padding / STRIDE);
        let end = [g.h + g.padding[0], g.w + g.padding[1]].map(|end| end.div_ceil(STRIDE));
        Map { n: g.n, inner: g.co, outer: g.ci, tiles: corners(start, end).map(tile).collect(), reversed: true }
    }
}

/// Images at points: `[tile][entry][n][channels]`.
struct AtPoints {
    data: Buffer<f32>,
    entries: usize,
    /// The distance between two entries. It includes a gap, because entries at a distance of a power of two would share
    /// a few cache sets.
    step: usize,
}

impl AtPoints {
    /// Transforms images with `numbers` elements per pixel. `transform(tile, step, patch)` adds the sources and targets
    /// that the patch lacks, and transforms it; `step` is the distance between two entries.
    fn new(
        images: &[f32],
        numbers: usize,
        tiles: usize,
        entries: usize,
        transform: impl Fn(usize, usize, Patch) + Sync,
    ) -> Self {
        let step = numbers.next_multiple_of(LANES) + LANES;
        let mut data = Buffer::stale(tiles * entries * step);
        let start = Shared::new(&mut data);
        let parts = numbers.div_ceil(RUN);
        (0..tiles * parts).into_par_iter().with_max_len(1).for_each(|job| {
            let (tile, first) = (job / parts, job % parts * RUN);
            in_vectors(first..numbers.min(first + RUN), |first, count, width| {
                let patch = Patch {
                    from: &images[first..],
                    sources: &[],
                    from_step: LANES,
                    to: Shared(start.at(tile * entries * step + first)),
                    targets: &[],
                    to_step: LANES,
                    count,
                    width,
                };
                transform(tile, step, patch);
            });
        });
        AtPoints { data, entries, step }
    }

    /// Applies DATA to every phase; `sources` returns the pixels of a tile.
    fn data<'a>(
        simd: Simd,
        images: &[f32],
        numbers: usize,
        tiles: usize,
        sources: impl Fn(usize) -> &'a [Pixels; 4] + Sync,
    ) -> Self {
        AtPoints::new(images, numbers, tiles, ENTRIES, |tile, step, patch| {
            for (phase, sources) in PHASES.iter().zip(sources(tile)) {
                let sources = scaled(sources, numbers);
                let targets: Vec<_> = (0..phase.entries()).map(|entry| Some((phase.start + entry) * step)).collect();
                // SAFETY: `simd` is available; the plan names pixels of the images, whose sizes the callers compared
                // with the slices; the job owns its part of all entries of the tile.
                unsafe { data(simd, phase.taps(), Patch { sources: &sources, targets: &targets, ..patch }) };
            }
        })
    }

    /// Applies OUTPUT to the tiles of a gradient; the entries are pairs of points.
    fn output_grad(simd: Simd, g: &Geometry, dy: &[f32], corners: &[[usize; 2]]) -> Self {
        let numbers = g.n * g.co;
        AtPoints::new(dy, numbers, corners.len(), POINTS * POINTS, |tile, step, patch| {
            let sources = scaled(&output_pixels(g, corners[tile]), numbers);
            let targets: Vec<_> = (0..POINTS * POINTS).map(|pair| Some(pair * step)).collect();
            // SAFETY: as in [`AtPoints::data`].
            unsafe { output_grad(simd, Patch { sources: &sources, targets: &targets, ..patch }) };
        })
    }

    fn offset(&self, tile: usize, entry: usize) -> usize {
        (tile * self.entries + entry) * self.step
    }
}

/// Returns the offsets of pixels with this many elements.
fn scaled(pixels: &Pixels, numbers: usize) -> Pixels {
    pixels.iter().map(|pixel| Some((*pixel)? * numbers)).collect()
}

/// Computes a map: `a` is `[pixel][n][inner]`, `b` is packed `[panel][tap][inner][16]`, and `out` is
/// `[pixel][n][outer]`.
pub(crate) fn winograd(simd: Simd, map: &Map, a: &[f32], b: &[f32], epilogue: Option<&Epilogue<f32>>, out: &mut [f32]) {
    let &Map { n, inner, outer, ref tiles, .. } = map;
    let (panels, blocks) = (outer.div_ceil(LANES), n.div_ceil(ROWS));
    let kernel = kernel_at_points(simd, map, b);
    let out = Shared::new(out);
    for tiles in tiles.chunks((CACHED / (ENTRIES * n * inner)).max(1)) {
        let points = AtPoints::data(simd, a, n * inner, tiles.len(), |tile| &tiles[tile].sources);
        (0..tiles.len() * blocks * panels).into_par_iter().with_max_len(1).for_each(|job| {
            let (tile, block, panel) = (job / panels / blocks, job / panels % blocks, job % panels);
            let job = Job {
                simd,
                map,
                tile,
                targets: &tiles[tile].targets,
                rows: n * block / blocks..n * (block + 1) / blocks,
                panel,
            };
            job.run(&points, &kernel, epilogue, out);
        });
    }
}

/// The products of one tile, some images and one panel of outer channels.
struct Job<'a> {
    simd: Simd,
    map: &'a Map,
    /// The index of the tile among those at points.
    tile: usize,
    targets: &'a [Pixels],
    rows: Range<usize>,
    panel: usize,
}

impl Job<'_> {
    /// Computes the products and transforms them back; `kernel` is `[panel][entry][inner][16]`.
    fn run(&self, a: &AtPoints, kernel: &[f32], epilogue: Option<&Epilogue<f32>>, out: Shared) {
        let &Map { n, inner, outer, .. } = self.map;
        let kernel = &kernel[self.panel * ENTRIES * inner * LANES..];
        let rows = self.rows.len();
        let a_rows: Vec<usize> = self.rows.clone().map(|row| row * inner).collect();
        let c_rows: Vec<usize> = (0..rows).map(|row| row * LANES).collect();
        let step = (rows + 1) * LANES;
        let mut products = Buffer::stale(POINTS * POINTS * step);
        let phases_together = PHASES.len() / self.targets.len();
        for (phases, targets) in PHASES.chunks(phases_together).zip(self.targets) {
            let [height, width] = phases[0].points();
            for (i, j) in (0..height).flat_map(|i| (0..width).map(move |j| (i, j))) {
                let entries = phases.iter().filter_map(|phase| phase.entry(i, j));
                let terms: Vec<Term> =
                    entries.map(|entry| Term { a: a.offset(self.tile, entry), b: entry * inner * LANES }).collect();
                let mut accumulate = false;
                for first in (0..inner).step_by(DEPTH) {
                    for terms in terms.chunks((DEPTH / inner).max(1)) {
                        let product = Product {
                            terms,
                            depth: DEPTH.min(inner - first),
                            a: a.data[first..].as_ptr(),
                            a_rows: &a_rows,
                            a_step: 1,
                            b: kernel[first * LANES..].as_ptr(),
                            b_step: LANES,
                            c: products[(i * width + j) * step..].as_mut_ptr(),
                            c_rows: &c_rows,
                            columns: LANES,
                            accumulate,
                        };
                        // SAFETY: `simd` is available; the terms name entries of the tile and of the kernel, and the
                        // products have space for every pair of points.
                        unsafe { product.run(self.simd) };
                        accumulate = true;
                    }
                }
            }
            let targets = scaled(targets, n * outer);
            let (first, columns) = (self.panel * LANES, LANES.min(outer - self.panel * LANES));
            let patch = Patch {
                from: &products,
                sources: &(0..height * width).map(|pair| Some(pair * step)).collect::<Vec<_>>(),
                from_step: LANES,
                to: Shared(out.at(self.rows.start * outer + first)),
                targets: &targets,
                to_step: outer,
                count: rows,
                width: columns,
            };
            // SAFETY: `simd` is available; the products were just computed; the job owns its panel of its rows of the
            // tile's target pixels, which lie in the images.
            unsafe { output(self.simd, phases[0].taps(), patch) };
            if let Some(epilogue) = epilogue {
                let pixels = targets.iter().flatten();
                let rows = pixels.flat_map(|pixel| self.rows.clone().map(move |row| pixel + row * outer));
                // SAFETY: as above.
                unsafe { finish(epilogue, out, rows, first, columns) };
            }
        }
    }
}

/// Applies KERNEL to every phase: `[panel][entry][inner][16]`.
fn kernel_at_points(simd: Simd, map: &Map, b: &[f32]) -> Buffer<f32> {
    let len = map.inner * LANES;
    let mut points = Buffer::stale(map.outer.div_ceil(LANES) * ENTRIES * len);
    points.par_chunks_exact_mut(ENTRIES * len).zip(b.par_chunks_exact(KERNEL * KERNEL * len)).for_each(
        |(points, taps)| {
            let to = Shared::new(points);
            for phase in &PHASES {
                let mut order = phase.kernel_taps();
                if map.reversed {
                    order.reverse();
                }
                let entries = phase.start..phase.start + phase.entries();
                let patch = Patch {
                    from: taps,
                    sources: &order.iter().map(|tap| Some(tap * len)).collect::<Vec<_>>(),
                    from_step: LANES,
                    to,
                    targets: &entries.map(|entry| Some(entry * len)).collect::<Vec<_>>(),
                    to_step: LANES,
                    count: map.inner,
                    width: LANES,
                };
                // SAFETY: `simd` is available; the taps and the entries of a panel are `len` numbers each, and the job
                // owns its panel.
                unsafe { kernel(simd, phase.taps(), patch) };
            }
        },
    );
    points
}

/// Computes `dw` `[tap][co][ci]`.
pub(crate) fn weight_grad(simd: Simd, g: &Geometry, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    assert!(fits(g), "Winograd's path for {g:?}");
    let corners: Vec<_> = corners([0; 2], [g.oh, g.ow]).collect();
    let inputs: Vec<_> =
        corners.iter().map(|&corner| PHASES.each_ref().map(|phase| input_pixels(g, phase, corner))).collect();
    let x = AtPoints::data(simd, x, g.n * g.ci, corners.len(), |tile| &inputs[tile]);
    let dy = AtPoints::output_grad(simd, g, dy, &corners);
    let dw = Shared::new(dw);
    let most = (CACHED / (ENTRIES * g.ci)).clamp(1, g.co);
    for first in (0..g.co).step_by(most) {
        let channels = first..g.co.min(first + most);
        // The products are `[entry][output channel][ci]`, with a gap after every entry.
        let step = (channels.len() * g.ci).next_multiple_of(LANES) + LANES;
        let mut products = Buffer::stale(ENTRIES * step);
        let to = Shared::new(&mut products);
        (0..POINTS * POINTS).into_par_iter().with_max_len(1).for_each(|pair| {
            for entry in PHASES.iter().filter_map(|phase| phase.entry(pair / POINTS, pair % POINTS)) {
                let tiles = (0..corners.len()).map(|tile| Term { a: dy.offset(tile, pair), b: x.offset(tile, entry) });
                correlate(simd, g, &channels, &x, &dy, &tiles.collect::<Vec<_>>(), Shared(to.at(entry * step)));
            }
        });
        channels.clone().into_par_iter().with_min_len(4).for_each(|co| {
            for phase in &PHASES {
                let row = (co - first) * g.ci;
                let entries: Vec<_> =
                    (phase.start..phase.start + phase.entries()).map(|entry| Some(entry * step + row)).collect();
                let taps: Vec<_> = phase.kernel_taps().iter().map(|tap| Some((tap * g.co + co) * g.ci)).collect();
                in_vectors(0..g.ci, |at, count, width| {
                    let patch = Patch {
                        from: &products[at..],
                        sources: &entries,
                        from_step: LANES,
                        to: Shared(dw.at(at)),
                        targets: &taps,
                        to_step: LANES,
                        count,
                        width,
                    };
                    // SAFETY: `simd` is available; the products were just computed; the job owns its output channel of
                    // all taps, and the callers compared the size of `dw` with the geometry.
                    unsafe { kernel_grad(simd, phase.taps(), patch) };
                });
            }
        });
    }
}

/// Computes the products of some output channels with all input channels at one entry, over all images of the tiles.
fn correlate(
    simd: Simd,
    g: &Geometry,
    channels: &Range<usize>,
    x: &AtPoints,
    dy: &AtPoints,
    tiles: &[Term],
    to: Shared,
) {
    let (a_rows, c_rows): (Vec<_>, Vec<_>) = channels.clone().enumerate().map(|(row, co)| (co, row * g.ci)).unzip();
    for first in (0..g.ci).step_by(LANES) {
        let mut accumulate = false;
        for image in (0..g.n).step_by(DEPTH) {
            let depth = DEPTH.min(g.n - image);
            for tiles in tiles.chunks(DEPTH / depth) {
                let terms: Vec<_> =
                    tiles.iter().map(|tile| Term { a: tile.a + image * g.co, b: tile.b + image * g.ci }).collect();
                let product = Product {
                    terms: &terms,
                    depth,
                    a: dy.data.as_ptr(),
                    a_rows: &a_rows,
                    a_step: g.co,
                    b: x.data[first..].as_ptr(),
                    b_step: g.ci,
                    c: to.at(first),
                    c_rows: &c_rows,
                    columns: LANES.min(g.ci - first),
                    accumulate,
                };
                // SAFETY: `simd` is available; the terms name entries of tiles, and the gaps after these hold what
                // sixteen lanes read past the last row; the job owns the products at this entry.
                unsafe { product.run(simd) };
                accumulate = true;
            }
        }
    }
}

/// Calls `f(first, count, width)` for the vectors of sixteen elements in a range, and for the remaining elements.
fn in_vectors(range: Range<usize>, f: impl Fn(usize, usize, usize)) {
    let (count, rest) = (range.len() / LANES, range.len() % LANES);
    if count > 0 {
        f(range.start, count, LANES);
    }
    if rest > 0 {
        f(range.end - rest, 1, rest);
    }
}
