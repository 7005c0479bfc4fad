//! The CUDA kernels of the same passes.

use crate::cuda::{Argument, Buffer};
use crate::layout::Nchw;
use crate::ops::broadcast::cuda::{add_parts, part_length};

pub(super) fn affine(x: &Buffer, scale: &Buffer, shift: &Buffer, shape: Nchw, slope: f64) -> Buffer {
    let out = Buffer::stale(x.context(), x.len());
    let [scale_images, shift_images] = [scale, shift].map(|table| (shape.plane() / table.len()) as i32);
    let (len, slope) = (x.len() as i32, slope as f32);
    let arguments: [&dyn Argument; 9] =
        [x, scale, shift, &out, &shape.axes(), &len, &scale_images, &shift_images, &slope];
    x.context().launch_for_each("affine_leaky_relu_f32", x.len(), &arguments);
    out
}

/// Returns the gated `x` and its sums over all rows of `channels` elements.
pub(super) fn gated_and_summed(x: &Buffer, sign: &Buffer, slope: f64, channels: usize) -> [Buffer; 2] {
    let (all, blocks) = (x.len() / channels, channels.div_ceil(32));
    let rows = part_length(all, blocks, 64);
    let count = all.div_ceil(rows);
    let (out, parts) = (Buffer::stale(x.context(), x.len()), Buffer::stale(x.context(), count * channels));
    let ([all, long, rows], slope) = ([all, channels, rows].map(|number| number as i32), slope as f32);
    let arguments: [&dyn Argument; 8] = [x, sign, &out, &parts, &all, &long, &rows, &slope];
    x.context().launch("gate_and_sum_f32", [blocks, count, 1], [32, 8, 1], &arguments);
    [out, add_parts(parts, channels)]
}
