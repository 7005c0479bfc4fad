//! The CUDA kernels of the same passes.

use super::NormGroups;
use crate::cuda::{Argument, Buffer};
use crate::ops::broadcast::cuda::part_length;

/// Returns the number of parts into which the pixels and images that share one of `rows` rows of a table are cut, and
/// the number of rows of channels in a part.
fn parts_of(cut: &NormGroups, rows: usize) -> (usize, usize) {
    let all = cut.shape.pixels() * cut.shape.n / rows;
    let length = part_length(all, rows * cut.shape.c.div_ceil(32), 64);
    (all.div_ceil(length), length)
}

/// Returns the means and the inverse standard deviations of the groups.
pub(super) fn moments(cut: &NormGroups, x: &Buffer, epsilon: f64) -> [Buffer; 2] {
    let NormGroups { shape, groups, across_channels, .. } = *cut;
    let (context, len) = (x.context(), groups * shape.c);
    let (count, length) = parts_of(cut, groups);
    let parts = Buffer::stale(context, count * 2 * len);
    let numbers = [groups, length, shape.c, shape.len() / len].map(|number| number as i32);
    let [group_count, part_length, channels, all] = &numbers;
    let arguments: [&dyn Argument; 5] = [x, &parts, &shape.axes(), group_count, part_length];
    context.launch("batch_norm_statistics_f32", [groups * shape.c.div_ceil(32), count, 1], [32, 8, 1], &arguments);
    let [mean, inverse] = [0; 2].map(|_| Buffer::stale(context, len));
    let arguments: [&dyn Argument; 8] =
        [&parts, &mean, &inverse, group_count, channels, all, part_length, &(epsilon as f32)];
    if across_channels {
        context.launch("layer_norm_join_f32", [groups, 1, 1], [256, 1, 1], &arguments);
    } else {
        context.launch_for_each("batch_norm_join_f32", len, &arguments);
    }
    [mean, inverse]
}

pub(super) fn forward(
    cut: &NormGroups,
    x: &Buffer,
    [scale, shift]: [&Buffer; 2],
    [mean, inverse]: [&Buffer; 2],
    slope: f64,
) -> Buffer {
    let out = Buffer::stale(x.context(), x.len());
    let [groups, rows, len] = sizes(cut);
    let (axes, slope) = (cut.shape.axes(), slope as f32);
    let arguments: [&dyn Argument; 11] = [x, scale, shift, mean, inverse, &out, &axes, &groups, &rows, &len, &slope];
    x.context().launch_for_each("batch_norm_f32", x.len(), &arguments);
    out
}

/// Returns the gradients of x, scale and shift.
pub(super) fn backward(
    cut: &NormGroups,
    [g, y, x]: [&Buffer; 3],
    scale: &Buffer,
    [mean, inverse]: [&Buffer; 2],
    slope: f64,
) -> [Buffer; 3] {
    let (context, c) = (x.context(), cut.shape.c);
    let (axes, slope, [groups, rows, len]) = (cut.shape.axes(), slope as f32, sizes(cut));
    let (count, length) = parts_of(cut, cut.rows);
    let parts = Buffer::stale(context, count * 2 * cut.rows * c);
    let arguments: [&dyn Argument; 11] =
        [g, y, x, mean, inverse, &parts, &axes, &groups, &rows, &(length as i32), &slope];
    context.launch("batch_norm_sums_f32", [cut.rows * c.div_ceil(32), count, 1], [32, 8, 1], &arguments);

    let [to_scale, to_shift] = [0; 2].map(|_| Buffer::stale(context, cut.rows * c));
    let [mean_gx, mean_g] = [0; 2].map(|_| Buffer::stale(context, cut.groups * c));
    let members = cut.shape.len() / cut.statistics().len();
    let [channels, count, members] = [c, count, members].map(|number| number as i32);
    let arguments: [&dyn Argument; 11] =
        [&parts, scale, &to_scale, &to_shift, &mean_gx, &mean_g, &channels, &groups, &rows, &count, &members];
    context.launch_for_each("batch_norm_tables_f32", cut.groups * c, &arguments);
    if cut.across_channels {
        context.launch("layer_norm_share_f32", [cut.groups, 1, 1], [256, 1, 1], &[&mean_gx, &mean_g, &channels]);
    }

    let to_x = Buffer::stale(context, x.len());
    let arguments: [&dyn Argument; 14] =
        [g, y, x, scale, mean, inverse, &mean_gx, &mean_g, &to_x, &axes, &groups, &rows, &len, &slope];
    context.launch_for_each("batch_norm_input_f32", x.len(), &arguments);
    [to_x, to_scale, to_shift]
}

/// Returns the numbers of groups, of rows of the tables and of elements of the images, as kernels take them.
fn sizes(cut: &NormGroups) -> [i32; 3] {
    [cut.groups, cut.rows, cut.shape.len()].map(|number| number as i32)
}
