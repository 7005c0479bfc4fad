//! Metrics of how the neighbourhoods of real and of generated samples cover each other. They measure quality and
//! variety separately, which a single distance mixes.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use crate::features::{FeatureError, check};
use crate::products::row_products;

/// Precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020). All but the density lie
/// between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbourhoods {
    /// The share of generated samples inside the neighbourhood of some real sample: quality.
    pub precision: f64,
    /// The share of real samples inside the neighbourhood of some generated sample: variety.
    pub recall: f64,
    /// The number of real samples' neighbourhoods that a generated sample lies in, divided by k. It measures quality
    /// without being raised by outliers among the real samples, and exceeds 1 if generated samples crowd where real
    /// ones are dense.
    pub density: f64,
    /// The share of real samples in whose neighbourhood a generated one lies. It measures variety without being
    /// raised by outliers among the generated samples.
    pub coverage: f64,
}

/// The rank of the neighbour that bounds a neighbourhood for precision and recall.
pub const MANIFOLD_NEIGHBOURS: usize = 3;
/// The rank of the neighbour that bounds a neighbourhood for density and coverage.
pub const DENSITY_NEIGHBOURS: usize = 5;

impl Neighbourhoods {
    /// Measures two sets of features, one sample per row. A neighbourhood of a sample is what lies nearer than the
    /// k-th nearest other sample of its own set; k is [`MANIFOLD_NEIGHBOURS`] or [`DENSITY_NEIGHBOURS`].
    ///
    /// # Errors
    ///
    /// When a set has no more than [`DENSITY_NEIGHBOURS`] samples, the dimensions differ or a value is not finite.
    pub fn of(real: ArrayView2<f64>, generated: ArrayView2<f64>) -> Result<Self, FeatureError> {
        check(real, generated, DENSITY_NEIGHBOURS + 1)?;
        // The features are centred because squared distances computed from products cancel least around 0.
        let origin = real.mean_axis(Axis(0)).expect("there are samples");
        let [real, generated] = [real, generated].map(|features| Samples::new(&features - &origin));
        let (of_real, of_generated) = (real.radii(), generated.radii());
        let parts = row_products(&generated.features, &real.features, |first, products| {
            let mut part = Part {
                precise: 0,
                dense: 0,
                recalled: vec![false; products.ncols()],
                covered: vec![false; products.ncols()],
            };
            for (row, i) in products.rows().into_iter().zip(first..) {
                let mut inside_some = false;
                for (j, &product) in row.iter().enumerate() {
                    let distance = generated.squared_distance(i, &real, j, product);
                    inside_some |= distance < of_real[j].manifold;
                    part.recalled[j] |= distance < of_generated[i].manifold;
                    let inside = distance < of_real[j].density;
                    part.dense += usize::from(inside);
                    part.covered[j] |= inside;
                }
                part.precise += usize::from(inside_some);
            }
            part
        });
        let count = |of: fn(&Part) -> usize| parts.iter().map(of).sum::<usize>() as f64;
        let any = |of: fn(&Part) -> &[bool]| {
            let reached = |j: &usize| parts.iter().any(|part| of(part)[*j]);
            (0..real.count()).filter(reached).count() as f64 / real.count() as f64
        };
        Ok(Neighbourhoods {
            precision: count(|part| part.precise) / generated.count() as f64,
            recall: any(|part| &part.recalled),
            density: count(|part| part.dense) / (DENSITY_NEIGHBOURS * generated.count()) as f64,
            coverage: any(|part| &part.covered),
        })
    }
}

/// The contribution of some generated samples.
struct Part {
    precise: usize,
    dense: usize,
    /// Whether each real sample was recalled.
    recalled: Vec<bool>,
    covered: Vec<bool>,
}

/// The squared radii of a sample's neighbourhoods.
struct Radii {
    manifold: f64,
    density: f64,
}

/// Features and their squared norms.
struct Samples {
    features: Array2<f64>,
    squares: Array1<f64>,
}

impl Samples {
    fn new(features: Array2<f64>) -> Self {
        let squares = features.rows().into_iter().map(|row| row.dot(&row)).collect();
        Samples { features, squares }
    }

    fn count(&self) -> usize {
        self.squares.len()
    }

    /// Returns the squared distance from sample `i` to sample `j` of `others`, given their scalar product. If that
    /// leaves few significant digits, the distance is computed from the samples themselves, so that equal ones are at
    /// 0.
    fn squared_distance(&self, i: usize, others: &Self, j: usize, product: f64) -> f64 {
        const CANCELLED: f64 = 1e-6;
        let squares = self.squares[i] + others.squares[j];
        let distance = squares - 2.0 * product;
        if distance > CANCELLED * squares {
            return distance;
        }
        let pairs = self.features.row(i).into_iter().zip(others.features.row(j));
        pairs.map(|(x, y)| (x - y).powi(2)).sum()
    }

    fn radii(&self) -> Vec<Radii> {
        let blocks = row_products(&self.features, &self.features, |first, products| {
            let radii = products.rows().into_iter().zip(first..).map(|(row, i)| {
                let distance = |j: usize| self.squared_distance(i, self, j, row[j]);
                // The sample itself is excluded, so that the k-th distance is that of the k-th neighbour.
                let mut distances: Vec<f64> = (0..self.count()).filter(|&j| j != i).map(distance).collect();
                let (nearer, density, _) = distances.select_nth_unstable_by(DENSITY_NEIGHBOURS - 1, f64::total_cmp);
                let density = *density;
                nearer.sort_unstable_by(f64::total_cmp);
                Radii { manifold: nearer[MANIFOLD_NEIGHBOURS - 1], density }
            });
            radii.collect::<Vec<_>>()
        });
        blocks.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::s;

    /// Makes samples on a line at 0, 1, 2, ..., scaled and moved.
    fn line(count: usize, scale: f64, shift: f64) -> Array2<f64> {
        Array2::from_shape_fn((count, 2), |(i, j)| if j == 0 { scale * i as f64 + shift } else { 3.0 })
    }

    #[test]
    fn by_hand() {
        // The squared radii at the third neighbour are 9 at the ends and 4 elsewhere; at the fifth they are 25, 16,
        // 9, 9, 16, 25.
        let real = line(6, 1.0, 0.0);
        // The squared radii of the generated samples at 5.5, 7.5, ..., 15.5 are 36, 16, 16, ...; only the first lies
        // near real ones.
        let generated = line(6, 2.0, 5.5);
        let found = Neighbourhoods::of(real.view(), generated.view()).unwrap();
        // 5.5 is within 2 of 4 and within 3 of 5; 7.5 is within 3 of 5.
        assert_eq!(found.precision, 2.0 / 6.0);
        // The real samples 0 to 5 are 5.5 to 0.5 away from 5.5, whose radius is 6.
        assert_eq!(found.recall, 1.0);
        // The sample 5.5 is less than 5 away from 5, less than 4 from 4 and less than 3 from 3, but not less than 3
        // from 2, 4 from 1 or 5 from 0. The sample 7.5 is less than 5 away from 5 and less than 4 from 4; 9.5 is less
        // than 5 away from 5.
        assert_eq!(found.density, 6.0 / 30.0);
        assert_eq!(found.coverage, 3.0 / 6.0);
    }

    #[test]
    fn a_collapsed_generator_is_precise_and_covers_nothing_and_not_the_other_way_round() {
        let real = Array2::from_shape_fn((60, 4), |(i, j)| ((1 + i * 37 + j * 101 + i * j * 13) as f64).sin());
        let mut collapsed = real.clone();
        collapsed.assign(&real.slice(s![7..8, ..]).broadcast((60, 4)).unwrap());
        let found = Neighbourhoods::of(real.view(), collapsed.view()).unwrap();
        assert_eq!((found.precision, found.recall), (1.0, 0.0));
        assert!(found.density > 0.9 && found.coverage < 0.2, "{found:?}");
        let swapped = Neighbourhoods::of(collapsed.view(), real.view()).unwrap();
        assert_eq!((swapped.precision, swapped.recall), (0.0, 1.0));
    }

    #[test]
    fn few_samples_are_refused() {
        let error = Neighbourhoods::of(line(5, 1.0, 0.0).view(), line(9, 1.0, 0.0).view()).unwrap_err();
        assert_eq!(error, FeatureError::TooFewSamples { count: 5, least: 6 });
    }
}
