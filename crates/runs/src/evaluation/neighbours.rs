//! The nearest training images of generated ones, which show whether the generator makes new images or repeats those
//! it learned.

use mergan_datasets::Labelled;
use mergan_record::{ClassNeighbours, Neighbours};
use ndarray::{Array4, ArrayView3, ArrayView4, Axis, Zip, concatenate};
use rayon::prelude::*;

use super::{Evaluation, Scored};
use crate::error::Error;

/// The number of images of each class measured on either side.
const IMAGES: usize = 50;
/// The number of training images in memory at a time.
const SLAB: usize = 1000;
/// The number of images of each class that are shown.
const SHOWN: usize = 5;

/// The mean distances, and a row of images for each class: generated ones, each followed by its nearest training
/// image.
pub(super) struct Found {
    pub(super) neighbours: Neighbours,
    pub(super) rows: Vec<Array4<u8>>,
}

impl Evaluation<'_> {
    /// Finds the nearest training image of the same class, by pixels.
    ///
    /// # Errors
    /// When a real image cannot be read.
    pub(super) fn neighbours(&self, scored: &Scored) -> Result<Found, Error> {
        let classes = scored.trained.usage.classes.iter().zip(&scored.images);
        let of_class = |(&class, images): (&usize, &Array4<u8>)| {
            let (train, test) = (self.data.train.of_class(class), self.data.test.of_class(class));
            let generated = nearest(images.view(), &train)?;
            let (_, c, h, w) = images.dim();
            let places: Vec<usize> = generated.iter().take(SHOWN).map(|&(place, _)| place).collect();
            let nearest_ones = train.select(&places);
            let real = nearest_ones.images()?;
            let shown = (0..places.len()).flat_map(|i| {
                [images.slice_axis(Axis(0), (i..i + 1).into()), real.slice_axis(Axis(0), (i..i + 1).into())]
            });
            let row = match shown.collect::<Vec<_>>().as_slice() {
                // A class may have no images.
                [] => Array4::zeros((1, c, h, w)),
                shown => concatenate(Axis(0), shown).expect("generated images are as large as real ones"),
            };
            let test = test.slabs(IMAGES).next().map_or(Ok(vec![]), |test| nearest(test.images()?.view(), &train))?;
            Ok((ClassNeighbours { class, generated: mean(&generated), test: mean(&test) }, row))
        };
        let (classes, rows) = classes.map(of_class).collect::<Result<Vec<_>, Error>>()?.into_iter().unzip();
        Ok(Found { neighbours: Neighbours { images: IMAGES, classes }, rows })
    }
}

/// Finds, for each of the first images, the nearest one in `among` and the root mean square of the differences.
fn nearest(images: ArrayView4<u8>, among: &Labelled) -> Result<Vec<(usize, f64)>, Error> {
    let images: Vec<_> = images.outer_iter().take(IMAGES).collect();
    let mut found = vec![(0, u64::MAX); images.len()];
    for (number, slab) in among.slabs(SLAB).enumerate() {
        let slab = slab.images()?;
        found.par_iter_mut().zip(&images).for_each(|(found, image)| {
            let squares = slab.outer_iter().map(|other| squared_difference(image, &other));
            let places = (number * SLAB..).zip(squares);
            *found = places.fold(*found, |best, next| if next.1 < best.1 { next } else { best });
        });
    }
    let distance = |(image, (place, square)): (&ArrayView3<u8>, (usize, u64))| {
        (place, (square as f64 / image.len() as f64).sqrt() / 127.5)
    };
    Ok(images.iter().zip(found).map(distance).collect())
}

fn squared_difference(left: &ArrayView3<u8>, right: &ArrayView3<u8>) -> u64 {
    Zip::from(left).and(right).fold(0, |sum, &left, &right| sum + u64::from(left.abs_diff(right)).pow(2))
}

/// Returns the mean, or `None` for no values.
fn mean(found: &[(usize, f64)]) -> Option<f64> {
    (!found.is_empty()).then(|| found.iter().map(|(_, distance)| distance).sum::<f64>() / found.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_image_is_found_with_its_distance() {
        let among = Array4::from_shape_fn((3, 1, 2, 2), |(n, ..)| 100 * n as u8);
        let images = Array4::from_shape_fn((2, 1, 2, 2), |(n, ..)| if n == 0 { 110 } else { 200 });
        let found = nearest(images.view(), &Labelled::new(among, vec![0; 3]).unwrap()).unwrap();
        assert_eq!(found.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [1, 2]);
        assert!((found[0].1 - 10.0 / 127.5).abs() < 1e-12 && found[1].1 == 0.0);
        assert_eq!((mean(&[]), mean(&[(0, 1.0), (4, 3.0)])), (None, Some(2.0)));
    }
}
