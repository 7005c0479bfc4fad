//! Resizes byte images to Inception's input, following the conventions that published distances were computed with.
//!
//! All conventions are separable and linear, so an image is multiplied by two small sparse matrices, one for its rows
//! and one for its columns. They differ in the positions of the output pixels in the image, in the kernel, and in the
//! conversion of bytes to numbers.

use mergan_tensor::{Device, Tensor};
use ndarray::{Array4, ArrayView2, ArrayView4, ArrayViewMut2, Axis};
use rayon::prelude::*;

/// The convention for converting images to the network's size and range. Distances under different conventions must not
/// be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resize {
    /// TensorFlow 1's bilinear interpolation, whose grid starts at the first pixel, and (x - 128) / 128: the convention
    /// of Heusel et al. (2017), and of TTUR after them.
    #[default]
    Tf1,
    /// Bilinear interpolation between the centres of pixels, and 2 x / 255 - 1: the convention of pytorch-fid.
    Torch,
    /// Bicubic interpolation with antialiasing, clamped to the range of bytes, and (x - 128) / 128: the convention of
    /// clean-fid.
    Clean,
}

impl Resize {
    /// All conventions with their names.
    pub const ALL: [(&'static str, Resize); 3] =
        [("tf1", Resize::Tf1), ("torch", Resize::Torch), ("clean", Resize::Clean)];

    /// Returns the convention's name.
    pub fn name(self) -> &'static str {
        let (name, _) = Self::ALL[self as usize];
        name
    }

    /// Converts byte images (N, C, H, W) to the network's input, `[n, 3, h, w]` with this height and width. Grey images
    /// are repeated to three channels.
    ///
    /// # Panics
    /// Panics if the images have neither one nor three channels.
    pub fn apply(self, images: ArrayView4<u8>, size: [usize; 2]) -> Tensor {
        let (count, channels, height, width) = images.dim();
        assert!(matches!(channels, 1 | 3), "images of {channels} channels; Inception takes 1 or 3");
        let [rows, columns] = [(height, size[0]), (width, size[1])].map(|(from, to)| self.weights(from, to));
        let mut resized = Array4::zeros((count, 3, size[0], size[1]));
        resized.axis_iter_mut(Axis(0)).into_par_iter().zip(images.axis_iter(Axis(0)).into_par_iter()).for_each(
            |(mut resized, image)| {
                for channel in 0..3 {
                    if channel >= channels {
                        let (done, mut next) = resized.view_mut().split_at(Axis(0), channel);
                        next.index_axis_mut(Axis(0), 0).assign(&done.index_axis(Axis(0), 0));
                        continue;
                    }
                    let plane = image.index_axis(Axis(0), channel);
                    self.plane(plane, &rows, &columns, resized.index_axis_mut(Axis(0), channel));
                }
            },
        );
        Tensor::from_array(&resized, Device::Cpu)
    }

    /// Resizes one channel: first along the rows, as in the reference implementations.
    fn plane(self, plane: ArrayView2<u8>, rows: &[Weights], columns: &[Weights], mut out: ArrayViewMut2<f32>) {
        let narrow: Vec<Vec<f32>> = plane
            .rows()
            .into_iter()
            .map(|row| columns.iter().map(|weights| weights.sum(|x| f32::from(row[x]))).collect())
            .collect();
        for (mut out, weights) in out.rows_mut().into_iter().zip(rows) {
            for (x, out) in out.iter_mut().enumerate() {
                *out = self.number(weights.sum(|y| narrow[y][x]));
            }
        }
    }

    /// Converts a number from 0 to 255 to the network's range.
    fn number(self, x: f32) -> f32 {
        match self {
            Resize::Tf1 => (x - 128.0) / 128.0,
            Resize::Torch => 2.0 * (x / 255.0) - 1.0,
            Resize::Clean => (x.clamp(0.0, 255.0) - 128.0) / 128.0,
        }
    }

    /// Returns the weights of the input pixels for each of `to` output pixels, along an axis of `from` pixels.
    fn weights(self, from: usize, to: usize) -> Vec<Weights> {
        let scale = from as f64 / to as f64;
        let pixel = |i: usize| match self {
            Resize::Tf1 => Weights::between(i as f64 * scale, from),
            Resize::Torch => Weights::between(((i as f64 + 0.5) * scale - 0.5).max(0.0), from),
            Resize::Clean => Weights::bicubic((i as f64 + 0.5) * scale, scale.max(1.0), from),
        };
        (0..to).map(pixel).collect()
    }
}

/// The weights of a weighted sum of neighbouring pixels.
struct Weights {
    first: usize,
    weights: Vec<f64>,
}

impl Weights {
    /// Interpolates linearly between the two pixels around a position. The first pixel is at 0.
    fn between(position: f64, pixels: usize) -> Self {
        let first = (position.floor() as usize).min(pixels - 1);
        let share = if first + 1 < pixels { position - first as f64 } else { 0.0 };
        let weights = if share > 0.0 { vec![1.0 - share, share] } else { vec![1.0] };
        Weights { first, weights }
    }

    /// Weights all pixels within a distance of two times `width` pixels of a position by Keys's kernel with a = -1/2,
    /// widened so that no pixel of a larger image is skipped. The first pixel's centre is at 1/2.
    fn bicubic(centre: f64, width: f64, pixels: usize) -> Self {
        let support = 2.0 * width;
        let first = (centre - support + 0.5).floor().max(0.0) as usize;
        let end = ((centre + support + 0.5).floor() as usize).min(pixels);
        let weights: Vec<f64> = (first..end).map(|pixel| keys((pixel as f64 + 0.5 - centre) / width)).collect();
        let sum: f64 = weights.iter().sum();
        Weights { first, weights: weights.into_iter().map(|weight| weight / sum).collect() }
    }

    fn sum(&self, pixel: impl Fn(usize) -> f32) -> f32 {
        let terms = self.weights.iter().zip(self.first..).map(|(weight, i)| weight * f64::from(pixel(i)));
        terms.sum::<f64>() as f32
    }
}

/// Computes Keys's cubic convolution kernel (1981), with a = -1/2.
fn keys(x: f64) -> f64 {
    const A: f64 = -0.5;
    match x.abs() {
        x if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}
