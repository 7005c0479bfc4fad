//! Bilinear resizing with a filter that widens as images shrink: Pillow's `resize(BILINEAR)`, bit for bit.
//!
//! The paper's code shrank its photographs this way. Like the Pillow of its day, this works in two passes, along rows
//! and then along columns, with fixed-point weights, and rounds to bytes after each.

use ndarray::{Array3, ArrayView3, Axis};

/// The fractional bits of a weight; weighted sums of bytes then fit an i32.
const PRECISION: u32 = 32 - 8 - 2;

/// Resizes `image`, height x width x channels.
pub(crate) fn resize(image: ArrayView3<u8>, [height, width]: [usize; 2]) -> Array3<u8> {
    along(along(image, Axis(1), width).view(), Axis(0), height)
}

/// Resizes one axis.
fn along(image: ArrayView3<u8>, axis: Axis, size: usize) -> Array3<u8> {
    let from = image.len_of(axis);
    if from == size {
        return image.to_owned();
    }
    let mut shape = image.raw_dim();
    shape[axis.index()] = size;
    let mut resized = Array3::zeros(shape);
    let mut sum = Array3::<i32>::zeros({
        shape[axis.index()] = 1;
        shape
    });
    for (mut out, window) in resized.axis_chunks_iter_mut(axis, 1).zip(windows(from, size)) {
        sum.fill(1 << (PRECISION - 1));
        for (pixel, weight) in (window.start..).zip(window.weights) {
            let source = image.index_axis(axis, pixel).insert_axis(axis);
            sum.zip_mut_with(&source, |sum, &value| *sum += i32::from(value) * weight);
        }
        out.zip_mut_with(&sum, |out, &sum| *out = (sum >> PRECISION).clamp(0, 255) as u8);
    }
    resized
}

/// The source pixels whose weighted mean is one resized pixel.
struct Window {
    start: usize,
    weights: Vec<i32>,
}

fn windows(from: usize, to: usize) -> impl Iterator<Item = Window> {
    let scale = from as f64 / to as f64;
    // Half the width of the triangle filter: one pixel of the coarser of the two grids.
    let support = scale.max(1.0);
    (0..to).map(move |i| {
        let centre = (i as f64 + 0.5) * scale;
        let start = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let weight = |pixel: usize| (1.0 - ((pixel as f64 - centre + 0.5) * (1.0 / support)).abs()).max(0.0);
        let sum: f64 = (start..end).map(weight).sum();
        let fixed = |pixel| (weight(pixel) / sum * f64::from(1 << PRECISION) + 0.5) as i32;
        Window { start, weights: (start..end).map(fixed).collect() }
    })
}
