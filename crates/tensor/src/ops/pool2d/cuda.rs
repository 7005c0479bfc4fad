//! The linear ones as kernels. The choice of a maximum is made on the host.

use crate::cuda::Buffer;
use crate::ops::conv2d::Geometry;
use crate::shape::Shape;

pub(super) fn mean(g: &Geometry, x: &Buffer) -> Buffer {
    run("average_pool2d_f32", g, x, g.n * g.ci * g.output_pixels())
}

/// The transpose of [`mean`].
pub(super) fn mean_input_grad(g: &Geometry, dy: &Buffer) -> Buffer {
    run("average_pool2d_input_grad_f32", g, dy, g.input_len())
}

fn run(kernel: &'static str, g: &Geometry, x: &Buffer, len: usize) -> Buffer {
    let out = Buffer::stale(x.context(), len);
    x.context().launch_for_each(kernel, len, &[x, &out, &g.sizes(), &(len as i32)]);
    out
}

/// Every pixel as a square of four, images of shape `to`.
pub(in crate::ops) fn doubled(x: &Buffer, to: Shape) -> Buffer {
    let out = Buffer::stale(x.context(), to.len());
    x.context().launch_for_each("upsample2d_f32", to.len(), &[x, &out, &to.axes(), &(to.len() as i32)]);
    out
}
