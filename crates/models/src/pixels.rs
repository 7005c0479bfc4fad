//! Conversion between images in files (bytes) and in networks (numbers in [-1, 1]).

use mergan_tensor::{Device, Tensor};
use ndarray::{Array4, ArrayView4, Ix4};

/// Converts byte images to the network's range: byte b becomes b / 127.5 - 1.
pub fn from_bytes(images: ArrayView4<u8>, device: Device) -> Tensor {
    Tensor::from_array(&images.mapv(|byte| f32::from(byte) / 127.5 - 1.0), device)
}

/// Converts generated images to bytes, rounded as the released code does before scoring: `int(x * 128 + 128)`, at most
/// 255.
pub fn to_bytes(images: &Tensor) -> Array4<u8> {
    images.to_array::<f32, Ix4>().mapv(|x| (x * 128.0 + 128.0) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_the_round_trip_to_within_one() {
        let bytes = Array4::from_shape_fn((1, 1, 16, 16), |(_, _, y, x)| (y * 16 + x) as u8);
        let there = from_bytes(bytes.view(), Device::Cpu);
        let back = to_bytes(&there);
        assert!(bytes.iter().zip(&back).all(|(a, b)| a.abs_diff(*b) <= 1));
        assert_eq!((back[[0, 0, 0, 0]], back[[0, 0, 15, 15]]), (0, 255));
    }
}
