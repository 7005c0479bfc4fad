//! The CUDA kernels of the distances and their gradients.

use crate::cuda::{Argument, Buffer};
use crate::layout::Nchw;
use crate::ops::broadcast::cuda::{add_parts, part_length};

pub(super) fn squared_distance(a: &Buffer, b: &Buffer) -> Buffer {
    let numbers = part_length(a.len(), 1, 1024);
    let count = a.len().div_ceil(numbers);
    let parts = Buffer::stale(a.context(), count);
    let arguments: [&dyn Argument; 5] = [a, b, &parts, &(a.len() as i32), &(numbers as i32)];
    a.context().launch("squared_distance_f32", [count, 1, 1], [256, 1, 1], &arguments);
    add_parts(parts, 1)
}

/// Returns the gradient with respect to `a`, which is the negative of that with respect to `b`.
pub(super) fn squared_distance_gradient(a: &Buffer, b: &Buffer, upstream: &Buffer) -> Buffer {
    let out = Buffer::stale(a.context(), a.len());
    let arguments: [&dyn Argument; 5] = [a, b, upstream, &out, &(a.len() as i32)];
    a.context().launch_for_each("squared_distance_gradient_f32", a.len(), &arguments);
    out
}

/// Returns the norms of the images, and the penalty.
pub(super) fn unit_norm_penalty(x: &Buffer, shape: Nchw) -> (Buffer, Buffer) {
    let (context, images) = (x.context(), shape.n as i32);
    let (norms, penalty) = (Buffer::stale(context, shape.n), Buffer::stale(context, 1));
    context.launch("image_norms_f32", [shape.n, 1, 1], [256, 1, 1], &[x, &norms, &shape.axes()]);
    context.launch("unit_norm_penalty_f32", [1, 1, 1], [256, 1, 1], &[&norms, &penalty, &images]);
    (norms, penalty)
}

pub(super) fn unit_norm_penalty_gradient(x: &Buffer, norms: &Buffer, upstream: &Buffer, shape: Nchw) -> Buffer {
    let out = Buffer::stale(x.context(), x.len());
    let arguments: [&dyn Argument; 6] = [x, norms, upstream, &out, &shape.axes(), &(x.len() as i32)];
    x.context().launch_for_each("unit_norm_penalty_gradient_f32", x.len(), &arguments);
    out
}
