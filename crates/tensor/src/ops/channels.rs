//! Joining tensors along the channels, and taking a range of channels. Each is the other's gradient.

use std::ops::Range;

use rayon::prelude::*;

use super::elementwise::planes_per_task;
use super::rows::cuda;
use crate::cuda::context;
use crate::pool::Buffer;
use crate::shape::Shape;
use crate::storage::{Device, Element, Storage, dispatch};
use crate::tensor::Tensor;

impl Tensor {
    /// The channels of all `parts` one after another: C is the sum of theirs, the other axes are equal.
    ///
    /// # Panics
    /// When there is no part, or the other axes or the devices differ.
    pub fn concat_channels(parts: &[&Tensor]) -> Tensor {
        let shapes: Vec<Shape> = parts.iter().map(|part| part.shape()).collect();
        let with = |c: usize| Shape { c, ..*shapes.first().expect("at least one part to join") };
        assert!(shapes.iter().all(|&shape| shape == with(shape.c)), "concat_channels of {shapes:?}");
        let shape = with(shapes.iter().map(|shape| shape.c).sum());
        let storage = join(parts, shape);
        Tensor::from_operation(shape, storage, parts, move |back| {
            let mut start = 0;
            let parts = shapes.iter().enumerate().map(|(i, shape)| {
                start += shape.c;
                back.when(i, || back.upstream.channels(start - shape.c..start))
            });
            parts.collect()
        })
    }

    /// Channels `range`.
    ///
    /// # Panics
    /// When the range is empty or reaches beyond the last channel.
    pub fn channels(&self, range: Range<usize>) -> Tensor {
        let from = self.shape();
        assert!(range.start < range.end && range.end <= from.c, "channels {range:?} of a tensor of shape {from:?}");
        let to = Shape { c: range.len(), ..from };
        let storage = dispatch!(self, |x| taken(x, from.c, &range), |x| cuda::taken(x, from.c, &range));
        Tensor::from_operation(to, storage, &[self], move |back| {
            let zeros = |c: usize| (c > 0).then(|| Tensor::zeros(Shape { c, ..from }, back.upstream.device()));
            let (before, after) = (zeros(range.start), zeros(from.c - range.end));
            let parts: Vec<&Tensor> =
                [before.as_ref(), Some(back.upstream), after.as_ref()].into_iter().flatten().collect();
            vec![Some(Tensor::concat_channels(&parts))]
        })
    }
}

/// The rows of all parts, one for each pixel of each image, side by side.
fn join(parts: &[&Tensor], shape: Shape) -> Storage {
    /// Numbers come as rows of so many.
    fn join<T: Element>(parts: &[(&[T], usize)], shape: Shape) -> Buffer<T> {
        let mut out = Buffer::stale(shape.len());
        let rows = out.par_chunks_mut(shape.c.max(1)).enumerate();
        rows.with_min_len(planes_per_task(shape.c)).for_each(|(i, out)| {
            let mut start = 0;
            for (part, c) in parts {
                out[start..start + c].copy_from_slice(&part[i * c..][..*c]);
                start += c;
            }
        });
        out
    }
    /// The numbers of all parts, which `numbers` finds on the device of the first, and their channels.
    fn rows<'t, N>(parts: &[&'t Tensor], numbers: fn(&'t Storage) -> Option<N>) -> Vec<(N, usize)> {
        let of_part = |part: &&'t Tensor| {
            let other = || panic!("joining tensors on different devices: {} and {}", parts[0].device(), part.device());
            (numbers(part.storage()).unwrap_or_else(other), part.shape().c)
        };
        parts.iter().map(of_part).collect()
    }
    match parts[0].device() {
        Device::Cpu => {
            let numbers = rows(parts, |storage| match storage {
                Storage::F32(x) => Some(&x[..]),
                _ => None,
            });
            Storage::F32(join(&numbers, shape))
        }
        Device::Reference => {
            let numbers = rows(parts, |storage| match storage {
                Storage::F64(x) => Some(&x[..]),
                _ => None,
            });
            Storage::F64(join(&numbers, shape))
        }
        Device::Cuda(index) => {
            let parts = rows(parts, |storage| match storage {
                Storage::Cuda(x) => Some(x),
                _ => None,
            });
            Storage::Cuda(cuda::joined(context(index), parts.into_iter(), [shape.c, shape.n * shape.pixels()]))
        }
    }
}

/// Some columns of a matrix with `c` columns.
fn taken<T: Element>(x: &[T], c: usize, columns: &Range<usize>) -> Buffer<T> {
    let width = columns.len();
    let mut out = Buffer::stale(x.len() / c * width);
    let rows = out.par_chunks_exact_mut(width).zip(x.par_chunks_exact(c));
    rows.with_min_len(planes_per_task(width)).for_each(|(out, x)| out.copy_from_slice(&x[columns.clone()]));
    out
}
