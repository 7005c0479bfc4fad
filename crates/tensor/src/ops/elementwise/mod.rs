//! Loops that compute each element of a result from the elements at the same position.

pub(crate) mod cuda;

use rayon::prelude::*;

use crate::cpu::vectorised;
use crate::pool::Buffer;
use crate::storage::Element;

/// The number of elements that a task works on: small enough to stay in the L2 cache, large enough to outweigh the cost
/// of starting the task.
pub(super) const CHUNK: usize = 1 << 14;

/// Fills `out` in chunks, in parallel; `fill` receives the position at which a chunk begins, and the chunk.
pub(crate) fn fill_chunks<T: Element>(out: &mut [T], fill: impl Fn(usize, &mut [T]) + Sync) {
    if out.len() <= CHUNK {
        fill(0, out);
    } else {
        out.par_chunks_mut(CHUNK).enumerate().for_each(|(i, chunk)| fill(i * CHUNK, chunk));
    }
}

/// Returns how many planes (pixels of the whole batch) of `plane` elements a task should work on.
pub(crate) fn planes_per_task(plane: usize) -> usize {
    (CHUNK / plane.max(1)).max(1)
}

/// Returns `f(x)` for every element. `f` is copied into the loop, so that what it captures stays in registers.
pub(crate) fn map<T: Element>(x: &[T], f: impl Fn(T) -> T + Copy + Send + Sync) -> Buffer<T> {
    let mut out = Buffer::stale(x.len());
    fill_chunks(&mut out, |start, out| {
        let x = &x[start..start + out.len()];
        vectorised(
            #[inline(always)]
            move || {
                for (out, &x) in out.iter_mut().zip(x) {
                    *out = f(x);
                }
            },
        );
    });
    out
}

/// Returns `f(x, y)` for every pair of elements.
pub(crate) fn zip<T: Element>(x: &[T], y: &[T], f: impl Fn(T, T) -> T + Copy + Send + Sync) -> Buffer<T> {
    let mut out = Buffer::stale(x.len());
    fill_chunks(&mut out, |start, out| {
        let (x, y) = (&x[start..start + out.len()], &y[start..start + out.len()]);
        vectorised(
            #[inline(always)]
            move || {
                for ((out, &x), &y) in out.iter_mut().zip(x).zip(y) {
                    *out = f(x, y);
                }
            },
        );
    });
    out
}
