//! Features of images: their mean and covariance, and the errors that they may cause.

use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use thiserror::Error;

use crate::products::{as_faer, product};

/// The number of rows summed at a time, whatever the batches. Sums depend on their order, and this keeps the order
/// fixed.
const BLOCK: usize = 256;

/// Accumulates the mean and covariance of features, batch by batch. The result does not depend on how features are
/// batched.
#[derive(Clone, Debug)]
pub struct FeatureStream {
    /// Rows that wait until their block is full.
    waiting: Array2<f64>,
    filled: usize,
    count: usize,
    /// A point near the mean, namely the mean of the first block, so that the products below do not cancel.
    origin: Option<Array1<f64>>,
    /// The sum of the features and of their outer products, both relative to the origin.
    sum: Array1<f64>,
    products: Array2<f64>,
}

/// The mean and covariance of features.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureStatistics {
    /// The number of samples N; unknown for statistics from a file that does not state it.
    pub count: Option<usize>,
    /// The mean, `[d]`.
    pub mean: Array1<f64>,
    /// The covariance divided by N - 1, `[d, d]`.
    pub covariance: Array2<f64>,
}

/// Why sets of features cannot be compared.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FeatureError {
    /// The features come from different networks.
    #[error("features of {left} and of {right} numbers cannot be compared: take both from the same network")]
    Dimensions {
        /// The dimension of the first.
        left: usize,
        /// The dimension of the second.
        right: usize,
    },
    /// There are too few samples.
    #[error("{count} samples are too few, it takes at least {least}: give more images")]
    TooFewSamples {
        /// The number of samples.
        count: usize,
        /// The number of samples needed.
        least: usize,
    },
    /// A feature, a mean or a covariance is infinite or NaN.
    #[error("the features hold values that are no finite numbers: check the network and the images")]
    NotFinite,
}

/// Turns an error about too few samples into `None`.
///
/// # Errors
///
/// Every other error.
pub fn if_enough<T>(found: Result<T, FeatureError>) -> Result<Option<T>, FeatureError> {
    match found {
        Err(FeatureError::TooFewSamples { .. }) => Ok(None),
        found => found.map(Some),
    }
}

impl FeatureStream {
    /// Creates a stream of features of `dimension` numbers each.
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

    /// Adds features, one sample per row: `[n, d]`.
    ///
    /// # Panics
    ///
    /// When a row does not have the stream's dimension.
    pub fn extend<T: Copy + Into<f64>>(&mut self, features: ArrayView2<T>) {
        for row in features.rows() {
            self.waiting.row_mut(self.filled).zip_mut_with(&row, |waiting, &x| *waiting = x.into());
            self.filled += 1;
            if self.filled == BLOCK {
                self.add_block();
            }
        }
    }

    /// Returns the mean and covariance of all features added.
    ///
    /// # Errors
    ///
    /// When there were fewer than two samples, or a value is not finite.
    pub fn finish(mut self) -> Result<FeatureStatistics, FeatureError> {
        self.add_block();
        let count = self.count;
        let Some(origin) = self.origin.filter(|_| count >= 2) else {
            return Err(FeatureError::TooFewSamples { count, least: 2 });
        };
        let mean = self.sum / count as f64;
        let scatter = self.products - outer(&mean, &mean) * count as f64;
        let statistics =
            FeatureStatistics { count: Some(count), mean: origin + mean, covariance: scatter / (count - 1) as f64 };
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
        self.products += &product(as_faer(&block).transpose(), as_faer(&block));
        self.count += self.filled;
        self.filled = 0;
    }
}

impl FeatureStatistics {
    /// Combines the statistics of two sets of samples.
    ///
    /// # Panics
    ///
    /// When the dimensions differ, or a number of samples is unknown.
    pub fn merged(&self, other: &Self) -> Self {
        let counts =
            [self.count, other.count].map(|count| count.expect("statistics that say of how many samples they are"));
        let [here, there] = counts.map(|count| count as f64);
        let count = here + there;
        let apart = &other.mean - &self.mean;
        let scatter = &self.covariance * (here - 1.0)
            + &other.covariance * (there - 1.0)
            + outer(&apart, &apart) * (here * there / count);
        Self {
            count: Some(counts.into_iter().sum()),
            mean: &self.mean + &apart * (there / count),
            covariance: scatter / (count - 1.0),
        }
    }

    /// Returns a warning if distances from these statistics are unreliable because there are too few samples for the
    /// dimension.
    pub fn warning(&self) -> Option<String> {
        let dimension = self.mean.len();
        let count = self.count.filter(|&count| count <= dimension)?;
        Some(format!(
            "{count} samples of {dimension} features: the covariance is singular, and the distance is too large"
        ))
    }

    /// Refuses statistics that contain infinities or NaN.
    pub(crate) fn require_finite(&self) -> Result<(), FeatureError> {
        let finite = self.mean.iter().chain(&self.covariance).all(|x| x.is_finite());
        if finite { Ok(()) } else { Err(FeatureError::NotFinite) }
    }
}

/// Checks that two sets of features, one sample per row, have the same dimension, at least `least` samples each, and
/// only finite values.
pub(crate) fn check(left: ArrayView2<f64>, right: ArrayView2<f64>, least: usize) -> Result<(), FeatureError> {
    check_dimensions(left.ncols(), right.ncols())?;
    for features in [left, right] {
        let count = features.nrows();
        if count < least {
            return Err(FeatureError::TooFewSamples { count, least });
        }
        if !features.iter().all(|x| x.is_finite()) {
            return Err(FeatureError::NotFinite);
        }
    }
    Ok(())
}

/// Checks that features have the same dimension.
pub(crate) fn check_dimensions(left: usize, right: usize) -> Result<(), FeatureError> {
    if left == right { Ok(()) } else { Err(FeatureError::Dimensions { left, right }) }
}

/// Computes the outer product `x y'`.
fn outer(x: &Array1<f64>, y: &Array1<f64>) -> Array2<f64> {
    x.view().insert_axis(Axis(1)).dot(&y.view().insert_axis(Axis(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;
    use ndarray::array;

    /// Makes n samples of d features around 1000, to imitate features with a large mean.
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
    fn statistics_are_those_of_two_passes_in_any_batches() {
        let features = samples(700, 6);
        let found = gathered(&features, 700);
        let exact = features.mapv(f64::from);
        let mean = exact.mean_axis(Axis(0)).unwrap();
        let centred = &exact - &mean;
        let covariance = centred.t().dot(&centred) / 699.0;
        assert_eq!(found.count, Some(700));
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
        assert_eq!(merged.count, Some(500));
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
        assert_eq!(stream.clone().finish(), Err(FeatureError::TooFewSamples { count: 1, least: 2 }));
        stream.extend(array![[f64::NAN, 0.0]].view());
        assert_eq!(stream.finish(), Err(FeatureError::NotFinite));
    }
}
