//! Random changes of images, which keep a critic from learning a few images by heart.
//!
//! Training images can be mirrored. All images that the critic sees, real and generated ones, can be changed by
//! differentiable augmentation (Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", NeurIPS
//! 2020): the generator learns through the changes, and so it does not learn to make changed images.

use std::fmt;

use mergan_models::{Critic, Verdict};
use mergan_tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::draws::{Draws, Purpose};

/// The kinds of changes of the images that the critic sees, as in the authors' code. They are applied in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Augmentation {
    /// Random brightness, saturation and contrast.
    pub color: bool,
    /// A shift by up to an eighth of the side, which leaves grey behind.
    pub translation: bool,
    /// A grey square of half the side, anywhere in the image and partly outside of it.
    pub cutout: bool,
}

/// The critic as training uses it: it sees images through random changes.
#[derive(Clone, Copy)]
pub struct View<'a> {
    critic: &'a Critic,
    /// The changes and the random numbers that they take.
    changes: Option<(Augmentation, Draws<'a>)>,
}

/// The fraction of the side by which a translation shifts an image at most.
const LARGEST_SHIFT: f64 = 0.125;
/// The fraction of the side that the square of a cutout has.
const CUTOUT: f64 = 0.5;
/// How many random numbers the changes of an image take: three for its colours and two each for its translation and its
/// cutout.
const NUMBERS: usize = 7;

impl fmt::Display for Augmentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Augmentation { color, translation, cutout } = *self;
        let named = [("color", color), ("translation", translation), ("cutout", cutout)];
        let chosen: Vec<_> = named.into_iter().filter_map(|(name, chosen)| chosen.then_some(name)).collect();
        f.write_str(&chosen.join(","))
    }
}

impl From<Augmentation> for String {
    fn from(augmentation: Augmentation) -> Self {
        augmentation.to_string()
    }
}

impl TryFrom<String> for Augmentation {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut augmentation = Augmentation::default();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match name {
                "color" => augmentation.color = true,
                "translation" => augmentation.translation = true,
                "cutout" => augmentation.cutout = true,
                _ => {
                    return Err(format!(
                        "there is no augmentation `{name}`; training.augment names any of color, translation and cutout, \
                         with commas between them, and is empty for none"
                    ));
                }
            }
        }
        Ok(augmentation)
    }
}

impl Augmentation {
    /// Returns images `[n, c, h, w]` with a change of its own for each, which `numbers` in [0, 1), `[n, 7]`, determine.
    /// The result is differentiable to any order with respect to the images.
    fn applied(self, images: &Tensor, numbers: &Tensor) -> Tensor {
        let mut images = images.clone();
        if self.color {
            images = recoloured(&images, numbers);
        }
        if self.translation || self.cutout {
            images = self.rearranged(&images, numbers);
        }
        images
    }

    /// Applies the translation and the cutout: each pixel becomes another pixel of its image, or 0.
    fn rearranged(self, images: &Tensor, numbers: &Tensor) -> Tensor {
        let [n, c, h, w] = images.shape().dims();
        let numbers: Vec<f64> = numbers.to_vec();
        let (mut sources, mut kept) = (Vec::with_capacity(n * h * w), Vec::with_capacity(n * h * w));
        for (image, numbers) in numbers.chunks_exact(NUMBERS).enumerate() {
            let shift = |number, side| if self.translation { shift(number, side) } else { 0 };
            let (down, right) = (shift(numbers[3], h), shift(numbers[4], w));
            let square = self.cutout.then(|| [cut(numbers[5], h), cut(numbers[6], w)]);
            for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
                let inside = |place: usize, shift: isize, side: usize| {
                    place.checked_add_signed(-shift).filter(|&place| place < side)
                };
                let is_cut = square.as_ref().is_some_and(|[rows, columns]| rows.contains(&y) && columns.contains(&x));
                let source = inside(y, down, h).zip(inside(x, right, w)).filter(|_| !is_cut);
                // A pixel without a source becomes 0 where it is.
                let (row, column) = source.unwrap_or((y, x));
                sources.push((image * h + row) * w + column);
                kept.push(if source.is_some() { 1.0_f32 } else { 0.0 });
            }
        }
        let pixels = images.permute(&[0, 2, 3, 1]).reshape([n * h * w, c]).index_select(0, &sources);
        let pixels = pixels * Tensor::from_vec(kept, [n * h * w, 1], images.device());
        pixels.reshape([n, h, w, c]).permute(&[0, 3, 1, 2])
    }
}

/// Changes brightness, saturation and contrast, in this order.
fn recoloured(images: &Tensor, numbers: &Tensor) -> Tensor {
    let [n, _, h, w] = images.shape().dims();
    let number = |i: usize| numbers.slice(1, i..i + 1).reshape([n, 1, 1, 1]);
    let from_mean = |images: &Tensor, mean: Tensor, factor: Tensor| (images - &mean) * factor + mean;
    let images = images + (number(0) - 0.5);
    let images = from_mean(&images, images.mean_to([n, 1, h, w]), number(1) * 2.0);
    from_mean(&images, images.mean_to([n, 1, 1, 1]), number(2) + 0.5)
}

/// Returns a shift by whole pixels, all equally probable, for a number in [0, 1).
fn shift(number: f64, side: usize) -> isize {
    let most = (side as f64 * LARGEST_SHIFT).round();
    (number * (2.0 * most + 1.0)).floor() as isize - most as isize
}

/// Returns the pixels of an axis that a cutout covers, for a number in [0, 1). Its middle may be at either edge.
fn cut(number: f64, side: usize) -> std::ops::Range<usize> {
    let length = (side as f64 * CUTOUT).round() as usize;
    let middle = (number * (side + 1 - length % 2) as f64) as usize;
    middle.saturating_sub(length / 2)..(middle + length - length / 2).min(side)
}

/// Returns images of which those whose number in [0, 1), `[n, 1, 1, 1]`, is at least 1/2 are mirrored left to right.
pub(crate) fn mirrored(images: &Tensor, numbers: &Tensor) -> Tensor {
    let [_, _, _, w] = images.shape().dims();
    // Random numbers are multiples of 2^-24, so none of them lies on the threshold.
    let threshold = 0.5 - 2f64.powi(-25);
    let is_mirrored = ((numbers - threshold).sign() + 1.0) * 0.5;
    let mirror_images = images.index_select(3, &(0..w).rev().collect::<Vec<_>>());
    images * (1.0 - &is_mirrored) + mirror_images * is_mirrored
}

/// A critic that sees images as they are.
impl<'a> From<&'a Critic> for View<'a> {
    fn from(critic: &'a Critic) -> Self {
        View { critic, changes: None }
    }
}

impl<'a> View<'a> {
    /// Creates a view through these changes, whose random numbers are those of a step.
    pub fn new(critic: &'a Critic, augmentation: Augmentation, draws: Draws<'a>) -> Self {
        View { critic, changes: Some((augmentation, draws)).filter(|_| augmentation != Augmentation::default()) }
    }

    /// Applies both heads of the critic to changed images. `purpose` is that of the random numbers, and different for
    /// each batch of a step.
    pub fn forward(&self, images: &Tensor, purpose: Purpose) -> Verdict {
        self.critic.forward(&self.seen(images, purpose))
    }

    /// Applies the critic head alone, as [`View::forward`] does.
    pub fn score(&self, images: &Tensor, purpose: Purpose) -> Tensor {
        self.critic.score(&self.seen(images, purpose))
    }

    fn seen(&self, images: &Tensor, purpose: Purpose) -> Tensor {
        match &self.changes {
            None => images.clone(),
            Some((augmentation, draws)) => {
                augmentation.applied(images, &draws.uniform(purpose, [images.shape()[0], NUMBERS]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mergan_tensor::{Address, Device, Random};

    const ALL: Augmentation = Augmentation { color: true, translation: true, cutout: true };

    fn images(n: usize, side: usize) -> Tensor {
        Random::new(1).normal(Address::default(), [n, 3, side, side], Device::Reference)
    }

    fn numbers(n: usize) -> Tensor {
        Random::new(2).uniform(Address::default(), [n, NUMBERS], Device::Reference)
    }

    /// Returns the pixel of an image's first channel.
    fn pixel(images: &Tensor, image: usize, [y, x]: [usize; 2]) -> f64 {
        let [_, c, h, w] = images.shape().dims();
        images.to_vec::<f64>()[((image * c) * h + y) * w + x]
    }

    #[test]
    fn names_survive_the_round_trip_and_others_are_refused() {
        for (text, augmentation) in [
            ("", Augmentation::default()),
            ("cutout", Augmentation { cutout: true, ..Augmentation::default() }),
            ("color,translation,cutout", ALL),
        ] {
            assert_eq!(Augmentation::try_from(text.to_string()), Ok(augmentation));
            assert_eq!(augmentation.to_string(), text);
        }
        assert_eq!(Augmentation::try_from("cutout, color,translation".to_string()), Ok(ALL));
        let error = Augmentation::try_from("color,colour".to_string()).unwrap_err();
        assert!(
            error.starts_with("there is no augmentation `colour`; training.augment names any of color,"),
            "{error}"
        );
    }

    #[test]
    fn a_translation_moves_each_image_by_its_own_shift() {
        let images = images(2, 16);
        // Of five shifts each, the first image gets -2 and 1, and the second 0 and 2.
        let mut table = vec![0.0; 2 * NUMBERS];
        for (place, number) in [(3, 0.0), (4, 0.7), (NUMBERS + 3, 0.5), (NUMBERS + 4, 0.999)] {
            table[place] = number;
        }
        let numbers = Tensor::from_vec::<f64>(table, [2, NUMBERS], Device::Reference);
        let moved = Augmentation { translation: true, ..Augmentation::default() }.applied(&images, &numbers);
        for (y, x) in (0..16).flat_map(|y| (0..16).map(move |x| (y, x))) {
            let expected = if y < 14 && x > 0 { pixel(&images, 0, [y + 2, x - 1]) } else { 0.0 };
            assert_eq!(pixel(&moved, 0, [y, x]), expected, "{y}, {x}");
            let expected = if x > 1 { pixel(&images, 1, [y, x - 2]) } else { 0.0 };
            assert_eq!(pixel(&moved, 1, [y, x]), expected, "{y}, {x}");
        }
        let shifts: std::collections::BTreeSet<_> = (0..100).map(|i| shift(f64::from(i) / 100.0, 32)).collect();
        assert_eq!(shifts.into_iter().collect::<Vec<_>>(), (-4..=4).collect::<Vec<_>>());
    }

    #[test]
    fn a_cutout_leaves_all_but_a_square() {
        assert_eq!([0.0, 0.5, 0.999].map(|number| cut(number, 32)), [0..8, 8..24, 24..32]);
        let images = images(1, 8);
        let numbers = Tensor::full(0.5, [1, NUMBERS], Device::Reference);
        let left = Augmentation { cutout: true, ..Augmentation::default() }.applied(&images, &numbers);
        for (y, x) in (0..8).flat_map(|y| (0..8).map(move |x| (y, x))) {
            let is_cut = (2..6).contains(&y) && (2..6).contains(&x);
            assert_eq!(pixel(&left, 0, [y, x]), if is_cut { 0.0 } else { pixel(&images, 0, [y, x]) });
        }
    }

    #[test]
    fn colours_change_as_the_authors_code_changes_them() {
        let images = images(1, 4);
        let numbers =
            Tensor::from_vec::<f64>(vec![0.75, 0.25, 0.1, 0.0, 0.0, 0.0, 0.0], [1, NUMBERS], Device::Reference);
        let changed = Augmentation { color: true, ..Augmentation::default() }.applied(&images, &numbers);
        let (before, after): (Vec<f64>, Vec<f64>) = (images.to_vec(), changed.to_vec());
        let mean = before.iter().sum::<f64>() / 48.0 + 0.25;
        for place in 0..16 {
            let grey = (before[place] + before[place + 16] + before[place + 32]) / 3.0 + 0.25;
            for value in [place, place + 16, place + 32] {
                let saturated = (before[value] + 0.25 - grey) * 0.5 + grey;
                approx::assert_relative_eq!(after[value], (saturated - mean) * 0.6 + mean, max_relative = 1e-12);
            }
        }
    }

    /// Images are augmented linearly but for a constant, so the transpose of the augmentation is its gradient, and the
    /// gradient of the gradient is the augmentation again.
    #[test]
    fn gradients_of_both_orders_are_those_of_finite_differences() {
        let (images, direction, numbers) = (images(2, 8), images(4, 8).slice(0, 2..4), numbers(2));
        let x = images.variable();
        // The cube makes the loss depend on the images in every derivative.
        let loss = |x: &Tensor| ALL.applied(x, &numbers).pow(3.0).sum();
        let slope = loss(&x).differentiable_gradient(&x);
        let curvature = (&slope * &direction).sum().gradient(&x);
        let along = |f: &dyn Fn(&Tensor) -> Tensor| {
            let step = &direction * 1e-5;
            (f(&(&images + &step)) - f(&(&images - &step))) * (0.5 / 1e-5)
        };
        let first = along(&loss).item();
        approx::assert_relative_eq!(first, (&slope * &direction).sum().item(), max_relative = 1e-6);
        let gradient = |at: &Tensor| {
            let at = at.variable();
            loss(&at).gradient(&at)
        };
        let second = along(&gradient).to_vec::<f64>();
        for (expected, ours) in second.iter().zip(curvature.to_vec::<f64>()) {
            approx::assert_relative_eq!(*expected, ours, epsilon = 1e-6, max_relative = 1e-5);
        }
    }

    #[test]
    fn about_half_of_the_images_are_mirrored_exactly() {
        let images = Random::new(1).normal(Address::default(), [400, 3, 4, 4], Device::Cpu);
        let numbers = Random::new(3).uniform(Address::default(), [400, 1, 1, 1], Device::Cpu);
        let after = mirrored(&images, &numbers).to_vec::<f32>();
        let mirror_images: Vec<f32> =
            images.to_vec::<f32>().chunks(4).flat_map(|row| row.iter().rev()).copied().collect();
        let mut count = 0;
        for (image, number) in numbers.to_vec::<f32>().into_iter().enumerate() {
            let is_mirrored = number >= 0.5;
            count += usize::from(is_mirrored);
            let expected = if is_mirrored { &mirror_images } else { &images.to_vec::<f32>() };
            assert_eq!(after[image * 48..][..48], expected[image * 48..][..48]);
        }
        assert!((150..250).contains(&count), "{count}");
        let threshold = Tensor::from_vec::<f32>(vec![0.5, 0.5 - 2f32.powi(-24)], [2, 1, 1, 1], Device::Cpu);
        let two = images.slice(0, 0..2);
        let expected = [&mirror_images[..48], &images.to_vec::<f32>()[48..96]].concat();
        assert_eq!(mirrored(&two, &threshold).to_vec::<f32>(), expected);
    }
}
