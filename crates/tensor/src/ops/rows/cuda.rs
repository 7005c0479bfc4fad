//! The same moves as kernels. The numbers of the rows are copied to the device first.

use std::ops::Range;

use crate::cuda::{Argument, Buffer, Context};
use crate::shape::Shape;

pub(super) fn selected(x: &Buffer, from: Shape, rows: &[usize]) -> Buffer {
    let numbers: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
    run("select_rows_f32", x, from, &numbers, rows.len())
}

pub(super) fn added(x: &Buffer, from: Shape, rows: &[usize], n: usize) -> Buffer {
    // Where the members of each of the n rows begin, and then the members.
    let mut members: Vec<i32> = (0..rows.len() as i32).collect();
    members.sort_by_key(|&member| rows[member as usize]);
    let starts = (0..=n).map(|row| members.partition_point(|&member| rows[member as usize] < row) as i32);
    let numbers: Vec<i32> = starts.chain(members.iter().copied()).collect();
    run("add_rows_f32", x, from, &numbers, n)
}

fn run(kernel: &'static str, x: &Buffer, from: Shape, numbers: &[i32], n: usize) -> Buffer {
    let len = Shape { n, ..from }.len();
    let (out, numbers) = (Buffer::stale(x.context(), len), Buffer::upload(x.context(), numbers));
    let arguments: [&dyn Argument; 6] = [x, &numbers, &out, &from.axes(), &(n as i32), &(len as i32)];
    x.context().launch_for_each(kernel, len, &arguments);
    out
}

/// Matrices side by side, each with the number of its columns: batches one after another, whose rows are pixels, or
/// channels, whose rows are pixels of images. The result has so many columns and rows.
pub(in crate::ops) fn joined<'a>(
    context: &'static Context,
    parts: impl Iterator<Item = (&'a Buffer, usize)>,
    [columns, rows]: [usize; 2],
) -> Buffer {
    let out = Buffer::stale(context, columns * rows);
    let mut start = 0;
    for (part, width) in parts {
        copy_columns(part, [width, 0], &out, [columns, start], width);
        start += width;
    }
    out
}

/// Columns of a matrix that has so many.
pub(in crate::ops) fn taken(x: &Buffer, columns: usize, range: &Range<usize>) -> Buffer {
    let out = Buffer::stale(x.context(), x.len() / columns * range.len());
    copy_columns(x, [columns, range.start], &out, [range.len(), 0], range.len());
    out
}

/// Copies columns of one matrix into another; of each are given its number of columns and the first that is meant.
fn copy_columns(x: &Buffer, [from, skip]: [usize; 2], y: &Buffer, [to, place]: [usize; 2], width: usize) {
    if width == 0 {
        return;
    }
    let len = x.len() / from * width;
    let [from, skip, to, place, width, count] = &[from, skip, to, place, width, len].map(|number| number as i32);
    let arguments: [&dyn Argument; 8] = [x, y, from, skip, to, place, width, count];
    x.context().launch_for_each("copy_columns_f32", len, &arguments);
}
