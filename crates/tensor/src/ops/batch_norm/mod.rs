//! Conditional batch normalisation with the rectifier that follows it, in few passes over memory.
//!
//! ```text
//! x^ = (x - mean) / sqrt(variance + epsilon)          mean and variance of a group of the batch
//! y  = leaky_relu(x^ * scale + shift)                 scale and shift of the images' class
//! ```
//!
//! The forward computation takes two passes for the statistics and one for the result; x^ is never stored. The backward
//! computation takes one pass for the sums from which the gradients of the tables and of the statistics follow, and one
//! for the gradient of x. The backward kernels run only if their own graph is not recorded. If it is, the gradient is
//! that of the same function composed of other operations, and a test compares the two. Layer normalisation
//! (`layer_norm.rs`) differs only in its statistics.

mod cuda;

use std::ops::Range;

use rayon::prelude::*;

use super::elementwise::planes_per_task;
use super::leaky_relu::{assert_slope, gate, rectified};
use super::tables::table_among;
use crate::autograd::{Backward, is_recording};
use crate::cpu::microkernel::LANES;
use crate::cpu::vectorised;
use crate::layout::Nchw;
use crate::pool::Buffer;
use crate::shape::Shape;
use crate::storage::{Element, dispatch, operands};
use crate::tensor::{SavedOutput, Tensor};

impl Tensor {
    /// Applies batch normalisation, a scale and a shift, and [`Tensor::leaky_relu`]. A slope of 1 leaves the rectifier
    /// out.
    ///
    /// The batch consists of `groups` groups of equal size, one after another. Each group is normalised, channel by
    /// channel, with the mean and the biased variance of its own images and pixels. One group is plain batch
    /// normalisation; several serve the class-pure batches of a replaying generator. This tensor is `[n, c, h, w]` or
    /// `[n, c]`. `scale` and `shift` are `[c]`, or `[r, c]` with a row for each of r equal blocks of images.
    ///
    /// # Panics
    /// Panics if the shapes of the tables differ or do not fit, if `groups` does not divide r (1 for a table `[c]`) or
    /// r does not divide n, or if the slope does not lie in `[0, 1]`.
    #[track_caller]
    pub fn batch_norm_leaky_relu(
        &self,
        scale: &Tensor,
        shift: &Tensor,
        groups: usize,
        epsilon: f64,
        slope: f64,
    ) -> Tensor {
        let shape = self.images_or_rows("batch_norm_leaky_relu");
        let rows = scale.table_rows("batch_norm_leaky_relu", shape);
        shift.table_rows("batch_norm_leaky_relu", shape);
        assert!(
            groups > 0 && rows.is_multiple_of(groups) && scale.shape() == shift.shape(),
            "batch_norm_leaky_relu in {groups} groups with tables of shapes {:?} and {:?}: these must be equal, and their rows \
             a multiple of the groups",
            scale.shape(),
            shift.shape()
        );
        let cut = NormGroups { shape, groups, rows, across_channels: false };
        normalised(self, [scale, shift], cut, epsilon, slope)
    }
}

/// Normalises images as `cut` says and applies the scales and shifts of its rows and a leaky rectifier.
#[track_caller]
pub(super) fn normalised(
    images: &Tensor,
    [scale, shift]: [&Tensor; 2],
    cut: NormGroups,
    epsilon: f64,
    slope: f64,
) -> Tensor {
    assert_slope(slope);
    let NormGroups { shape, groups, .. } = cut;
    let by_group = NormGroups { rows: groups, ..cut };
    let moments =
        dispatch!(operands("normalisation", [images]), |[x]| by_group.moments(x, epsilon), |[x]| cuda::moments(
            &cut, x, epsilon
        ));
    let [mean, inverse] = moments.map(|storage| Tensor::constant([groups, shape.c].into(), storage));
    let storage = dispatch!(
        operands("normalisation", [images, scale, shift, &mean, &inverse]),
        |[x, scale, shift, mean, inverse]| cut.forward(x, [scale, shift], [mean, inverse], slope),
        |[x, scale, shift, mean, inverse]| cuda::forward(&cut, x, [scale, shift], [mean, inverse], slope)
    );
    let saved = Saved { cut, x: images.clone(), scale: scale.clone(), mean, inverse, epsilon, slope };
    Tensor::with_saved_output(images.shape(), storage, &[images, scale, shift], |y| {
        move |back| saved.gradients(back, &y)
    })
}

/// The values that the gradient keeps, apart from the result.
struct Saved {
    cut: NormGroups,
    x: Tensor,
    scale: Tensor,
    mean: Tensor,
    inverse: Tensor,
    epsilon: f64,
    slope: f64,
}

impl Saved {
    /// Returns the gradients of x, scale and shift.
    fn gradients(&self, back: &Backward, y: &SavedOutput) -> Vec<Option<Tensor>> {
        let y = back.output(y).detach();
        if is_recording() {
            return self.gradients_composed(back, &y);
        }
        let Saved { cut, x, scale, mean, inverse, slope, .. } = self;
        let gradients = dispatch!(
            operands("the gradient of a normalisation", [back.upstream, &y, x, scale, mean, inverse]),
            |[g, y, x, scale, mean, inverse]| cut.backward([g, y, x], scale, [mean, inverse], *slope),
            |[g, y, x, scale, mean, inverse]| cuda::backward(cut, [g, y, x], scale, [mean, inverse], *slope)
        );
        let shapes = [x.shape(), scale.shape(), scale.shape()];
        gradients.into_iter().zip(shapes).map(|(storage, shape)| Some(Tensor::constant(shape, storage))).collect()
    }

    /// Computes the same gradients by other operations, which is slower but differentiable any number of times.
    fn gradients_composed(&self, back: &Backward, y: &Tensor) -> Vec<Option<Tensor>> {
        let Saved { cut, x, scale, epsilon, slope, .. } = self;
        let (shape, tables) = (x.shape(), scale.shape());
        let statistics = table_among(cut.statistics(), shape);
        let mean = |x: &Tensor| x.sum_rows_to(statistics) * (statistics.len() as f64 / shape.len() as f64);
        let centred = x - mean(x).repeat_to(shape);
        let inverse = (mean(&centred.square()) + *epsilon).sqrt().reciprocal_or_zero().repeat_to(shape);
        let normalised = &centred * &inverse;
        let gated = back.upstream.leaky_relu_grad(y, *slope);
        let to_x = || {
            let g = &gated * scale.spread(shape);
            let mean_gx = mean(&(&g * &normalised)).repeat_to(shape);
            ((&g - mean(&g).repeat_to(shape)) - &normalised * mean_gx) * &inverse
        };
        vec![
            back.when(0, to_x),
            back.when(1, || (&gated * &normalised).sum_to_table(tables)),
            back.when(2, || gated.sum_to_table(tables)),
        ]
    }
}

/// The way in which the images of a batch share the rows of tables with C columns: there are `groups` rows of
/// statistics, and `rows` rows of scales and shifts, which is a multiple of `groups`.
#[derive(Clone, Copy)]
pub(super) struct NormGroups {
    pub(super) shape: Nchw,
    pub(super) groups: usize,
    pub(super) rows: usize,
    /// Whether all channels of a group have the same statistics, which the table then repeats.
    pub(super) across_channels: bool,
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
    fn store<T: Element>(&self, lanes: [T; LANES], to: &mut [T], start: usize) {
        to[start..start + self.width].copy_from_slice(&lanes[..self.width]);
    }
}

impl NormGroups {
    /// Returns all blocks of a plane.
    fn blocks(&self) -> impl Iterator<Item = Block> + use<> {
        let NormGroups { shape: Nchw { n, c, .. }, groups, rows, .. } = *self;
        let images = n / rows;
        (0..rows).flat_map(move |row| {
            (0..c).step_by(LANES).map(move |channel| Block {
                row: row * c + channel,
                group: row / (rows / groups) * c + channel,
                first: row * images * c + channel,
                step: c,
                images,
                width: LANES.min(c - channel),
            })
        })
    }

    /// Returns the shape of the statistics without repetitions.
    fn statistics(&self) -> Shape {
        if self.across_channels { [self.groups, 1].into() } else { [self.groups, self.shape.c].into() }
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
            vectorised(
                #[inline(always)]
                || {
                    for block in self.blocks() {
                        let sums = self.band(pixels * band / bands..pixels * (band + 1) / bands, block, &terms);
                        for (k, sums) in sums.into_iter().enumerate() {
                            block.store(sums, partial, k * len + block.row);
                        }
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

    /// Returns the sums of one block over some pixels. Each pixel is summed by itself, and then these sums are added.
    #[inline(always)]
    fn band<T: Element, const K: usize>(
        &self,
        pixels: Range<usize>,
        block: Block,
        terms: &impl Fn(Block, usize) -> [[T; LANES]; K],
    ) -> [[T; LANES]; K] {
        let mut sums = [[T::zero(); LANES]; K];
        for q in pixels {
            let mut plane = [[T::zero(); LANES]; K];
            block.each(
                #[inline(always)]
                |block, position| {
                    let terms = terms(block, q * self.shape.plane() + position);
                    for k in 0..K {
                        for i in 0..LANES {
                            plane[k][i] += terms[k][i];
                        }
                    }
                },
            );
            for k in 0..K {
                for i in 0..LANES {
                    sums[k][i] += plane[k][i];
                }
            }
        }
        sums
    }

    /// Fills a tensor with `value(block, position)`.
    fn fill<T: Element>(&self, value: impl Fn(Block, usize) -> [T; LANES] + Sync) -> Buffer<T> {
        let plane = self.shape.plane();
        let mut out = Buffer::stale(self.shape.len());
        let planes = out.par_chunks_exact_mut(plane).enumerate();
        planes.with_min_len(planes_per_task(plane)).for_each(|(q, out)| {
            vectorised(
                #[inline(always)]
                || {
                    for block in self.blocks() {
                        block.each(
                            #[inline(always)]
                            |block, position| block.store(value(block, q * plane + position), out, position),
                        );
                    }
                },
            );
        });
        out
    }

    /// Returns the means and the inverse standard deviations.
    fn moments<T: Element>(&self, x: &[T], epsilon: f64) -> [Buffer<T>; 2] {
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

    fn forward<T: Element>(
        &self,
        x: &[T],
        [scale, shift]: [&[T]; 2],
        [mean, inverse]: [&[T]; 2],
        slope: f64,
    ) -> Buffer<T> {
        let slope = T::from_f64(slope);
        self.fill(
            #[inline(always)]
            |block, at| {
                let (scale, shift) = (block.load(scale, block.row), block.load(shift, block.row));
                let (mean, inverse) = (block.load(mean, block.group), block.load(inverse, block.group));
                let mut x = block.load(x, at);
                for i in 0..LANES {
                    x[i] = rectified((x[i] - mean[i]) * inverse[i] * scale[i] + shift[i], slope);
                }
                x
            },
        )
    }

    /// Returns the gradients of x, scale and shift. With g the gradient before the rectifier, they are
    /// `inverse * (g scale - mean(g scale) - x^ mean(g scale x^))`, `sum(g x^)` and `sum(g)`.
    fn backward<T: Element>(
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
        let [mean_gx, mean_g] = [to_scale, to_shift].map(|sums| self.group_means(sums, scale));
        let to_x = self.fill(
            #[inline(always)]
            |block, at| {
                let [mut g, x] = block.gated_and_normalised([g, y, x], [mean, inverse], slope, at);
                let scale = block.load(scale, block.row);
                let (mean_g, mean_gx) = (block.load(&mean_g, block.group), block.load(&mean_gx, block.group));
                let inverse = block.load(inverse, block.group);
                for i in 0..LANES {
                    g[i] = inverse[i] * (g[i] * scale[i] - mean_g[i] - x[i] * mean_gx[i]);
                }
                g
            },
        );
        [to_x, Buffer::from(to_scale), Buffer::from(to_shift)]
    }

    /// Returns group means from sums over the rows of a table, each sum being multiplied by the scale of its row.
    fn group_means<T: Element>(&self, sums: &[T], scale: &[T]) -> Buffer<T> {
        let c = self.shape.c;
        let mut means = Buffer::zeros(self.groups * c);
        for (row, (sums, scale)) in sums.chunks_exact(c).zip(scale.chunks_exact(c)).enumerate() {
            let group = &mut means[row / (self.rows / self.groups) * c..][..c];
            for i in 0..c {
                group[i] += sums[i] * scale[i] / self.members();
            }
        }
        self.shared(means)
    }
}
