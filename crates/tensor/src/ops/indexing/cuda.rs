//! The CUDA kernels of indexing and joining. The indices are copied to the device first.

use std::ops::Range;

use crate::cuda::{Argument, Buffer};
use crate::layout::Nchw;
use crate::shape::Strided;

pub(super) fn selected(x: &Buffer, at: Strided, indices: &[usize]) -> Buffer {
    let numbers: Vec<i32> = indices.iter().map(|&index| index as i32).collect();
    run("index_select_f32", x, at, &numbers, indices.len())
}

pub(super) fn added(x: &Buffer, at: Strided, indices: &[usize], length: usize) -> Buffer {
    // The kernel reads where the members of each row begin, followed by the members.
    let mut members: Vec<i32> = (0..indices.len() as i32).collect();
    members.sort_by_key(|&member| indices[member as usize]);
    let starts = (0..=length).map(|row| members.partition_point(|&member| indices[member as usize] < row) as i32);
    let numbers: Vec<i32> = starts.chain(members.iter().copied()).collect();
    run("index_add_f32", x, at, &numbers, length)
}

fn run(kernel: &'static str, x: &Buffer, at: Strided, numbers: &[i32], rows: usize) -> Buffer {
    // The kernels treat the rows as images with `inner` channels, and the blocks as pixels.
    let from = Nchw::new(at.length, at.inner, at.outer, 1);
    let len = at.outer * rows * at.inner;
    let (out, numbers) = (Buffer::stale(x.context(), len), Buffer::upload(x.context(), numbers));
    let arguments: [&dyn Argument; 6] = [x, &numbers, &out, &from.axes(), &(rows as i32), &(len as i32)];
    x.context().launch_for_each(kernel, len, &arguments);
    out
}

/// Concatenates the parts block by block; a block has `widths[i]` elements of part i.
pub(super) fn joined(parts: &[&Buffer], widths: &[usize], to: Strided) -> Buffer {
    let columns = to.length * to.inner;
    let out = Buffer::stale(parts[0].context(), to.outer * columns);
    let mut start = 0;
    for (part, &width) in parts.iter().zip(widths) {
        copy_columns(part, [width, 0], &out, [columns, start], width);
        start += width;
    }
    out
}

pub(super) fn sliced(x: &Buffer, at: Strided, range: &Range<usize>) -> Buffer {
    let width = range.len() * at.inner;
    let out = Buffer::stale(x.context(), at.outer * width);
    copy_columns(x, [at.length * at.inner, range.start * at.inner], &out, [width, 0], width);
    out
}

/// Copies `width` columns of one matrix into another. For each matrix, the number of its columns and the first column
/// concerned are given.
fn copy_columns(x: &Buffer, [from, skip]: [usize; 2], y: &Buffer, [to, place]: [usize; 2], width: usize) {
    if width == 0 {
        return;
    }
    let len = x.len() / from * width;
    let [from, skip, to, place, width, count] = &[from, skip, to, place, width, len].map(|number| number as i32);
    let arguments: [&dyn Argument; 8] = [x, y, from, skip, to, place, width, count];
    x.context().launch_for_each("copy_columns_f32", len, &arguments);
}
