//! Nearest-neighbour upsampling to twice the size. Its transpose adds up the four pixels that came of one.

use rayon::prelude::*;

use super::Pool2d;
use super::elementwise::planes_per_task;
use super::pool2d;
use crate::pool::Buffer;
use crate::shape::Shape;
use crate::storage::{Element, dispatch};
use crate::tensor::Tensor;

impl Tensor {
    /// Every pixel as a square of four: shape `[n, c, 2h, 2w]`.
    pub fn upsample2d(&self) -> Tensor {
        let from = self.shape();
        let to = Shape { h: 2 * from.h, w: 2 * from.w, ..from };
        let storage = dispatch!(self, |x| doubled(x, to), |x| pool2d::cuda::doubled(x, to));
        Tensor::from_operation(to, storage, &[self], |back| {
            vec![Some(back.upstream.average_pool2d(Pool2d::square(2, 2, 0)).scale(4.0))]
        })
    }
}

fn doubled<T: Element>(x: &[T], to: Shape) -> Buffer<T> {
    let plane = to.plane();
    let mut out = Buffer::stale(to.len());
    let planes = out.par_chunks_exact_mut(plane).enumerate();
    planes.with_min_len(planes_per_task(plane)).for_each(|(q, out)| {
        let source = q / to.w / 2 * (to.w / 2) + q % to.w / 2;
        out.copy_from_slice(&x[source * plane..][..plane]);
    });
    out
}
