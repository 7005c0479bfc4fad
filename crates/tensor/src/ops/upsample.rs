//! Nearest-neighbour upsampling to twice the size. Its transpose sums the four pixels that an input pixel was copied
//! to.

use rayon::prelude::*;

use super::Pool2d;
use super::elementwise::planes_per_task;
use super::pool2d;
use crate::layout::Nchw;
use crate::pool::Buffer;
use crate::storage::{Element, dispatch, operands};
use crate::tensor::Tensor;

impl Tensor {
    /// Copies every pixel to a square of 2 x 2 pixels: the result is `[n, c, 2h, 2w]`.
    ///
    /// # Panics
    /// Panics if this tensor is not `[n, c, h, w]`.
    #[track_caller]
    pub fn upsample2d(&self) -> Tensor {
        let from = self.images("upsample2d");
        let to = Nchw { h: 2 * from.h, w: 2 * from.w, ..from };
        let x = operands("upsample2d", [self]);
        let storage = dispatch!(x, |[x]| doubled(x, to), |[x]| pool2d::cuda::doubled(x, to));
        Tensor::from_operation(to.into(), storage, &[self], |back| {
            vec![Some(back.upstream.avg_pool2d(Pool2d::square(2, 2, 0)) * 4.0)]
        })
    }
}

fn doubled<T: Element>(x: &[T], to: Nchw) -> Buffer<T> {
    let plane = to.plane();
    let mut out = Buffer::stale(to.len());
    let planes = out.par_chunks_exact_mut(plane).enumerate();
    planes.with_min_len(planes_per_task(plane)).for_each(|(q, out)| {
        let source = q / to.w / 2 * (to.w / 2) + q % to.w / 2;
        out.copy_from_slice(&x[source * plane..][..plane]);
    });
    out
}
