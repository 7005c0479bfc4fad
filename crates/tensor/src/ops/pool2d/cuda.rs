//! The CUDA kernels of pooling and upsampling.

use crate::cuda::{Argument, Buffer};
use crate::layout::Nchw;
use crate::ops::conv2d::Geometry;

pub(super) fn mean(g: &Geometry, x: &Buffer) -> Buffer {
    run("average_pool2d_f32", g, x, g.n * g.ci * g.output_pixels())
}

/// Applies the transpose of [`mean`].
pub(super) fn mean_input_grad(g: &Geometry, dy: &Buffer) -> Buffer {
    run("average_pool2d_input_grad_f32", g, dy, g.input_len())
}

/// Returns the maximum of each window.
pub(super) fn largest(g: &Geometry, x: &Buffer) -> Buffer {
    let y = Buffer::stale(x.context(), g.output_len());
    max_pool2d(g, x, Some(&y), None);
    y
}

/// Returns the pixel of the maximum of each window.
pub(super) fn choose(g: &Geometry, x: &Buffer) -> Buffer {
    let chosen = Buffer::stale(x.context(), g.output_len());
    max_pool2d(g, x, None, Some(&chosen));
    chosen
}

fn max_pool2d(g: &Geometry, x: &Buffer, y: Option<&Buffer>, chosen: Option<&Buffer>) {
    let len = g.output_len();
    x.context().launch_for_each("max_pool2d_f32", len, &[x, &y, &chosen, &g.sizes(), &(len as i32)]);
}

/// Returns the chosen element of each window.
pub(super) fn gather(g: &Geometry, chosen: &Buffer, x: &Buffer) -> Buffer {
    let y = Buffer::stale(x.context(), g.output_len());
    let numbers = [g.n * g.ci, y.len()].map(|number| number as i32);
    let arguments: [&dyn Argument; 5] = [x, chosen, &y, &numbers[0], &numbers[1]];
    x.context().launch_for_each("chosen_pixels_f32", y.len(), &arguments);
    y
}

/// Adds the elements of the windows to the pixels that were chosen.
pub(super) fn scatter(g: &Geometry, chosen: &Buffer, dy: &Buffer) -> Buffer {
    let dx = Buffer::stale(dy.context(), g.input_len());
    let arguments: [&dyn Argument; 5] = [dy, chosen, &dx, &g.sizes(), &(dx.len() as i32)];
    dy.context().launch_for_each("add_to_chosen_pixels_f32", dx.len(), &arguments);
    dx
}

fn run(kernel: &'static str, g: &Geometry, x: &Buffer, len: usize) -> Buffer {
    let out = Buffer::stale(x.context(), len);
    x.context().launch_for_each(kernel, len, &[x, &out, &g.sizes(), &(len as i32)]);
    out
}

/// Copies every pixel to a square of 2 x 2 pixels; the result has shape `to`.
pub(in crate::ops) fn doubled(x: &Buffer, to: Nchw) -> Buffer {
    let out = Buffer::stale(x.context(), to.len());
    x.context().launch_for_each("upsample2d_f32", to.len(), &[x, &out, &to.axes(), &(to.len() as i32)]);
    out
}
