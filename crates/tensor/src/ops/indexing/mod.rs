//! Indexing and joining along an axis: slices, selected rows, and concatenation. Selecting rows and adding rows back to
//! where they came from are each other's gradient, and so are slicing and concatenating.
//!
//! In memory an axis consists of rows in each of several blocks (`Strided`), so one kernel serves all axes.

pub(super) mod cuda;

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::elementwise::planes_per_task;
use crate::pool::Buffer;
use crate::shape::{Shape, Strided};
use crate::storage::{Element, dispatch, many_operands, operands};
use crate::tensor::Tensor;

impl Tensor {
    /// Returns the elements at `range` of an axis.
    ///
    /// # Panics
    /// Panics if there is no such axis, or the range extends beyond its end.
    #[track_caller]
    pub fn slice(&self, axis: usize, range: Range<usize>) -> Tensor {
        let from = self.shape();
        let length = from[axis];
        assert!(
            range.start <= range.end && range.end <= length,
            "slice {range:?} of axis {axis} of a tensor of shape {from:?}, which has length {length}"
        );
        if range == (0..length) {
            return self.clone();
        }
        let at = from.strided(axis);
        let storage =
            dispatch!(operands("slice", [self]), |[x]| sliced(x, at, &range), |[x]| cuda::sliced(x, at, &range));
        Tensor::from_operation(from.with(axis, range.len()), storage, &[self], move |back| {
            let zeros = |length| Tensor::zeros(from.with(axis, length), back.upstream.device());
            let parts = [zeros(range.start), back.upstream.clone(), zeros(length - range.end)];
            let parts: Vec<&Tensor> = parts.iter().filter(|part| !part.shape().is_empty()).collect();
            vec![Some(Tensor::concat(axis, &parts))]
        })
    }

    /// Concatenates tensors along an axis. Their other axes must be equal.
    ///
    /// # Panics
    /// Panics if there is no tensor or no such axis, or the other axes or the devices differ.
    #[track_caller]
    pub fn concat(axis: usize, parts: &[&Tensor]) -> Tensor {
        let first = parts.first().expect("concat of no tensors").shape();
        first.require_axis(axis);
        let shapes: Vec<Shape> = parts.iter().map(|part| part.shape()).collect();
        let fits = |shape: &Shape| shape.rank() == first.rank() && shape.with(axis, first[axis]) == first;
        assert!(
            shapes.iter().all(fits),
            "concat along axis {axis} of tensors of shapes {shapes:?}: all other axes must be equal"
        );
        let shape = first.with(axis, shapes.iter().map(|shape| shape[axis]).sum());
        let (to, widths) = (shape.strided(axis), shapes.iter().map(|shape| shape[axis] * shape.strided(axis).inner));
        let widths: Vec<usize> = widths.collect();
        let storage =
            dispatch!(many_operands("concat", parts), |parts| joined(&parts, &widths, to), |parts| cuda::joined(
                &parts, &widths, to
            ));
        Tensor::from_operation(shape, storage, parts, move |back| {
            let mut start = 0;
            let parts = shapes.iter().enumerate().map(|(i, shape)| {
                start += shape[axis];
                back.when(i, || back.upstream.slice(axis, start - shape[axis]..start))
            });
            parts.collect()
        })
    }

    /// Stacks tensors of one shape, with at most three axes, along a new first axis.
    ///
    /// # Panics
    /// Panics if there is no tensor, if the shapes or the devices differ, or if the tensors have four axes.
    #[track_caller]
    pub fn stack(parts: &[&Tensor]) -> Tensor {
        let shapes: Vec<Shape> = parts.iter().map(|part| part.shape()).collect();
        let first = *shapes.first().expect("stack of no tensors");
        assert!(
            shapes.iter().all(|shape| *shape == first),
            "stack of tensors of shapes {shapes:?}, which must be equal"
        );
        let Some(row) = Shape::of(&[&[1], first.axes()].concat()) else {
            panic!("stack of tensors of shape {first:?}: a tensor has at most four axes")
        };
        let rows: Vec<Tensor> = parts.iter().map(|part| part.reshape_to(row)).collect();
        Tensor::concat(0, &rows.iter().collect::<Vec<_>>())
    }

    /// Selects the rows of an axis with these indices, in this order; an index may be repeated. Along the first axis of
    /// a table this is the embedding lookup.
    ///
    /// # Panics
    /// Panics if there is no such axis, or an index is not below its length.
    #[track_caller]
    pub fn index_select(&self, axis: usize, indices: &[usize]) -> Tensor {
        let from = self.shape();
        let length = from[axis];
        require_below(indices, length, "index_select", axis, from);
        let at = from.strided(axis);
        let storage =
            dispatch!(operands("index_select", [self]), |[x]| selected(x, at, indices), |[x]| cuda::selected(
                x, at, indices
            ));
        let indices: Arc<[usize]> = indices.into();
        Tensor::from_operation(from.with(axis, indices.len()), storage, &[self], move |back| {
            vec![Some(back.upstream.index_add(axis, &indices, length))]
        })
    }

    /// Returns a tensor with `length` rows along an axis, where row r is the sum of this tensor's rows i with
    /// `indices[i] == r`. This is PyTorch's `index_add` on zeros.
    ///
    /// # Panics
    /// Panics if there is no such axis, or there is not exactly one index below `length` for each of its rows.
    #[track_caller]
    pub fn index_add(&self, axis: usize, indices: &[usize], length: usize) -> Tensor {
        let from = self.shape();
        let (count, rows) = (indices.len(), from[axis]);
        assert!(
            count == rows,
            "index_add: {count} numbers for the {rows} rows of axis {axis} of a tensor of shape {from:?}"
        );
        require_below(indices, length, "index_add", axis, from);
        let at = from.strided(axis);
        let storage = dispatch!(operands("index_add", [self]), |[x]| added(x, at, indices, length), |[x]| cuda::added(
            x, at, indices, length
        ));
        let indices: Arc<[usize]> = indices.into();
        Tensor::from_operation(from.with(axis, length), storage, &[self], move |back| {
            vec![Some(back.upstream.index_select(axis, &indices))]
        })
    }

    /// Returns from each row of a matrix `[n, k]` the element in the column given for that row: a vector `[n]`.
    ///
    /// # Panics
    /// Panics if this tensor is not a matrix, or there is not exactly one column below k for every row.
    #[track_caller]
    pub fn gather(&self, columns: &[usize]) -> Tensor {
        let [rows, width] = self.matrix("gather");
        assert!(columns.len() == rows, "gather: {} columns for a matrix of {rows} rows", columns.len());
        require_below(columns, width, "gather", 1, self.shape());
        let places: Vec<usize> = columns.iter().enumerate().map(|(row, column)| row * width + column).collect();
        self.reshape([rows * width]).index_select(0, &places)
    }
}

#[track_caller]
fn require_below(indices: &[usize], length: usize, operation: &str, axis: usize, shape: Shape) {
    if let Some(index) = indices.iter().find(|&&index| index >= length) {
        panic!(
            "{operation}: number {index} for axis {axis}, which has length {length}; the tensor's shape is {shape:?}"
        );
    }
}

/// Concatenates the parts block by block; a block has `widths[i]` elements of part i.
fn joined<T: Element>(parts: &[&[T]], widths: &[usize], to: Strided) -> Buffer<T> {
    let width = to.length * to.inner;
    let mut out = Buffer::stale(to.outer * width);
    let blocks = out.par_chunks_mut(width.max(1)).enumerate();
    blocks.with_min_len(planes_per_task(width)).for_each(|(block, out)| {
        let mut start = 0;
        for (part, width) in parts.iter().zip(widths) {
            out[start..start + width].copy_from_slice(&part[block * width..][..*width]);
            start += width;
        }
    });
    out
}

fn sliced<T: Element>(x: &[T], at: Strided, range: &Range<usize>) -> Buffer<T> {
    let (width, all) = (range.len() * at.inner, at.length * at.inner);
    let mut out = Buffer::stale(at.outer * width);
    let blocks = out.par_chunks_exact_mut(width.max(1)).zip(x.par_chunks_exact(all.max(1)));
    blocks
        .with_min_len(planes_per_task(width))
        .for_each(|(out, x)| out.copy_from_slice(&x[range.start * at.inner..][..width]));
    out
}

fn selected<T: Element>(x: &[T], Strided { outer, length, inner }: Strided, indices: &[usize]) -> Buffer<T> {
    let width = indices.len() * inner;
    let mut out = Buffer::stale(outer * width);
    let blocks = out.par_chunks_mut(width.max(1)).zip(x.par_chunks((length * inner).max(1)));
    blocks.with_min_len(planes_per_task(width)).for_each(|(out, x)| {
        for (out, &index) in out.chunks_exact_mut(inner).zip(indices) {
            out.copy_from_slice(&x[index * inner..][..inner]);
        }
    });
    out
}

fn added<T: Element>(x: &[T], at: Strided, indices: &[usize], length: usize) -> Buffer<T> {
    let (Strided { outer, inner, .. }, width) = (at, length * at.inner);
    let mut out = Buffer::zeros(outer * width);
    let blocks = out.par_chunks_mut(width.max(1)).zip(x.par_chunks((at.length * inner).max(1)));
    blocks.with_min_len(planes_per_task(width)).for_each(|(out, x)| {
        for (x, &index) in x.chunks_exact(inner).zip(indices) {
            for (out, &x) in out[index * inner..][..inner].iter_mut().zip(x) {
                *out += x;
            }
        }
    });
    out
}
