//! The Frechet distance between generated and real images in a network's feature space.
//!
//! Features are taken as normally distributed: `d^2 = |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))` (Dowson and Landau
//! 1982). On the features of Inception it is known as FID (Heusel et al. 2017); on any other network it is named after
//! that network, for the numbers have nothing in common.

use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use thiserror::Error;

use crate::spectrum;

/// Rows that are added up at a time, whatever batches they come in: sums depend on their order, and this keeps it.
const BLOCK: usize = 256;

/// Gathers mean and covariance of features, batch by batch. The result does not depend on how features are batched.
#[derive(Clone, Debug)]
pub struct FeatureStream {
    /// Rows that wait until their block is full.
    waiting: Array2<f64>,
    filled: usize,
    count: usize,
    /// Near the mean, so that the products below do not cancel: the mean of the first block.
    origin: Option<Array1<f64>>,
    /// The sum of the features, and of their outer products, both from the origin.
    sum: Array1<f64>,
    products: Array2<f64>,
}

/// Mean and covariance of features.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureStatistics {
    /// The number of samples N.
    pub count: usize,
    /// The mean, `[d]`.
    pub mean: Array1<f64>,
    /// The covariance divided by N - 1, `[d, d]`.
    pub covariance: Array2<f64>,
}

/// Why two sets of features have no Frechet distance.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FrechetError {
    /// The features are of different networks.
    #[error("features of {left} and of {right} numbers cannot be compared: take both from the same network")]
    Dimensions {
        /// The dimension of the first.
        left: usize,
        /// The dimension of the second.
        right: usize,
    },
    /// A covariance needs two samples.
    #[error("a covariance needs at least 2 samples, but there are {count}")]
    TooFewSamples {
        /// The samples there are.
        count: usize,
    },
    /// A mean or covariance is infinite or no number.
    #[error("the features hold values that are no finite numbers: check the network and the images")]
    NotFinite,
}

impl FeatureStream {
    /// A stream of features of `dimension` numbers each.
    pub fn new(dimension: usize) -> Self {
        Self {
            waiting: Array2::zeros((BLOCK, dimension)),
            filled: 0,
            count: 0,
            origin: None,
            sum: Array1::zeros(dimension),
            products: Array2::zeros((dimension, dimension)),
        }
    }

    /// Adds features, one sample a row: `[n, d]`.
    ///
    /// # Panics
    ///
    /// When a row is not of the stream's dimension.
    pub fn extend<T: Copy + Into<f64>>(&mut self, features: ArrayView2<T>) {
        for row in features.rows() {
            self.waiting.row_mut(self.filled).zip_mut_with(&row, |waiting, &x| *waiting = x.into());
            self.filled += 1;
            if self.filled == BLOCK {
                self.add_block();
            }
        }
    }

    /// Mean and covariance of everything that came.
    ///
    /// # Errors
    ///
    /// When fewer than two samples came, or a value is no finite number.
    pub fn finish(mut self) -> Result<FeatureStatistics, FrechetError> {
        self.add_block();
        let count = self.count;
        let Some(origin) = self.origin.filter(|_| count >= 2) else {
            return Err(FrechetError::TooFewSamples { count });
        };
        let mean = self.sum / count as f64;
        let scatter = self.products - outer(&mean, &mean) * count as f64;
        let statistics = FeatureStatistics { count, mean: origin + mean, covariance: scatter / (count - 1) as f64 };
        statistics.require_finite()?;
        Ok(statistics)
    }

    fn add_block(&mut self) {
        if self.filled == 0 {
            return;
        }
        let block = self.waiting.slice(s![..self.filled, ..]);
        let origin = self.origin.get_or_insert_with(|| block.mean_axis(Axis(0)).expect("a block has rows"));
        let block = &block - &*origin;
        self.sum += &block.sum_axis(Axis(0));
        self.products += &block.t().dot(&block);
        self.count += self.filled;
        self.filled = 0;
    }
}

impl FeatureStatistics {
    /// The statistics of the samples of both.
    ///
    /// # Panics
    ///
    /// When the dimensions differ.
    pub fn merged(&self, other: &Self) -> Self {
        let [here, there] = [self.count as f64, other.count as f64];
        let count = self.count + other.count;
        let apart = &other.mean - &self.mean;
        let scatter = &self.covariance * (here - 1.0)
            + &other.covariance * (there - 1.0)
            + outer(&apart, &apart) * (here * there / (here + there));
        Self { count, mean: &self.mean + &apart * (there / (here + there)), covariance: scatter / (count as f64 - 1.0) }
    }

    /// What there is to say against a distance from these statistics: too few samples for their dimension.
    pub fn warning(&self) -> Option<String> {
        let (count, dimension) = (self.count, self.mean.len());
        (count <= dimension).then(|| {
            format!(
                "{count} samples of {dimension} features: the covariance is singular, and the distance is too large"
            )
        })
    }

    fn require_finite(&self) -> Result<(), FrechetError> {
        let finite = self.mean.iter().chain(&self.covariance).all(|x| x.is_finite());
        if finite { Ok(()) } else { Err(FrechetError::NotFinite) }
    }
}

/// The squared Frechet distance between two normal distributions, as FID gives it; 0 for equal ones.
///
/// The trace of `(S1 S2)^(1/2)` is the sum of the roots of the eigenvalues of `F' S2 F` for any `F F' = S1`. The symmetric
/// square root of S1 would do; Cholesky's factor costs a tenth of it and drops the directions in which S1 is singular.
///
/// # Errors
///
/// When the dimensions differ or a value is no finite number.
pub fn frechet_distance(left: &FeatureStatistics, right: &FeatureStatistics) -> Result<f64, FrechetError> {
    let [here, there] = [left, right].map(|statistics| statistics.mean.len());
    if here != there {
        return Err(FrechetError::Dimensions { left: here, right: there });
    }
    left.require_finite()?;
    right.require_finite()?;
    let factor = spectrum::factor(left.covariance.view());
    let common = spectrum::eigenvalues(factor.t().dot(&right.covariance).dot(&factor));
    let apart = &left.mean - &right.mean;
    let traces = left.covariance.diag().sum() + right.covariance.diag().sum();
    // What rounding leaves of an eigenvalue, or of a distance, of 0 may be negative.
    let roots: f64 = common.into_iter().map(|value| value.max(0.0).sqrt()).sum();
    Ok((apart.dot(&apart) + traces - 2.0 * roots).max(0.0))
}

/// `x y'`.
fn outer(x: &Array1<f64>, y: &Array1<f64>) -> Array2<f64> {
    x.view().insert_axis(Axis(1)).dot(&y.view().insert_axis(Axis(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::{assert_abs_diff_eq, assert_relative_eq};
    use ndarray::array;

    fn normal(mean: Array1<f64>, covariance: Array2<f64>) -> FeatureStatistics {
        FeatureStatistics { count: 1000, mean, covariance }
    }

    /// n samples of d features around 1000, as features with a large mean would be.
    fn samples(n: usize, d: usize) -> Array2<f32> {
        Array2::from_shape_fn((n, d), |(i, j)| {
            1000.0 + ((1 + i * 61 + j * 17 + i * j * 7) as f32).sin() * (j + 1) as f32
        })
    }

    fn gathered(features: &Array2<f32>, batch: usize) -> FeatureStatistics {
        let mut stream = FeatureStream::new(features.ncols());
        features.axis_chunks_iter(Axis(0), batch).for_each(|batch| stream.extend(batch));
        stream.finish().unwrap()
    }

    #[test]
    fn closed_forms() {
        let at_zero = normal(Array1::zeros(3), Array2::from_diag(&array![1.0, 4.0, 9.0]));
        let elsewhere = normal(array![1.0, 2.0, 3.0], Array2::from_diag(&array![4.0, 9.0, 16.0]));
        // 1 + 4 + 9 of the means, (2 - 1)^2 + (3 - 2)^2 + (4 - 3)^2 of the deviations.
        assert_relative_eq!(frechet_distance(&at_zero, &elsewhere).unwrap(), 17.0, max_relative = 1e-12);
        assert_relative_eq!(frechet_distance(&elsewhere, &at_zero).unwrap(), 17.0, max_relative = 1e-12);
        assert_abs_diff_eq!(frechet_distance(&elsewhere, &elsewhere).unwrap(), 0.0, epsilon = 1e-12);
        // Covariances that do not commute: in two dimensions tr (AB)^(1/2) = (tr AB + 2 (det AB)^(1/2))^(1/2).
        let [a, b] = [array![[2.0, 1.0], [1.0, 2.0]], array![[5.0, 0.0], [0.0, 1.0]]];
        let expected = 10.0 - 2.0 * (12.0 + 2.0 * 15f64.sqrt()).sqrt();
        let [a, b] = [a, b].map(|covariance| normal(Array1::zeros(2), covariance));
        assert_relative_eq!(frechet_distance(&a, &b).unwrap(), expected, max_relative = 1e-12);
    }

    #[test]
    fn singular_covariances_have_a_distance() {
        // Onto a point, the distance is the mean's and the whole variance.
        let point = normal(Array1::zeros(2), Array2::zeros((2, 2)));
        let line = normal(array![3.0, 0.0], array![[1.0, 1.0], [1.0, 1.0]]);
        assert_relative_eq!(frechet_distance(&point, &line).unwrap(), 11.0, max_relative = 1e-12);
        assert_relative_eq!(frechet_distance(&line, &point).unwrap(), 11.0, max_relative = 1e-12);
        assert_abs_diff_eq!(frechet_distance(&line, &line).unwrap(), 0.0, epsilon = 1e-7);
    }

    #[test]
    fn statistics_are_those_of_two_passes_in_any_batches() {
        let features = samples(700, 6);
        let found = gathered(&features, 700);
        let exact = features.mapv(f64::from);
        let mean = exact.mean_axis(Axis(0)).unwrap();
        let centred = &exact - &mean;
        let covariance = centred.t().dot(&centred) / 699.0;
        assert_eq!(found.count, 700);
        for (x, y) in found.mean.iter().chain(&found.covariance).zip(mean.iter().chain(&covariance)) {
            assert_abs_diff_eq!(x, y, epsilon = 1e-9);
        }
        for batch in [1, 64, 300] {
            assert_eq!(gathered(&features, batch), found, "batches of {batch}");
        }
    }

    #[test]
    fn merged_statistics_are_those_of_all_samples() {
        let features = samples(500, 4);
        let [first, second] = [s![..123, ..], s![123.., ..]].map(|rows| gathered(&features.slice(rows).to_owned(), 50));
        let (merged, all) = (first.merged(&second), gathered(&features, 50));
        assert_eq!(merged.count, 500);
        for (x, y) in merged.mean.iter().chain(&merged.covariance).zip(all.mean.iter().chain(&all.covariance)) {
            assert_abs_diff_eq!(x, y, epsilon = 1e-9);
        }
    }

    #[test]
    fn few_samples_are_warned_of_and_nonsense_refused() {
        assert!(gathered(&samples(6, 6), 6).warning().unwrap().starts_with("6 samples of 6 features"));
        assert_eq!(gathered(&samples(7, 6), 7).warning(), None);

        let mut stream = FeatureStream::new(2);
        stream.extend(array![[1.0, 2.0]].view());
        assert_eq!(stream.clone().finish(), Err(FrechetError::TooFewSamples { count: 1 }));
        stream.extend(array![[f64::NAN, 0.0]].view());
        assert_eq!(stream.finish(), Err(FrechetError::NotFinite));
        let [two, three] = [2, 3].map(|d| normal(Array1::zeros(d), Array2::eye(d)));
        assert_eq!(frechet_distance(&two, &three), Err(FrechetError::Dimensions { left: 2, right: 3 }));
    }
}
