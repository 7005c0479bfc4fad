//! Which pixels a tile reads and writes, phase by phase.

use std::ops::Range;
use std::sync::Arc;

use super::super::super::geometry::Geometry;
use super::super::plan::Cache;
use super::transforms::TILE;
use crate::cpu::microkernel::LANES;

/// How the kernel of a convolution divides into phases.
pub(super) struct Method {
    pub(super) kernel: usize,
    stride: usize,
    pub(super) phases: &'static [Phase],
    /// The number of entries of all phases.
    pub(super) entries: usize,
}

/// A phase of the kernel: every second tap along both axes, or every tap.
pub(super) struct Phase {
    /// The row and column of the first tap.
    first: [usize; 2],
    pub(super) taps: [usize; 2],
    /// The index of its first entry among those of all phases.
    start: usize,
}

static STRIDE_1: Method =
    Method { kernel: 3, stride: 1, phases: &[Phase { first: [0, 0], taps: [3, 3], start: 0 }], entries: 36 };

static STRIDE_2: Method = Method {
    kernel: 5,
    stride: 2,
    phases: &[
        Phase { first: [0, 0], taps: [3, 3], start: 0 },
        Phase { first: [0, 1], taps: [3, 2], start: 36 },
        Phase { first: [1, 0], taps: [2, 3], start: 66 },
        Phase { first: [1, 1], taps: [2, 2], start: 96 },
    ],
    entries: 121,
};

/// Numbers in order, for vectors that lie one after another.
pub(super) const IN_ORDER: [Option<usize>; 121] = {
    let mut order = [None; 121];
    let mut i = 0;
    while i < order.len() {
        order[i] = Some(i);
        i += 1;
    }
    order
};

impl Method {
    /// Returns the method for a geometry, if there is one.
    pub(super) fn of(g: &Geometry) -> Option<&'static Method> {
        let fits = |method: &&Method| {
            [g.kh, g.kw] == [method.kernel; 2] && g.stride == [method.stride; 2] && g.dilation == [1, 1]
        };
        [&STRIDE_1, &STRIDE_2].into_iter().find(fits)
    }

    /// Returns the index in the kernel of each tap of a phase.
    pub(super) fn kernel_taps(&self, phase: &Phase) -> Pixels {
        let place = |axis: usize, tap: usize| phase.first[axis] + self.stride * tap;
        pixels(phase.taps, self.kernel, |axis, tap| Some(place(axis, tap)))
    }

    /// Returns the indices of the entries of some phases.
    pub(super) fn entries(&self, phases: &Range<usize>) -> Range<usize> {
        let last = &self.phases[phases.end - 1];
        self.phases[phases.start].start..last.start + last.entries()
    }

    /// Returns the number of elements of a kernel at points with so many channels.
    pub(super) fn kernel_len(&self, inner: usize, outer: usize) -> usize {
        outer.div_ceil(LANES) * self.entries * inner * LANES
    }
}

impl Phase {
    pub(super) fn points(&self) -> [usize; 2] {
        self.taps.map(|taps| TILE + taps - 1)
    }

    pub(super) fn entries(&self) -> usize {
        self.points().into_iter().product()
    }

    /// Returns the indices of its entries among those from entry `first` on.
    pub(super) fn places(&self, first: usize) -> &'static [Option<usize>] {
        &IN_ORDER[self.start - first..][..self.entries()]
    }

    /// Returns the entry at points `i`, `j`, or `None` if the phase does not have these points.
    pub(super) fn entry(&self, i: usize, j: usize) -> Option<usize> {
        let [rows, columns] = self.points();
        (i < rows && j < columns).then_some(self.start + i * columns + j)
    }

    /// Returns the position along an axis of the input pixel that the phase's first tap meets at position `at`.
    fn input(&self, g: &Geometry, axis: usize, at: usize) -> Option<usize> {
        let size = [g.h, g.w][axis];
        (g.stride[axis] * at + self.first[axis]).checked_sub(g.padding[axis]).filter(|&pixel| pixel < size)
    }
}

/// Pixels, row after row; `None` lies in the padding or beyond a border.
pub(super) type Pixels = Vec<Option<usize>>;

/// Returns the pixels of images that are `width` pixels wide, given the positions along either axis.
fn pixels([rows, columns]: [usize; 2], width: usize, along: impl Fn(usize, usize) -> Option<usize>) -> Pixels {
    (0..rows * columns).map(|i| Some(along(0, i / columns)? * width + along(1, i % columns)?)).collect()
}

/// Returns the first positions of the tiles that cover `start..end` along both axes.
fn corners(start: [usize; 2], end: [usize; 2]) -> impl Iterator<Item = [usize; 2]> {
    let rows = (start[0]..end[0]).step_by(TILE);
    rows.flat_map(move |y| (start[1]..end[1]).step_by(TILE).map(move |x| [y, x]))
}

/// A map from images with `inner` channels to images with `outer` channels.
pub(crate) struct Map {
    pub(super) method: &'static Method,
    pub(super) n: usize,
    pub(super) inner: usize,
    pub(super) outer: usize,
    pub(super) tiles: Arc<Vec<Tile>>,
}

/// A tile of the target images.
pub(super) struct Tile {
    /// The source pixels of every phase.
    pub(super) sources: Vec<Pixels>,
    /// The target pixels: one list for all phases together, or one for each.
    pub(super) targets: Vec<Pixels>,
}

impl Map {
    pub(crate) fn conv2d(g: &Geometry) -> Self {
        let method = Method::of(g).expect("a geometry for Winograd's path");
        static PLANS: Cache<Geometry, Vec<Tile>> = Cache::new();
        let tile = |corner: [usize; 2]| Tile {
            sources: method
                .phases
                .iter()
                .map(|phase| pixels(phase.points(), g.w, |axis, i| phase.input(g, axis, corner[axis] + i)))
                .collect(),
            targets: vec![pixels([TILE; 2], g.ow, |axis, i| {
                Some(corner[axis] + i).filter(|&o| o < [g.oh, g.ow][axis])
            })],
        };
        let tiles = PLANS.get(*g, || corners([0; 2], [g.oh, g.ow]).map(tile).collect());
        Map { method, n: g.n, inner: g.ci, outer: g.co, tiles }
    }

    pub(crate) fn input_grad(g: &Geometry) -> Self {
        let method = Method::of(g).expect("a geometry for Winograd's path");
        static PLANS: Cache<Geometry, Vec<Tile>> = Cache::new();
        // The input pixel that a phase's first tap meets at position b meets its u-th tap at output b - u.
        let tile = |corner: [usize; 2]| {
            let source = |phase: &Phase, axis: usize, i: usize| {
                (corner[axis] + i + 1).checked_sub(phase.taps[axis]).filter(|&o| o < [g.oh, g.ow][axis])
            };
            let phases = method.phases.iter();
            let target = |phase: &Phase| pixels([TILE; 2], g.w, |axis, i| phase.input(g, axis, corner[axis] + i));
            Tile {
                sources: phases
                    .clone()
                    .map(|phase| pixels(phase.points(), g.ow, |axis, i| source(phase, axis, i)))
                    .collect(),
                targets: phases.map(target).collect(),
            }
        };
        let along = |axis: usize| {
            let (padding, stride) = (g.padding[axis], method.stride);
            [padding / stride, ([g.h, g.w][axis] + padding).div_ceil(stride)]
        };
        let ([top, bottom], [left, right]) = (along(0), along(1));
        let tiles = PLANS.get(*g, || corners([top, left], [bottom, right]).map(tile).collect());
        Map { method, n: g.n, inner: g.co, outer: g.ci, tiles }
    }

    /// Returns the phases that have a list of target pixels in common.
    pub(super) fn lists(&self) -> Vec<Range<usize>> {
        let (phases, lists) = (self.method.phases.len(), self.tiles[0].targets.len());
        (0..lists).map(|list| phases * list / lists..phases * (list + 1) / lists).collect()
    }
}
