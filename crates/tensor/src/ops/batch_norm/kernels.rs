//! The kernels of normalisations on the CPU.

use rayon::prelude::*;

use crate::cpu::microkernel::LANES;
use crate::cpu::vectorised;
use crate::layout::Nchw;
use crate::ops::elementwise::planes_per_task;
use crate::ops::leaky_relu::{gate, rectified};
use crate::ops::tables::table_among;
use crate::pool::Buffer;
use crate::shape::Shape;
use crate::storage::Element;
use crate::tensor::Tensor;

/// The way in which the images of a batch share the rows of tables with C columns: there are `groups` rows of
/// statistics, and `rows` rows of scales and shifts, which is a multiple of `groups`.
#[derive(Clone, Copy)]
pub(in crate::ops) struct NormGroups {
    pub(in crate::ops) shape: Nchw,
    pub(in crate::ops) groups: usize,
    pub(in crate::ops) rows: usize,
    /// Whether all channels of a group have the same statistics, which the table then repeats.
    pub(in crate::ops) across_channels: bool,
}

/// Up to sixteen channels of the images that share one row of a table.
#[derive(Clone, Copy)]
struct Block {
    /// The position of the first channel in a table with `rows` rows.
    row: usize,
    /// The position of the first channel in a table with `groups` rows.
    group: usize,
    /// The position of the first channel in the first image's pixel, and the distance to the next image's.
    first: usize,
    step: usize,
    images: usize,
    width: usize,
}

impl Block {
    /// Calls `visit` with the position of each image's channels in one plane of the batch. The loop is compiled twice,
    /// for sixteen channels and for fewer.
    #[inline(always)]
    fn each(self, mut visit: impl FnMut(Block, usize)) {
        // These are plain loops, because an iterator's own loop is not always inlined and then lacks the vector
        // instructions.
        if self.width == LANES {
            for image in 0..self.images {
                visit(Block { width: LANES, ..self }, self.first + image * self.step);
            }
        } else {
            for image in 0..self.images {
                visit(self, self.first + image * self.step);
            }
        }
    }

    /// Loads the block's channels from `start` on, followed by zeros.
    #[inline(always)]
    fn load<T: Element>(&self, numbers: &[T], start: usize) -> [T; LANES] {
        let numbers = &numbers[start..start + self.width];
        match numbers.first_chunk() {
            Some(all) => *all,
            None => {
                let mut lanes = [T::zero(); LANES];
                lanes[..numbers.len()].copy_from_slice(numbers);
                lanes
            }
        }
    }

    /// Returns the gradient before the rectifier, and x^.
    #[inline(always)]
    fn gated_and_normalised<T: Element>(
        &self,
        [g, y, x]: [&[T]; 3],
        [mean, inverse]: [&[T]; 2],
        slope: T,
        start: usize,
    ) -> [[T; LANES]; 2] {
        let (mut g, y, mut x) = (self.load(g, start), self.load(y, start), self.load(x, start));
        let (mean, inverse) = (self.load(mean, self.group), self.load(inverse, self.group));
        for i in 0..LANES {
            g[i] = gate(g[i], y[i], slope);
            x[i] = (x[i] - mean[i]) * inverse[i];
        }
        [g, x]
    }

    #[inline(always)]
    fn add<T: Element>(&self, lanes: [T; LANES], to: &mut [T], start: usize) {
        let mut sums = self.load(to, start);
        for i in 0..LANES {
            sums[i] += lanes[i];
        }
        self.store(sums, to, start);
    }

    #[inline(always)]
    fn store<T: Element>(&self, lanes: [T; LANES], to: &mut [T], start: usize) {
        to[start..start + self.width].copy_from_slice(&lanes[..self.width]);
    }
}

impl NormGroups {
    /// Calls `visit` with every block of a plane. This is a plain loop, because an iterator's own is not always inlined and
    /// then lacks the vector instructions.
    #[inline(always)]
    fn each_block(&self, mut visit: impl FnMut(Block)) {
        let NormGroups { shape: Nchw { n, c, .. }, rows, .. } = *self;
        let images = n / rows;
        for row in 0..rows {
            let mut channel = 0;
            while channel < c {
                visit(Block {
                    row: row * c + channel,
                    group: self.group_of(row) + channel,
                    first: row * images * c + channel,
                    step: c,
                    images,
                    width: LANES.min(c - channel),
                });
                channel += LANES;
            }
        }
    }

    /// Returns the position, in a table with a row for each group, of the group of a row of scales.
    #[inline(always)]
    fn group_of(&self, row: usize) -> usize {
        row / (self.rows / self.groups) * self.shape.c
    }

    /// Returns the shape of the statistics without repetitions.
    pub(super) fn statistics(&self) -> Shape {
        if self.across_channels { [self.groups, 1].into() } else { [self.groups, self.shape.c].into() }
    }

    /// Returns the means over the elements that share a statistic, by an operation that can be differentiated.
    pub(super) fn mean(&self, of: &Tensor) -> Tensor {
        let statistics = table_among(self.statistics(), of.shape());
        of.sum_rows_to(statistics) * (statistics.len() as f64 / of.shape().len() as f64)
    }

    /// Returns the number of elements that each statistic is computed from.
    fn members<T: Element>(&self) -> T {
        T::from_f64((self.shape.len() / self.statistics().len()) as f64)
    }

    /// Converts sums by channel to the sums of a table of statistics, which are over all channels if these share their
    /// statistics.
    fn shared<T: Element>(&self, mut sums: Buffer<T>) -> Buffer<T> {
        if self.across_channels {
            for row in sums.chunks_exact_mut(self.shape.c) {
                let sum = row.iter().copied().sum();
                row.fill(sum);
            }
        }
        sums
    }

    /// Sums over pixels and images into K tables of `rows` rows, one after another. `terms(block, position)` returns
    /// the K summands of a block's channels at a position in the whole tensor. Pixels are summed in bands, and bands in
    /// order; `broadcast/mod.rs` explains why.
    fn sums<T: Element, const K: usize>(&self, terms: impl Fn(Block, usize) -> [[T; LANES]; K] + Sync) -> Buffer<T> {
        const BANDS: usize = 16;
        let (pixels, len) = (self.shape.pixels(), self.rows * self.shape.c);
        let bands = pixels.min(BANDS);
        let mut partial = Buffer::stale(bands * K * len);
        partial.par_chunks_exact_mut(K * len).enumerate().for_each(|(band, partial)| {
            partial.fill(T::zero());
            vectorised(
                #[inline(always)]
                || {
                    for pixel in pixels * band / bands..pixels * (band + 1) / bands {
                        self.each_block(
                            #[inline(always)]
                            |block| {
                                let sums = self.plane(pixel, block, &terms);
                                for (k, sums) in sums.into_iter().enumerate() {
                                    block.add(sums, partial, k * len + block.row);
                                }
                            },
                        );
                    }
                },
            );
        });
        let mut total = Buffer::zeros(K * len);
        for partial in partial.chunks_exact(K * len) {
            total.iter_mut().zip(partial).for_each(|(total, &partial)| *total += partial);
        }
        total
    }

    /// Returns the sums of one block over the images of one pixel.
    #[inline(always)]
    fn plane<T: Element, const K: usize>(
        &self,
        pixel: usize,
        block: Block,
        terms: &impl Fn(Block, usize) -> [[T; LANES]; K],
    ) -> [[T; LANES]; K] {
        let mut sums = [[T::zero(); LANES]; K];
        block.each(
            #[inline(always)]
            |block, position| {
                let terms = terms(block, pixel * self.shape.plane() + position);
                for k in 0..K {
                    for i in 0..LANES {
                        sums[k][i] += terms[k][i];
                    }
                }
            },
        );
        sums
    }

    /// Fills K tensors with `values(block, position)`.
    fn fill<T: Element, const K: usize>(
        &self,
        values: impl Fn(Block, usize) -> [[T; LANES]; K] + Sync,
    ) -> [Buffer<T>; K] {
        let plane = self.shape.plane();
        let mut out = [self.shape.len(); K].map(Buffer::stale);
        let mut rest = out.each_mut().map(|out| out.chunks_exact_mut(plane));
        let planes = (0..self.shape.pixels()).map(|_| rest.each_mut().map(|rest| rest.next().expect("every plane")));
        let planes: Vec<[&mut [T]; K]> = planes.collect();
        planes.into_par_iter().enumerate().with_min_len(planes_per_task(plane)).for_each(|(q, mut out)| {
            vectorised(
                #[inline(always)]
                || {
                    self.each_block(
                        #[inline(always)]
                        |block| {
                            block.each(
                                #[inline(always)]
                                |block, position| {
                                    let values = values(block, q * plane + position);
                                    for (values, out) in values.into_iter().zip(&mut out) {
                                        block.store(values, out, position);
                                    }
                                },
                            );
                        },
                    );
                },
            );
        });
        out
    }

    /// Returns the means and the inverse standard deviations.
    pub(super) fn moments<T: Element>(&self, x: &[T], epsilon: f64) -> [Buffer<T>; 2] {
        let means = self.means(x);
        let inverse = self.inverse_deviations(x, &means, epsilon);
        [means, inverse]
    }

    fn means<T: Element>(&self, x: &[T]) -> Buffer<T> {
        let mut means = self.shared(self.sums(
            #[inline(always)]
            |block, at| [block.load(x, at)],
        ));
        means.iter_mut().for_each(|mean| *mean = *mean / self.members());
        means
    }

    fn inverse_deviations<T: Element>(&self, x: &[T], mean: &[T], epsilon: f64) -> Buffer<T> {
        let mut squares = self.shared(self.sums(
            #[inline(always)]
            |block, at| {
                let (mut x, mean) = (block.load(x, at), block.load(mean, block.group));
                for i in 0..LANES {
                    x[i] = (x[i] - mean[i]) * (x[i] - mean[i]);
                }
                [x]
            },
        ));
        let epsilon = T::from_f64(epsilon);
        squares.iter_mut().for_each(|square| *square = (*square / self.members() + epsilon).sqrt().recip());
        squares
    }

    pub(super) fn forward<T: Element>(
        &self,
        x: &[T],
        [scale, shift]: [&[T]; 2],
        [mean, inverse]: [&[T]; 2],
        slope: f64,
    ) -> Buffer<T> {
        let slope = T::from_f64(slope);
        let [y] = self.fill(
            #[inline(always)]
            |block, at| {
                let (scale, shift) = (block.load(scale, block.row), block.load(shift, block.row));
                let (mean, inverse) = (block.load(mean, block.group), block.load(inverse, block.group));
                let mut x = block.load(x, at);
                for i in 0..LANES {
                    x[i] = rectified((x[i] - mean[i]) * inverse[i] * scale[i] + shift[i], slope);
                }
                [x]
            },
        );
        y
    }

    /// Returns the gradients of x, scale and shift. With g the gradient before the rectifier, they are
    /// `inverse * (g scale - mean(g scale) - x^ mean(g scale x^))`, `sum(g x^)` and `sum(g)`.
    pub(super) fn backward<T: Element>(
        &self,
        [g, y, x]: [&[T]; 3],
        scale: &[T],
        [mean, inverse]: [&[T]; 2],
        slope: f64,
    ) -> [Buffer<T>; 3] {
        let slope = T::from_f64(slope);
        let sums = self.sums(
            #[inline(always)]
            |block, at| {
                let [g, mut x] = block.gated_and_normalised([g, y, x], [mean, inverse], slope, at);
                for i in 0..LANES {
                    x[i] = x[i] * g[i];
                }
                [x, g]
            },
        );
        let (to_scale, to_shift) = sums.split_at(scale.len());
        let [mean_gx, mean_g] = [to_scale, to_shift].map(|sums| self.group_means(sums, Some(scale)));
        let [to_x] = self.fill(
            #[inline(always)]
            |block, at| {
                let [mut g, x] = block.gated_and_normalised([g, y, x], [mean, inverse], slope, at);
                let scale = block.load(scale, block.row);
                let (mean_g, mean_gx) = (block.load(&mean_g, block.group), block.load(&mean_gx, block.group));
                let inverse = block.load(inverse, block.group);
                for i in 0..LANES {
                    g[i] = inverse[i] * (g[i] * scale[i] - mean_g[i] - x[i] * mean_gx[i]);
                }
                [g]
            },
        );
        [to_x, Buffer::from(to_scale), Buffer::from(to_shift)]
    }

    /// Returns the gradients of the gradient of x, given that of its result (u): with respect to the upstream gradient, x and
    /// the scale.
    ///
    /// With J(t) = `inverse * (t - mean(t) - x^ mean(t x^))`, which is the derivative of x^ and its own transpose, and g the
    /// gradient before the rectifier times the scale, the gradient of x is J(g). So those of g and of x are J(u) and
    /// `-J(inverse (u mean(g x^) + g mean(u x^))) - inverse^2 x^ k` with
    /// `k = mean(u g) - mean(u) mean(g) - mean(u x^) mean(g x^)`.
    pub(super) fn second<T: Element>(
        &self,
        [u, g, y, x]: [&[T]; 4],
        scale: &[T],
        [mean, inverse]: [&[T]; 2],
        slope: f64,
    ) -> [Buffer<T>; 3] {
        let slope = T::from_f64(slope);
        let sums = self.sums(
            #[inline(always)]
            |block, at| {
                let [g, x] = block.gated_and_normalised([g, y, x], [mean, inverse], slope, at);
                let u = block.load(u, at);
                let (mut gx, mut ux, mut ug) = (g, u, u);
                for i in 0..LANES {
                    gx[i] = g[i] * x[i];
                    ux[i] = u[i] * x[i];
                    ug[i] = u[i] * g[i];
                }
                [g, gx, u, ux, ug]
            },
        );
        let sums: [&[T]; 5] = std::array::from_fn(|k| &sums[k * scale.len()..][..scale.len()]);
        let factors = [Some(scale), Some(scale), None, None, Some(scale)];
        let means: [Buffer<T>; 5] = std::array::from_fn(|k| self.group_means(sums[k], factors[k]));
        let [_, _, mean_u, mean_ux, _] = &means;
        let c = self.shape.c;
        let mut to_scale = Buffer::stale(scale.len());
        for (at, to_scale) in to_scale.iter_mut().enumerate() {
            let group = self.group_of(at / c) + at % c;
            let [g, gx, _, _, ug] = sums.map(|sums| sums[at]);
            *to_scale = inverse[group] * (ug - mean_u[group] * g - mean_ux[group] * gx);
        }
        let [to_g, to_x] = self.fill(
            #[inline(always)]
            |block, at| self.second_of(block, ([u, g, y, x], at), scale, [mean, inverse], &means, slope),
        );
        [to_g, to_x, to_scale]
    }

    /// Returns the gradients of [`NormGroups::second`] with respect to g and x at a position of the whole tensor.
    #[inline(always)]
    fn second_of<T: Element>(
        &self,
        block: Block,
        ([u, g, y, x], at): ([&[T]; 4], usize),
        scale: &[T],
        [mean, inverse]: [&[T]; 2],
        [mean_g, mean_gx, mean_u, mean_ux, mean_ug]: &[Buffer<T>; 5],
        slope: T,
    ) -> [[T; LANES]; 2] {
        let [g, x] = block.gated_and_normalised([g, y, x], [mean, inverse], slope, at);
        let (u, y, scale) = (block.load(u, at), block.load(y, at), block.load(scale, block.row));
        let inverse = block.load(inverse, block.group);
        let (mean_g, mean_gx) = (block.load(mean_g, block.group), block.load(mean_gx, block.group));
        let (mean_u, mean_ux) = (block.load(mean_u, block.group), block.load(mean_ux, block.group));
        let mean_ug = block.load(mean_ug, block.group);
        let [mut of_g, mut of_x] = [[T::zero(); LANES]; 2];
        for i in 0..LANES {
            let (u_centred, g_centred) = (u[i] - mean_u[i], g[i] * scale[i] - mean_g[i]);
            let through = inverse[i] * (u_centred - x[i] * mean_ux[i]);
            of_g[i] = gate(through * scale[i], y[i], slope);
            // J's means of its argument follow from these means.
            let both = mean_ux[i] * mean_gx[i];
            let along_x = mean_ug[i] - mean_u[i] * mean_g[i] - both - (both + both);
            let sum = u_centred * mean_gx[i] + g_centred * mean_ux[i] + x[i] * along_x;
            of_x[i] = -(inverse[i] * inverse[i]) * sum;
        }
        [of_g, of_x]
    }

    /// Returns group means from sums over the rows of a table, each multiplied by its scale if there are scales.
    fn group_means<T: Element>(&self, sums: &[T], scale: Option<&[T]>) -> Buffer<T> {
        let c = self.shape.c;
        let mut means = Buffer::zeros(self.groups * c);
        for (row, sums) in sums.chunks_exact(c).enumerate() {
            let group = &mut means[self.group_of(row)..][..c];
            for i in 0..c {
                let sum = scale.map_or(sums[i], |scale| sums[i] * scale[row * c + i]);
                group[i] += sum / self.members();
            }
        }
        self.shared(means)
    }
}
