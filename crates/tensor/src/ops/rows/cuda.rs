//! The same moves as kernels. The numbers of the rows are copied to the device first.

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

/// Batches one after another, each with the numbers of one of its planes.
pub(super) fn joined<'a>(
    context: &'static Context,
    batches: impl Iterator<Item = (&'a Buffer, usize)>,
    shape: Shape,
) -> Buffer {
    let out = Buffer::stale(context, shape.len());
    let mut start = 0;
    for (batch, plane) in batches {
        let numbers = [plane, shape.plane(), start, batch.len()].map(|number| number as i32);
        let [small, large, place, len] = &numbers;
        let arguments: [&dyn Argument; 6] = [batch, &out, small, large, place, len];
        context.launch_for_each("place_rows_f32", batch.len(), &arguments);
        start += plane;
    }
    out
}
