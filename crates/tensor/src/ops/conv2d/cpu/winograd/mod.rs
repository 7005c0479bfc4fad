//! Computes all three maps of the 3x3 convolution with stride 1 and of the 5x5 convolution with stride 2 by Winograd's
//! method, with a quarter and a third of the multiplications.
//!
//! With stride 2, even and odd rows and columns of the input (four *phases*) meet kernels of 3x3, 3x2, 2x3 and 2x2 taps at
//! stride 1. With stride 1 there is one phase, of all 3x3 taps. Winograd's nested F(4, 3) and F(4, 2) (see [`transforms`])
//! turn a phase of a tile of 4x4 outputs into products at 36, 30, 30 and 25 pairs of points, called its *entries*. This
//! takes 36 matrix products where computing tap by tap takes 144, and 121 where it takes 400.
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
//! Memory: images at points are 1.9 to 7.6 times as large. Therefore only a few tiles are transformed and multiplied at
//! once, so that what the transforms write is still in a cache when it is read. The kernel is 4 or 4.8 times as
//! large at points, and is transformed once for all tiles and images.
//!
//! Errors: the choice of points in [`transforms`] determines them. They are relative to the largest results of a tile,
//! not to each result.

mod plan;
mod transforms;

use std::iter::successors;
use std::ops::Range;

use rayon::prelude::*;

use super::super::epilogue::Epilogue;
use super::super::geometry::Geometry;
use super::{Shared, finish};
use crate::cpu::Simd;
use crate::cpu::microkernel::{DEPTH, LANES, Product, Term, WIDE};
use crate::pool::Buffer;
pub(crate) use plan::Map;
use plan::{IN_ORDER, Method, Tile};
use transforms::{POINTS, Patch, Places, TILE, data, kernel, kernel_grad, output, output_grad};

/// With fewer channels on either side, an entry has too few multiplications to pay for the transforms.
const CHANNELS: usize = 16;

/// With fewer rows (of images and of tiles) than this, each entry of the kernel is read for too few multiplications.
const MIN_ROWS: usize = 16;

/// The number of elements (4 MiB) that stay in the last-level cache between their transform and their use.
const CACHED: usize = 1 << 20;

/// The number of elements (512 KiB) of a job's own rows at points that stay in the second-level cache.
const PRIVATE: usize = 1 << 17;

/// With fewer rows than this, a job would read each entry of the kernel for too few multiplications.
const FEWEST_ROWS: usize = 16;

/// The number of jobs for each thread below which they are made smaller, and that below which threads that transform their
/// own rows would wait for each other too long.
const ENOUGH_JOBS: usize = 4;
const FEWEST_JOBS: usize = 2;

/// The number of elements of a pixel that one job transforms, if there are enough such jobs for all threads.
const RUN: usize = 1024;

/// The number of rows in a job of products: enough to reuse its panels of the transformed kernel, few enough for the
/// second-level cache.
const ROWS: usize = 64;

/// Returns whether this path is the fastest for all maps of a geometry: it must save at least half of the
/// multiplications, and there must be enough of them. The last bits of an image's result therefore depend on the number
/// of images in its batch.
pub(crate) fn pays(g: &Geometry) -> bool {
    let Some(method) = Method::of(g) else { return false };
    let tiles: usize = [g.oh, g.ow].iter().map(|size| size.div_ceil(TILE)).product();
    let multiplications = method.entries * tiles * g.n * g.ci * g.co;
    // Each multiplication by a tap counts as two operations in `flops`.
    g.ci.min(g.co) >= CHANNELS && tiles * g.n >= MIN_ROWS && 2 * multiplications <= g.flops() / 2
}

/// Some images of some tiles at points: `[tile][entry][image][channels]`.
struct AtPoints {
    data: Buffer<f32>,
    /// The indices of the entries among those of all phases.
    entries: Range<usize>,
    /// The distance between two entries. It includes a gap, because entries at a distance of a power of two would share
    /// a few cache sets.
    step: usize,
}

impl AtPoints {
    fn new(tiles: usize, entries: Range<usize>, numbers: usize) -> Self {
        let step = numbers.next_multiple_of(LANES) + LANES;
        AtPoints { data: Buffer::stale(tiles * entries.len() * step), entries, step }
    }

    /// Transforms whole images of some tiles, in parallel. `transform(tile, patch)` adds the sources and targets that the
    /// patch lacks, and transforms it.
    fn of_all(
        images: &[f32],
        numbers: usize,
        tiles: usize,
        entries: Range<usize>,
        transform: impl Fn(&AtPoints, usize, Patch) + Sync,
    ) -> Self {
        let mut points = AtPoints::new(tiles, entries, numbers);
        let start = Shared::new(&mut points.data);
        let few = tiles * numbers.div_ceil(RUN) < ENOUGH_JOBS * rayon::current_num_threads();
        let run = if few { RUN / 4 } else { RUN };
        let parts = numbers.div_ceil(run);
        (0..tiles * parts).into_par_iter().with_max_len(1).for_each(|job| {
            let (tile, first) = (job / parts, job % parts * run);
            let to = Shared(start.at(points.start_of(tile)));
            patches(&images[first..], first..numbers.min(first + run), to, |patch| transform(&points, tile, patch));
        });
        points
    }

    /// Applies DATA to every phase of the sources of some tiles; a pixel has `numbers` elements.
    fn data(simd: Simd, method: &Method, images: &[f32], numbers: usize, tiles: &[Tile]) -> Self {
        let phases = 0..method.phases.len();
        AtPoints::of_all(images, numbers, tiles.len(), method.entries(&phases), |points, tile, patch| {
            // SAFETY: `simd` is available; the plan names pixels of the images, whose sizes the callers compared with the
            // slices; the job owns its part of all entries of the tile.
            unsafe { points.data_of(simd, method, phases.clone(), numbers, &tiles[tile], patch) };
        })
    }

    /// Applies DATA to some phases of the sources of some tiles, for a range of every pixel's elements, in this thread.
    fn data_of_range(
        simd: Simd,
        method: &Method,
        phases: Range<usize>,
        images: &[f32],
        numbers: usize,
        tiles: &[Tile],
        range: Range<usize>,
    ) -> Self {
        let mut points = AtPoints::new(tiles.len(), method.entries(&phases), range.len());
        let start = Shared::new(&mut points.data);
        for (i, tile) in tiles.iter().enumerate() {
            let to = Shared(start.at(points.start_of(i)));
            patches(&images[range.start..], 0..range.len(), to, |patch| {
                // SAFETY: as above; nothing else has these points.
                unsafe { points.data_of(simd, method, phases.clone(), numbers, tile, patch) };
            });
        }
        points
    }

    /// # Safety
    ///
    /// As [`data`], given a patch with the sources and targets of these phases of the tile.
    unsafe fn data_of(
        &self,
        simd: Simd,
        method: &Method,
        phases: Range<usize>,
        numbers: usize,
        tile: &Tile,
        patch: Patch,
    ) {
        for (phase, sources) in method.phases[phases.clone()].iter().zip(&tile.sources[phases]) {
            let sources = Places { at: sources, scale: numbers };
            let targets = Places { at: phase.places(self.entries.start), scale: self.step };
            // SAFETY: the caller vouches for the instructions and the patch.
            unsafe { data(simd, phase.taps, Patch { sources, targets, ..patch }) };
        }
    }

    /// Applies OUTPUT to the targets of some tiles, which are the same for all phases; the entries are pairs of points.
    fn output_grad(simd: Simd, dy: &[f32], numbers: usize, tiles: &[Tile]) -> Self {
        AtPoints::of_all(dy, numbers, tiles.len(), 0..POINTS * POINTS, |points, tile, patch| {
            let sources = Places { at: &tiles[tile].targets[0], scale: numbers };
            let targets = Places { at: &IN_ORDER[..POINTS * POINTS], scale: points.step };
            // SAFETY: as in [`AtPoints::data`].
            unsafe { output_grad(simd, Patch { sources, targets, ..patch }) };
        })
    }

    fn start_of(&self, tile: usize) -> usize {
        tile * self.entries.len() * self.step
    }

    fn offset(&self, tile: usize, entry: usize) -> usize {
        self.start_of(tile) + (entry - self.entries.start) * self.step
    }
}

/// Calls `transform` with the patches of a range of every pixel's elements, which lack their sources and targets. `from`
/// begins with the range's first element of the first pixel.
fn patches(from: &[f32], range: Range<usize>, to: Shared, transform: impl Fn(Patch)) {
    in_vectors(range.clone(), |first, count, width| {
        transform(Patch {
            from: &from[first - range.start..],
            sources: Places::NONE,
            from_step: LANES,
            to: Shared(to.at(first)),
            targets: Places::NONE,
            to_step: LANES,
            count,
            width,
        });
    });
}

/// Computes a map: `a` is `[pixel][n][inner]`, `kernel` is `[panel][entry][inner][16]` as [`kernel_at_points`] makes it, and
/// `out` is `[pixel][n][outer]`.
///
/// If there are enough jobs for all threads, each transforms its own rows, which then stay in its second-level cache.
/// Otherwise a few tiles are transformed by all threads and then multiplied by all. The sums are the same.
pub(crate) fn winograd(
    simd: Simd,
    map: &Map,
    a: &[f32],
    kernel: &[f32],
    epilogue: Option<&Epilogue<f32>>,
    out: &mut [f32],
) {
    let &Map { method, n, inner, outer, ref tiles } = map;
    assert_eq!(kernel.len(), method.kernel_len(inner, outer), "a kernel at points");
    let work = Work { simd, map, lists: map.lists(), kernel, epilogue, out: Shared::new(out) };
    let parts: Vec<_> = (0..outer).step_by(WIDE).map(|first| first..outer.min(first + WIDE)).collect();

    let most_entries = work.lists.iter().map(|phases| method.entries(phases).len()).max().unwrap_or(1);
    let threads = rayon::current_num_threads();
    let own_rows = (PRIVATE / (most_entries * inner)).min(ROWS);
    let own = Cut::of(n, own_rows, |cut| cut.jobs(tiles.len()) >= ENOUGH_JOBS * threads);
    if let Some(own) = own.filter(|own| own.jobs(tiles.len()) >= FEWEST_JOBS * threads) {
        (0..own.jobs(tiles.len())).into_par_iter().with_max_len(1).for_each(|i| {
            let (of_tiles, images) = own.job(tiles.len(), i);
            let rows = Rows { tiles: &tiles[of_tiles], images };
            for (list, phases) in work.lists.iter().enumerate() {
                let range = rows.images.start * inner..rows.images.end * inner;
                let points = AtPoints::data_of_range(simd, method, phases.clone(), a, n * inner, rows.tiles, range);
                for channels in &parts {
                    work.compute(&rows, channels, list, &points, 0);
                }
            }
        });
        return;
    }
    let cut = Cut::of(n, ROWS, |cut| cut.jobs(tiles.len()) * parts.len() >= ENOUGH_JOBS * threads);
    let cut = cut.expect("a job of some rows");
    for tiles in tiles.chunks((CACHED / (method.entries * n * inner)).max(1)) {
        let points = AtPoints::data(simd, method, a, n * inner, tiles);
        (0..cut.jobs(tiles.len()) * parts.len()).into_par_iter().with_max_len(1).for_each(|i| {
            let (of_tiles, images) = cut.job(tiles.len(), i / parts.len());
            let first = points.start_of(of_tiles.start) + images.start * inner;
            let rows = Rows { tiles: &tiles[of_tiles], images };
            for list in 0..work.lists.len() {
                work.compute(&rows, &parts[i % parts.len()], list, &points, first);
            }
        });
    }
}

/// A division of tiles and images into jobs: some images of one tile each, or all images of some tiles.
struct Cut {
    n: usize,
    blocks: usize,
    tiles_together: usize,
}

impl Cut {
    /// Divides batches of `n` images into jobs of at most `most` rows, or of fewer if these are not enough. There is no such
    /// division if jobs would have fewer than [`FEWEST_ROWS`].
    fn of(n: usize, most: usize, enough: impl Fn(&Cut) -> bool) -> Option<Self> {
        // Powers of two divide the usual batches evenly.
        let largest = most.checked_ilog2().map(|power| 1 << power);
        let mut found = None;
        for rows in successors(largest, |rows| Some(rows / 2)).take_while(|&rows| rows >= FEWEST_ROWS) {
            let cut = Cut { n, blocks: n.div_ceil(rows), tiles_together: (rows / n).max(1) };
            if enough(found.insert(cut)) {
                break;
            }
        }
        found
    }

    fn jobs(&self, tiles: usize) -> usize {
        tiles.div_ceil(self.tiles_together) * self.blocks
    }

    /// Returns the tiles and the images of a job.
    fn job(&self, tiles: usize, job: usize) -> (Range<usize>, Range<usize>) {
        let (group, block) = (job / self.blocks, job % self.blocks);
        let first = group * self.tiles_together;
        (
            first..tiles.min(first + self.tiles_together),
            self.n * block / self.blocks..self.n * (block + 1) / self.blocks,
        )
    }
}

/// The rows of a job: some images of some tiles.
struct Rows<'a> {
    tiles: &'a [Tile],
    images: Range<usize>,
}

/// What the jobs of a map have in common.
struct Work<'a> {
    simd: Simd,
    map: &'a Map,
    /// The phases of every list of target pixels.
    lists: Vec<Range<usize>>,
    kernel: &'a [f32],
    epilogue: Option<&'a Epilogue<'a, f32>>,
    out: Shared,
}

impl Work<'_> {
    /// Computes the products of a list of phases for one or two panels of outer channels, and transforms them back. The first
    /// tile's first image is at `first` among the points.
    fn compute(&self, rows: &Rows, channels: &Range<usize>, list: usize, a: &AtPoints, first: usize) {
        let &Work { simd, map: &Map { method, n, inner, outer, .. }, kernel, epilogue, out, .. } = self;
        let Rows { tiles, images } = rows;
        let phases = &method.phases[self.lists[list].clone()];
        let panel = method.entries * inner * LANES;
        let kernel = &kernel[channels.start / LANES * panel..];
        let columns = channels.len().next_multiple_of(LANES);
        let rows = (0..tiles.len()).flat_map(|tile| (0..images.len()).map(move |image| (tile, image)));
        let a_rows: Vec<usize> = rows.map(|(tile, image)| a.start_of(tile) + image * inner).collect();
        let c_rows: Vec<usize> = (0..a_rows.len()).map(|row| row * columns).collect();
        let step = a_rows.len() * columns + LANES;
        let mut products = Buffer::stale(POINTS * POINTS * step);
        let mut terms = Vec::new();
        let [height, width] = phases[0].points();
        for (i, j) in (0..height).flat_map(|i| (0..width).map(move |j| (i, j))) {
            let entries = phases.iter().filter_map(|phase| phase.entry(i, j));
            terms.clear();
            terms.extend(entries.map(|entry| Term { a: a.offset(0, entry), b: entry * inner * LANES }));
            let mut accumulate = false;
            for channel in (0..inner).step_by(DEPTH) {
                for terms in terms.chunks((DEPTH / inner).max(1)) {
                    let product = Product {
                        terms,
                        depth: DEPTH.min(inner - channel),
                        a: a.data[first + channel..].as_ptr(),
                        a_rows: &a_rows,
                        a_step: 1,
                        b: kernel[channel * LANES..].as_ptr(),
                        b_step: LANES,
                        b_panel: panel,
                        c: products[(i * width + j) * step..].as_mut_ptr(),
                        c_rows: &c_rows,
                        columns,
                        accumulate,
                    };
                    // SAFETY: `simd` is available; the terms and rows name entries of the tiles and of the kernel, and the
                    // products have space for every pair of points.
                    unsafe { product.run(simd) };
                    accumulate = true;
                }
            }
        }
        let sources = Places { at: &IN_ORDER[..height * width], scale: step };
        for (i, tile) in tiles.iter().enumerate() {
            let targets = Places { at: &tile.targets[list], scale: n * outer };
            for first in channels.clone().step_by(LANES) {
                let patch = Patch {
                    from: &products[i * images.len() * columns + first - channels.start..],
                    sources,
                    from_step: columns,
                    to: Shared(out.at(images.start * outer + first)),
                    targets,
                    to_step: outer,
                    count: images.len(),
                    width: LANES.min(channels.end - first),
                };
                // SAFETY: `simd` is available; the products were just computed; the job owns its channels of its images of
                // the tiles' target pixels, which lie in the images.
                unsafe { output(simd, phases[0].taps, patch) };
            }
            if let Some(epilogue) = epilogue {
                let rows = targets.offsets();
                let rows = rows.flat_map(|pixel| images.clone().map(move |image| pixel + image * outer));
                // SAFETY: as above.
                unsafe { finish(epilogue, out, rows, channels.clone()) };
            }
        }
    }
}

/// Applies KERNEL to every phase of packed weights `[panel][tap][inner][16]`: `[panel][entry][inner][16]`. `reversed` says
/// whether the last tap of a phase meets the first source pixel, as in `input_grad`.
pub(super) fn kernel_at_points(simd: Simd, g: &Geometry, packed: &[f32], inner: usize, reversed: bool) -> Buffer<f32> {
    let method = Method::of(g).expect("a geometry for Winograd's path");
    let len = inner * LANES;
    let taps = method.kernel * method.kernel * len;
    let mut points = Buffer::stale(packed.len() / taps * method.entries * len);
    points.par_chunks_exact_mut(method.entries * len).zip(packed.par_chunks_exact(taps)).for_each(|(points, taps)| {
        let to = Shared::new(points);
        for phase in method.phases {
            let mut order = method.kernel_taps(phase);
            if reversed {
                order.reverse();
            }
            let patch = Patch {
                from: taps,
                sources: Places { at: &order, scale: len },
                from_step: LANES,
                to,
                targets: Places { at: phase.places(0), scale: len },
                to_step: LANES,
                count: inner,
                width: LANES,
            };
            // SAFETY: `simd` is available; the taps and the entries of a panel are `len` numbers each, and the job
            // owns its panel.
            unsafe { kernel(simd, phase.taps, patch) };
        }
    });
    points
}

/// Computes `dw` `[tap][co][ci]`.
///
/// The products sum over all tiles. As many tiles are at points at once as the last-level cache holds, or as make the
/// products the smaller part. If all tiles are, the gradient is computed for a few output channels at a time.
pub(crate) fn weight_grad(simd: Simd, g: &Geometry, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let map = Map::conv2d(g);
    let method = map.method;
    let of_tile = g.n * (method.entries * g.ci + POINTS * POINTS * g.co);
    let products = method.entries * g.ci * g.co;
    let most_tiles = (CACHED.max(products) / of_tile).max(1);
    let most_channels =
        if map.tiles.len() <= most_tiles { (CACHED / (method.entries * g.ci)).clamp(1, g.co) } else { g.co };
    // The products are `[entry][output channel][ci]`, with a gap after every entry.
    let step = (most_channels * g.ci).next_multiple_of(LANES) + LANES;
    let mut products = Buffer::stale(method.entries * step);
    let dw = Shared::new(dw);
    for (chunk, tiles) in map.tiles.chunks(most_tiles).enumerate() {
        let x = AtPoints::data(simd, method, x, g.n * g.ci, tiles);
        let dy = AtPoints::output_grad(simd, dy, g.n * g.co, tiles);
        for first in (0..g.co).step_by(most_channels) {
            let channels = first..g.co.min(first + most_channels);
            let to = Shared::new(&mut products);
            (0..POINTS * POINTS).into_par_iter().with_max_len(1).for_each(|pair| {
                for entry in method.phases.iter().filter_map(|phase| phase.entry(pair / POINTS, pair % POINTS)) {
                    let terms =
                        (0..tiles.len()).map(|tile| Term { a: dy.offset(tile, pair), b: x.offset(tile, entry) });
                    let terms: Vec<_> = terms.collect();
                    correlate(simd, g, &channels, [&dy, &x], &terms, Shared(to.at(entry * step)), chunk > 0);
                }
            });
            if (chunk + 1) * most_tiles >= map.tiles.len() {
                from_points(simd, g, method, &channels, &products, step, dw);
            }
        }
    }
}

/// Applies KERNEL^T to the products of some output channels.
fn from_points(
    simd: Simd,
    g: &Geometry,
    method: &Method,
    channels: &Range<usize>,
    products: &[f32],
    step: usize,
    dw: Shared,
) {
    channels.clone().into_par_iter().with_min_len(4).for_each(|co| {
        for phase in method.phases {
            let taps = method.kernel_taps(phase);
            in_vectors(0..g.ci, |at, count, width| {
                let patch = Patch {
                    from: &products[(co - channels.start) * g.ci + at..],
                    sources: Places { at: phase.places(0), scale: step },
                    from_step: LANES,
                    to: Shared(dw.at(co * g.ci + at)),
                    targets: Places { at: &taps, scale: g.co * g.ci },
                    to_step: LANES,
                    count,
                    width,
                };
                // SAFETY: `simd` is available; the products were just computed; the job owns its output channel of
                // all taps, and the callers compared the size of `dw` with the geometry.
                unsafe { kernel_grad(simd, phase.taps, patch) };
            });
        }
    });
}

/// Computes the products of some output channels with all input channels at one entry, over all images of the tiles.
fn correlate(
    simd: Simd,
    g: &Geometry,
    channels: &Range<usize>,
    [dy, x]: [&AtPoints; 2],
    tiles: &[Term],
    to: Shared,
    accumulate: bool,
) {
    let (a_rows, c_rows): (Vec<_>, Vec<_>) = channels.clone().enumerate().map(|(row, co)| (co, row * g.ci)).unzip();
    for first in (0..g.ci).step_by(WIDE) {
        let mut accumulate = accumulate;
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
                    b_panel: LANES,
                    c: to.at(first),
                    c_rows: &c_rows,
                    columns: WIDE.min(g.ci - first),
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
