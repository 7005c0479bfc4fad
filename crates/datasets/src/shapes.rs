//! `shapes`: ten glyphs drawn in code, for tests that must run without a network.
//!
//! Each image is a glyph with its own place, size, stroke and brightness. Drawing uses only +, -, *, / and square
//! roots, so every machine draws the same bytes.

use ndarray::Array4;

use crate::fetch::FetchOptions;
use crate::registry::Entry;
use crate::{Dataset, Error, Labelled, Manifest};

pub(crate) const SHAPES: Entry =
    Entry { name: "shapes", manifest: include_str!("../manifests/shapes.toml"), options: &[], open };

fn open(manifest: &Manifest, _options: &FetchOptions<'_>) -> Result<Dataset, Error> {
    let splits = manifest.splits;
    let test_start = splits.train + splits.validation;
    Ok(Dataset {
        name: manifest.name.clone(),
        class_names: manifest.classes.clone(),
        train: draw(manifest, 0, splits.train)?,
        validation: draw(manifest, splits.train, splits.validation)?,
        test: draw(manifest, test_start, splits.test)?,
    })
}

/// Draws `count` images; image `i` depends on `first + i` alone, and the classes take turns.
fn draw(manifest: &Manifest, first: usize, count: usize) -> Result<Labelled, Error> {
    let [_, height, width] = manifest.shape;
    let classes = manifest.classes.len();
    let mut images = Array4::zeros((count, 1, height, width));
    for (number, mut image) in (first..).zip(images.outer_iter_mut()) {
        let glyph = Glyph::new(number, number % classes);
        for ((_, y, x), pixel) in image.indexed_iter_mut() {
            *pixel = glyph.pixel(x as f32 + 0.5 - width as f32 / 2.0, y as f32 + 0.5 - height as f32 / 2.0);
        }
    }
    Labelled::new(images, (first..first + count).map(|number| number % classes).collect())
}

/// One glyph: its outline and what sets it apart from others of its class. Lengths are in pixels.
struct Glyph {
    class: usize,
    centre: [f32; 2],
    radius: f32,
    stroke: f32,
    brightness: f32,
}

impl Glyph {
    fn new(number: usize, class: usize) -> Self {
        let mut counter = number as u64 * 5;
        let mut between = |low: f32, high: f32| {
            counter += 1;
            low + (high - low) * unit(counter)
        };
        Self {
            class,
            centre: [between(-2.0, 2.0), between(-2.0, 2.0)],
            radius: between(9.0, 11.5),
            stroke: between(1.2, 2.2),
            brightness: between(190.0, 255.0),
        }
    }

    /// Returns the byte at (x, y), counted from the middle of the image; the outline is smoothed over one pixel.
    fn pixel(&self, x: f32, y: f32) -> u8 {
        let distance = self.distance(x - self.centre[0], y - self.centre[1]);
        (self.brightness * (0.5 - distance).clamp(0.0, 1.0)) as u8
    }

    /// Returns the distance from the glyph's outline, negative inside. The match arms follow the manifest's order of
    /// classes.
    fn distance(&self, x: f32, y: f32) -> f32 {
        let (radius, stroke) = (self.radius, self.stroke);
        let (across, down) = (x.abs(), y.abs());
        let round = (x * x + y * y).sqrt() - radius;
        let square = across.max(down) - radius * 0.85;
        let diamond = (across + down - radius * 1.2) * std::f32::consts::FRAC_1_SQRT_2;
        match self.class {
            0 => round,
            1 => round.abs() - stroke,
            2 => square,
            3 => square.abs() - stroke,
            4 => diamond,
            5 => (across - (y + radius) * 0.5).max(y - radius * 0.8),
            6 => (across.min(down) - stroke).max(square),
            7 => ((across - down).abs() * std::f32::consts::FRAC_1_SQRT_2 - stroke).max(square),
            8 => stripes(y, radius).max(square),
            _ => stripes(x, radius).max(square),
        }
    }
}

/// Returns the distance from the nearest of three stripes across `position`, negative inside.
fn stripes(position: f32, radius: f32) -> f32 {
    let pitch = radius * 0.65;
    let nearest = (position / pitch).round().clamp(-1.0, 1.0) * pitch;
    (position - nearest).abs() - pitch * 0.28
}

/// Returns a number in [0, 1) that depends on `counter` alone (the finaliser of SplitMix64).
fn unit(counter: u64) -> f32 {
    let mut bits = counter.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    (bits >> 40) as f32 / (1u64 << 24) as f32
}

#[cfg(test)]
mod tests {
    use ndarray::Axis;
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::hex::hex;

    fn shapes() -> Dataset {
        open(&Manifest::parse(SHAPES.manifest).unwrap(), &FetchOptions::default()).unwrap()
    }

    #[test]
    fn every_class_is_equally_frequent_in_every_split() {
        let shapes = shapes();
        assert_eq!(shapes.train.class_counts(10), [40; 10]);
        assert_eq!(shapes.validation.class_counts(10), [10; 10]);
        assert_eq!(shapes.test.class_counts(10), [10; 10]);
    }

    /// Recorded runs are compared bit by bit, so the images must never change unnoticed.
    #[test]
    fn the_bytes_are_the_same_on_every_machine() {
        let train = shapes().train;
        let digest = Sha256::digest(train.images().unwrap().as_slice().unwrap());
        assert_eq!(hex(&digest[..8]), "ef0f85e4d455cd2a");
    }

    /// Checks that the glyphs can be told apart: the nearest training image must name nearly every test image.
    #[test]
    fn classes_can_be_told_apart() {
        let Dataset { train, test, .. } = shapes();
        let (known, asked) = (train.images().unwrap(), test.images().unwrap());
        let correct = asked.outer_iter().zip(test.labels()).filter(|(image, label)| {
            let distance = |other: &usize| -> u64 {
                let other = known.index_axis(Axis(0), *other);
                image.iter().zip(other).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum()
            };
            let nearest = (0..train.len()).min_by_key(distance);
            nearest.map(|index| train.labels()[index]) == Some(**label)
        });
        assert!(correct.count() >= 95);
    }
}
