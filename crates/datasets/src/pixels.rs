//! Pixels as the networks see them, and back.

/// A byte as a number in [-1, 1], the range of the generator's tanh: `v / 127.5 - 1`.
///
/// The paper's code computes 2 (x - 0.5) of x = v / 255, which is the same number.
pub fn normalise(pixel: u8) -> f32 {
    f32::from(pixel) / 127.5 - 1.0
}

/// A generated value as a byte: `int(x * 128 + 128)` held within 0..=255, the rounding with which the paper's code
/// hands generated images to the classifier that scores them.
///
/// Every byte survives [`normalise`] and back. NaN becomes 0.
pub fn quantise(value: f32) -> u8 {
    // `as` truncates and saturates, which is exactly the clamp wanted.
    (value * 128.0 + 128.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_the_range() {
        assert_eq!((normalise(0), normalise(255)), (-1.0, 1.0));
        assert_eq!((quantise(-1.0), quantise(0.0), quantise(1.0)), (0, 128, 255));
        assert_eq!((quantise(-7.0), quantise(7.0), quantise(f32::NAN)), (0, 255, 0));
        assert_eq!(quantise(-0.001), 127, "truncated, not rounded");
    }

    #[test]
    fn every_byte_survives_the_round_trip() {
        for byte in 0..=255 {
            assert_eq!(quantise(normalise(byte)), byte);
        }
    }
}
