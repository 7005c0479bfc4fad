//! Choosing rows of the batch axis. A selection and the sum of rows back to where they came from are each other's
//! gradient; joining batches is made of them.

pub(super) mod cuda;

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::elementwise::planes_per_task;
use crate::cuda::context;
use crate::pool::Buffer;
use crate::shape::Shape;
use crate::storage::{Device, Element, Storage, dispatch};
use crate::tensor::Tensor;

impl Tensor {
    /// The rows (images) with these numbers, in this order; a number may come more than once. On a table of class
    /// parameters it is the embedding lookup.
    ///
    /// # Panics
    /// When a number is not smaller than N.
    pub fn select_rows(&self, rows: &[usize]) -> Tensor {
        let from = self.shape();
        assert!(rows.iter().all(|&row| row < from.n), "rows {rows:?} of a tensor of shape {from:?}");
        let to = Shape { n: rows.len(), ..from };
        let storage = dispatch!(self, |x| selected(x, from, rows), |x| cuda::selected(x, from, rows));
        let rows: Arc<[usize]> = rows.into();
        Tensor::from_operation(to, storage, &[self], move |back| vec![Some(back.upstream.add_rows(&rows, from.n))])
    }

    /// A tensor of `n` rows in which row r is the sum of this tensor's rows i with `rows[i] == r`.
    ///
    /// # Panics
    /// When there is not one number below `n` for every row.
    pub fn add_rows(&self, rows: &[usize], n: usize) -> Tensor {
        let from = self.shape();
        assert!(rows.len() == from.n && rows.iter().all(|&row| row < n), "rows {rows:?} of {from:?} added to {n}");
        let storage = dispatch!(self, |x| added(x, from, rows, n), |x| cuda::added(x, from, rows, n));
        let rows: Arc<[usize]> = rows.into();
        Tensor::from_operation(Shape { n, ..from }, storage, &[self], move |back| {
            vec![Some(back.upstream.select_rows(&rows))]
        })
    }

    /// Rows `range` of the batch axis.
    pub fn rows(&self, range: Range<usize>) -> Tensor {
        self.select_rows(&range.collect::<Vec<_>>())
    }

    /// The batches one after another: N is the sum of theirs, the other axes are equal.
    ///
    /// # Panics
    /// When there is no batch, or the other axes or the devices differ.
    pub fn concat(batches: &[&Tensor]) -> Tensor {
        let first = batches.first().expect("at least one batch to join").shape();
        let fits = |batch: &&Tensor| Shape { n: first.n, ..batch.shape() } == first;
        assert!(batches.iter().all(fits), "concat of {:?}", batches.iter().map(|b| b.shape()).collect::<Vec<_>>());
        let shape = Shape { n: batches.iter().map(|batch| batch.shape().n).sum(), ..first };
        let storage = match batches[0].device() {
            Device::Cpu => Storage::F32(joined(batches, shape, |storage| match storage {
                Storage::F32(x) => x,
                other => panic!("concat on different devices: cpu and {}", other.device()),
            })),
            Device::Reference => Storage::F64(joined(batches, shape, |storage| match storage {
                Storage::F64(x) => x,
                other => panic!("concat on different devices: reference and {}", other.device()),
            })),
            Device::Cuda(index) => {
                let parts = batches.iter().map(|batch| match batch.storage() {
                    Storage::Cuda(x) => (x, batch.shape().plane()),
                    other => panic!("concat on different devices: {} and {}", batches[0].device(), other.device()),
                });
                Storage::Cuda(cuda::joined(context(index), parts, [shape.plane(), shape.pixels()]))
            }
        };
        let lengths: Vec<usize> = batches.iter().map(|batch| batch.shape().n).collect();
        Tensor::from_operation(shape, storage, batches, move |back| {
            let mut start = 0;
            let parts = lengths.iter().enumerate().map(|(i, n)| {
                start += n;
                back.when(i, || back.upstream.rows(start - n..start))
            });
            parts.collect()
        })
    }
}

fn joined<T: Element>(batches: &[&Tensor], shape: Shape, numbers: impl Fn(&Storage) -> &Buffer<T> + Sync) -> Buffer<T> {
    let mut out = Buffer::stale(shape.len());
    let planes = out.par_chunks_mut(shape.plane().max(1)).enumerate();
    planes.with_min_len(planes_per_task(shape.plane())).for_each(|(q, out)| {
        let mut start = 0;
        for batch in batches {
            let plane = batch.shape().plane();
            out[start..start + plane].copy_from_slice(&numbers(batch.storage())[q * plane..][..plane]);
            start += plane;
        }
    });
    out
}

fn selected<T: Element>(x: &[T], from: Shape, rows: &[usize]) -> Buffer<T> {
    let plane = rows.len() * from.c;
    let mut out = Buffer::stale(from.pixels() * plane);
    let planes = out.par_chunks_mut(plane.max(1)).zip(x.par_chunks(from.plane()));
    planes.with_min_len(planes_per_task(plane)).for_each(|(out, x)| {
        for (out, &row) in out.chunks_exact_mut(from.c).zip(rows) {
            out.copy_from_slice(&x[row * from.c..][..from.c]);
        }
    });
    out
}

fn added<T: Element>(x: &[T], from: Shape, rows: &[usize], n: usize) -> Buffer<T> {
    let mut out = Buffer::zeros(from.pixels() * n * from.c);
    let planes = out.par_chunks_mut(n * from.c).zip(x.par_chunks(from.plane()));
    planes.with_min_len(planes_per_task(n * from.c)).for_each(|(out, x)| {
        for (x, &row) in x.chunks_exact(from.c).zip(rows) {
            for (out, &x) in out[row * from.c..][..from.c].iter_mut().zip(x) {
                *out += x;
            }
        }
    });
    out
}
