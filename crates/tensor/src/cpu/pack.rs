//! Copies of matrices in the order in which the microkernel reads them.
//!
//! A panel holds sixteen columns of a matrix row after row, so a tile reads it as one stream; left in place, rows that
//! lie a power of two apart would share a few cache sets and evict each other. Missing columns are zero.

use rayon::prelude::*;

use super::microkernel::LANES;
use crate::pool::Buffer;

/// A job of packing moves at least this many numbers.
const GRAIN: usize = 8192;

/// Packs `count` matrices stored one after another as `[rows][columns]` into panels
/// `[panel of 16 columns][matrix][row][16]`.
pub(crate) fn pack(matrices: &[f32], count: usize, rows: usize, columns: usize) -> Buffer<f32> {
    panels(count, rows, columns, |matrix, first, panel| {
        let width = LANES.min(columns - first);
        let source = &matrices[matrix * rows * columns..][..rows * columns];
        for (row, lanes) in source.chunks_exact(columns).zip(panel.chunks_exact_mut(LANES)) {
            lanes[..width].copy_from_slice(&row[first..first + width]);
            lanes[width..].fill(0.0);
        }
    })
}

/// Packs `count` matrices as [`pack`] does, from storage that is transposed: `[columns][rows]`.
pub(crate) fn pack_transposed(matrices: &[f32], count: usize, rows: usize, columns: usize) -> Buffer<f32> {
    panels(count, rows, columns, |matrix, first, panel| {
        let width = LANES.min(columns - first);
        if width < LANES {
            panel.fill(0.0);
        }
        let source = &matrices[(matrix * columns + first) * rows..][..width * rows];
        transpose(source, rows, [width, rows], panel, LANES);
    })
}

/// Calls `fill(matrix, first column, panel)` for every panel.
fn panels(count: usize, rows: usize, columns: usize, fill: impl Fn(usize, usize, &mut [f32]) + Sync) -> Buffer<f32> {
    let len = rows * LANES;
    let mut packed = Buffer::stale(columns.div_ceil(LANES) * count * len);
    packed
        .par_chunks_exact_mut(len)
        .with_min_len(GRAIN.div_ceil(len))
        .enumerate()
        .for_each(|(i, panel)| fill(i % count, i / count * LANES, panel));
    packed
}

/// Transposes a matrix whose rows are `from_step` apart: `to[c * to_step + r] = from[r * from_step + c]`.
pub(crate) fn transpose(from: &[f32], from_step: usize, [rows, columns]: [usize; 2], to: &mut [f32], to_step: usize) {
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(from.len() >= (rows - 1) * from_step + columns, "{rows} rows of {columns} numbers");
    assert!(to.len() >= (columns - 1) * to_step + rows, "{columns} rows of {rows} numbers");
    let (full_rows, full_columns) = (rows - rows % BLOCK, columns - columns % BLOCK);
    for r in (0..full_rows).step_by(BLOCK) {
        for c in (0..full_columns).step_by(BLOCK) {
            let (block, transposed) = (&from[r * from_step + c..], &mut to[c * to_step + r..]);
            // SAFETY: the lengths compared above cover the last row of a block inside either matrix.
            unsafe { transpose_block(block.as_ptr(), from_step, transposed.as_mut_ptr(), to_step) };
        }
    }
    for r in 0..rows {
        let done = if r < full_rows { full_columns } else { 0 };
        for c in done..columns {
            to[c * to_step + r] = from[r * from_step + c];
        }
    }
}

/// The side of the squares that are transposed in registers.
const BLOCK: usize = 4;

/// # Safety
///
/// `BLOCK` rows of `BLOCK` elements lie at both pointers, `from_step` and `to_step` apart.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn transpose_block(from: *const f32, from_step: usize, to: *mut f32, to_step: usize) {
    use std::arch::x86_64::*;
    // From plain loops the compiler would make sixteen moves of single numbers. These instructions need no check,
    // because every x86-64 has them.
    // SAFETY: the caller vouches for both squares.
    unsafe {
        let [mut a, mut b, mut c, mut d] = [0, 1, 2, 3].map(|r| _mm_loadu_ps(from.add(r * from_step)));
        _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
        for (r, row) in [a, b, c, d].into_iter().enumerate() {
            _mm_storeu_ps(to.add(r * to_step), row);
        }
    }
}

/// # Safety
///
/// `BLOCK` rows of `BLOCK` elements lie at both pointers, `from_step` and `to_step` apart.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
unsafe fn transpose_block(from: *const f32, from_step: usize, to: *mut f32, to_step: usize) {
    for r in 0..BLOCK {
        for c in 0..BLOCK {
            // SAFETY: the caller vouches for both squares.
            unsafe { *to.add(c * to_step + r) = *from.add(r * from_step + c) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(len: usize) -> Vec<f32> {
        (0..len).map(|i| i as f32 + 1.0).collect()
    }

    #[test]
    fn transpose_moves_every_element() {
        for (rows, columns) in [(1, 1), (4, 4), (3, 9), (9, 3), (16, 33), (13, 16)] {
            let (from, mut to) = (numbers(rows * columns), vec![0.0; columns * 20]);
            transpose(&from, columns, [rows, columns], &mut to, 20);
            for r in 0..rows {
                for c in 0..columns {
                    assert_eq!(to[c * 20 + r], from[r * columns + c], "{rows}x{columns} at {r},{c}");
                }
            }
        }
    }

    #[test]
    fn panels_hold_every_column_and_zeros() {
        for (count, rows, columns) in [(1, 1, 1), (2, 3, 16), (3, 5, 17), (25, 24, 40)] {
            let matrices = numbers(count * rows * columns);
            let mut transposed = vec![0.0; matrices.len()];
            for (from, to) in matrices.chunks(rows * columns).zip(transposed.chunks_mut(rows * columns)) {
                transpose(from, columns, [rows, columns], to, rows);
            }
            let packed = pack(&matrices, count, rows, columns);
            for (i, value) in packed.iter().enumerate() {
                let (lane, row, panel) = (i % LANES, i / LANES % rows, i / LANES / rows);
                let (matrix, column) = (panel % count, panel / count * LANES + lane);
                let expected = if column < columns { matrices[(matrix * rows + row) * columns + column] } else { 0.0 };
                assert_eq!(*value, expected, "{count} matrices {rows}x{columns}, element {i}");
            }
            assert_eq!(*packed, *pack_transposed(&transposed, count, rows, columns));
        }
    }
}
