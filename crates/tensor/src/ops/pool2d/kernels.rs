//! CPU kernels that pool whole pixels at once. In the layout `[pixel][batch][channel]`, corresponding elements have the
//! same position in all pixels of a window, so every loop runs over contiguous memory whatever the number of channels.

use rayon::prelude::*;

use super::super::conv2d::Geometry;
use super::super::elementwise::planes_per_task;
use crate::cpu::vectorised;
use crate::pool::Buffer;
use crate::storage::Element;

/// Fills every pixel of `out`; `fill` receives the index of a pixel and its elements.
fn fill_pixels<T: Send>(plane: usize, out: &mut [T], fill: impl Fn(usize, &mut [T]) + Sync) {
    let pixels = out.par_chunks_exact_mut(plane).enumerate();
    pixels.with_min_len(planes_per_task(plane)).for_each(|(pixel, out)| {
        vectorised(
            #[inline(always)]
            || fill(pixel, out),
        )
    });
}

/// Returns a result of `len` elements, filled as by [`fill_pixels`].
fn by_pixel<T: Element>(g: &Geometry, len: usize, fill: impl Fn(usize, &mut [T]) + Sync) -> Buffer<T> {
    let mut out = Buffer::stale(len);
    fill_pixels(g.n * g.ci, &mut out, fill);
    out
}

/// Returns the pixels of a window.
fn window(g: &Geometry, output: usize) -> impl Iterator<Item = usize> {
    g.taps().filter_map(move |tap| g.input_pixel(output, tap))
}

/// Returns the windows that contain a pixel.
fn windows(g: &Geometry, input: usize) -> impl Iterator<Item = usize> {
    g.taps().filter_map(move |tap| g.output_pixel(input, tap))
}

/// Returns whether `x` replaces the maximum so far.
#[inline(always)]
fn wins<T: Element>(x: T, largest: T) -> bool {
    x > largest || x.is_nan()
}

/// Returns the maximum of each window.
pub(super) fn largest<T: Element>(g: &Geometry, x: &[T]) -> Buffer<T> {
    let plane = g.n * g.ci;
    by_pixel(
        g,
        g.output_len(),
        #[inline(always)]
        |output, out| {
            for (i, input) in window(g, output).enumerate() {
                let x = &x[input * plane..][..plane];
                if i == 0 {
                    out.copy_from_slice(x);
                    continue;
                }
                for (out, &x) in out.iter_mut().zip(x) {
                    *out = if wins(x, *out) { x } else { *out };
                }
            }
        },
    )
}

/// Returns, for every element of the result, the input pixel of its window's maximum, which is the first of equal ones.
pub(super) fn choose<T: Element>(g: &Geometry, x: &[T]) -> Vec<u32> {
    let plane = g.n * g.ci;
    let mut chosen = vec![0; g.output_len()];
    fill_pixels(plane, &mut chosen, |output, chosen| {
        let mut window = window(g, output);
        chosen.fill(window.next().expect("a window has pixels") as u32);
        for pixel in window {
            for (i, best) in chosen.iter_mut().enumerate() {
                if wins(x[pixel * plane + i], x[*best as usize * plane + i]) {
                    *best = pixel as u32;
                }
            }
        }
    });
    chosen
}

/// Returns the chosen element of each window.
pub(super) fn gather<T: Element>(g: &Geometry, chosen: &[u32], x: &[T]) -> Buffer<T> {
    let plane = g.n * g.ci;
    by_pixel(g, g.output_len(), |output, out| {
        for (i, (out, &pixel)) in out.iter_mut().zip(&chosen[output * plane..]).enumerate() {
            *out = x[pixel as usize * plane + i];
        }
    })
}

/// Adds the elements of the windows to the pixels that were chosen.
pub(super) fn scatter<T: Element>(g: &Geometry, chosen: &[u32], dy: &[T]) -> Buffer<T> {
    let plane = g.n * g.ci;
    by_pixel(
        g,
        g.input_len(),
        #[inline(always)]
        |input, out| {
            out.fill(T::zero());
            for output in windows(g, input) {
                let (dy, chosen) = (&dy[output * plane..][..plane], &chosen[output * plane..][..plane]);
                for ((out, &dy), &chosen) in out.iter_mut().zip(dy).zip(chosen) {
                    *out += if chosen as usize == input { dy } else { T::zero() };
                }
            }
        },
    )
}

/// Returns the mean of each window.
pub(super) fn mean<T: Element>(g: &Geometry, x: &[T]) -> Buffer<T> {
    let plane = g.n * g.ci;
    by_pixel(
        g,
        g.output_len(),
        #[inline(always)]
        |output, out| {
            out.fill(T::zero());
            for input in window(g, output) {
                add(out, &x[input * plane..][..plane], T::one());
            }
            let share = T::from_f64(1.0 / window(g, output).count() as f64);
            out.iter_mut().for_each(|out| *out = *out * share);
        },
    )
}

/// Applies the transpose of [`mean`].
pub(super) fn mean_input_grad<T: Element>(g: &Geometry, dy: &[T]) -> Buffer<T> {
    let plane = g.n * g.ci;
    by_pixel(
        g,
        g.input_len(),
        #[inline(always)]
        |input, out| {
            out.fill(T::zero());
            for output in windows(g, input) {
                let share = T::from_f64(1.0 / window(g, output).count() as f64);
                add(out, &dy[output * plane..][..plane], share);
            }
        },
    )
}

#[inline(always)]
fn add<T: Element>(out: &mut [T], x: &[T], factor: T) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out += x * factor;
    }
}
