//! Images of another size. Both kinds are compositions of choosing rows and columns of pixels.

use crate::tensor::Tensor;

/// The method of computing the pixels of a resized image from those of the image. Pixels are squares whose centres lie
/// at half-integers, as in PyTorch's `interpolate` with `align_corners=False`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interpolation {
    /// The pixel that a pixel's upper left corner falls into.
    Nearest,
    /// The weighted mean of the four pixels around a pixel's centre; at the border, of those that there are.
    Bilinear,
}

impl Tensor {
    /// Images `[n, c, h, w]` resized to `size` (height and width).
    ///
    /// # Panics
    /// When the tensor has not four axes, or a size is zero.
    #[track_caller]
    pub fn interpolate(&self, size: [usize; 2], interpolation: Interpolation) -> Tensor {
        let [_, _, h, w] = self.shape().dims();
        assert!(![h, w, size[0], size[1]].contains(&0), "interpolate: images of {h} x {w} pixels to {size:?}");
        let rows = self.resampled(2, size[0], interpolation);
        rows.resampled(3, size[1], interpolation)
    }

    /// One axis resized to so many pixels.
    fn resampled(&self, axis: usize, length: usize, interpolation: Interpolation) -> Tensor {
        let pixels = self.shape()[axis];
        if pixels == length {
            return self.clone();
        }
        if interpolation == Interpolation::Nearest {
            return self.index_select(axis, &(0..length).map(|i| i * pixels / length).collect::<Vec<_>>());
        }
        let places = (0..length).map(|i| ((i as f64 + 0.5) * pixels as f64 / length as f64 - 0.5).max(0.0));
        let places: Vec<f64> = places.collect();
        let first: Vec<usize> = places.iter().map(|&place| place as usize).collect();
        let second: Vec<usize> = first.iter().map(|first| (first + 1).min(pixels - 1)).collect();
        let shares = places.iter().map(|place| place.fract()).collect();
        let shares = Tensor::from_vec::<f64>(shares, [length], self.device());
        let shares = if axis == 2 { shares.reshape([length, 1]) } else { shares };
        let (first, second) = (self.index_select(axis, &first), self.index_select(axis, &second));
        &first + (second - &first) * shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Device;

    #[test]
    fn pixels_are_pytorchs() {
        let image = Tensor::from_vec(vec![1.0, 2.0, 3.0, 4.0], [1, 1, 2, 2], Device::Reference);
        let resized = |size, kind| image.interpolate(size, kind).to_vec::<f64>();
        assert_eq!(resized([2, 4], Interpolation::Nearest), [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]);
        assert_eq!(resized([1, 3], Interpolation::Nearest), [1.0, 1.0, 2.0]);
        // torch.nn.functional.interpolate(image, (2, 4), mode="bilinear", align_corners=False)
        assert_eq!(resized([2, 4], Interpolation::Bilinear), [1.0, 1.25, 1.75, 2.0, 3.0, 3.25, 3.75, 4.0]);
        assert_eq!(resized([1, 1], Interpolation::Bilinear), [2.5]);
    }
}
