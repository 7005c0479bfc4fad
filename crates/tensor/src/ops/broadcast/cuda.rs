//! The CUDA kernels of repeating and summing. A sum is split into parts, so that many blocks can share it, and the
//! partial results are added in order.

use crate::cuda::{Argument, Buffer};
use crate::layout::Nchw;

/// The number of blocks that keeps a large GPU busy.
const BUSY: usize = 512;
/// Summing up to this many partial results stays cheap.
const MOST_PARTS: usize = 32;

/// Returns how many of `all` summands a part has, if each part of the sums is the work of `blocks` blocks, and fewer
/// than `least` summands are not worth a block. It depends on the shapes alone, so that a sum is the same on every GPU.
pub(crate) fn part_length(all: usize, blocks: usize, least: usize) -> usize {
    let parts = (BUSY / blocks.max(1)).min(MOST_PARTS).min(all / least).max(1);
    all.div_ceil(parts)
}

/// Returns the sums over parts that lie one after another in memory, each with `len` elements.
pub(crate) fn add_parts(parts: Buffer, len: usize) -> Buffer {
    if parts.len() == len { parts } else { add_parts_leaky_relu(&parts, len, None, len, 1.0) }
}

/// Adds parts as [`add_parts`] does, and then applies a bias for each of `channels` channels and the leaky rectifier,
/// if there is a bias.
pub(crate) fn add_parts_leaky_relu(
    parts: &Buffer,
    len: usize,
    bias: Option<&Buffer>,
    channels: usize,
    slope: f32,
) -> Buffer {
    let sums = Buffer::stale(parts.context(), len);
    let [count, channels, long] = [parts.len() / len, channels, len].map(|number| number as i32);
    let arguments: [&dyn Argument; 7] = [parts, &sums, &long, &count, &bias, &channels, &slope];
    parts.context().launch_for_each("add_parts_f32", len, &arguments);
    sums
}

pub(super) fn repeated(x: &Buffer, from: Nchw, to: Nchw) -> Buffer {
    let out = Buffer::stale(x.context(), to.len());
    let arguments: [&dyn Argument; 5] = [x, &out, &from.axes(), &to.axes(), &(to.len() as i32)];
    x.context().launch_for_each("repeat_f32", to.len(), &arguments);
    out
}

pub(super) fn summed(x: &Buffer, from: Nchw, to: Nchw) -> Buffer {
    if (to.n, to.c) == (from.n, from.c) && from.n > 1 {
        // Images that are not summed together can be treated as channels.
        let merged = |shape: Nchw| Nchw { n: 1, c: shape.plane(), ..shape };
        return summed(x, merged(from), merged(to));
    }
    let cells = to.n * to.pixels();
    let summands = from.len() / to.len();
    if to.c == 1 {
        let numbers = part_length(summands, cells, 1024);
        let parts = Buffer::stale(x.context(), summands.div_ceil(numbers) * to.len());
        let arguments: [&dyn Argument; 5] = [x, &parts, &from.axes(), &to.axes(), &(numbers as i32)];
        x.context().launch("sum_all_f32", [cells, summands.div_ceil(numbers), 1], [256, 1, 1], &arguments);
        return add_parts(parts, to.len());
    }
    let blocks = cells * from.c.div_ceil(32);
    let rows = part_length(summands, blocks, 64);
    let parts = Buffer::stale(x.context(), summands.div_ceil(rows) * to.len());
    let arguments: [&dyn Argument; 5] = [x, &parts, &from.axes(), &to.axes(), &(rows as i32)];
    x.context().launch("sum_rows_f32", [blocks, summands.div_ceil(rows), 1], [32, 8, 1], &arguments);
    add_parts(parts, to.len())
}
