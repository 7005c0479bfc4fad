//! The kernel distance between features of generated and of real images: the squared maximum mean discrepancy under
//! the kernel `(x'y / d + 1)^3`, by its unbiased estimator (Binkowski et al. 2018). On the features of Inception it
//! is known as KID.

use ndarray::{ArrayView2, Axis};

use crate::features::{FeatureError, check};
use crate::products::row_products;

/// The mean and spread of a kernel distance over subsets of the samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KernelDistance {
    /// The mean over the subsets.
    pub mean: f64,
    /// Their population standard deviation (the divisor is their number), which tells how reliable the mean is.
    pub deviation: f64,
}

impl KernelDistance {
    /// Computes the distance over subsets, each given by the indices of its real and of its generated samples.
    /// Features have one sample per row.
    ///
    /// # Errors
    ///
    /// When a subset has fewer than two samples, the dimensions differ or a value is not finite.
    ///
    /// # Panics
    ///
    /// When an index is out of range, or there are no subsets.
    pub fn over_subsets(
        real: ArrayView2<f64>,
        generated: ArrayView2<f64>,
        subsets: &[[Vec<usize>; 2]],
    ) -> Result<Self, FeatureError> {
        let distance = |[of_real, of_generated]: &[Vec<usize>; 2]| {
            let real = real.select(Axis(0), of_real);
            let generated = generated.select(Axis(0), of_generated);
            kernel_distance(real.view(), generated.view())
        };
        let distances = subsets.iter().map(distance).collect::<Result<Vec<_>, _>>()?;
        assert!(!distances.is_empty(), "a kernel distance over no subset");
        let count = distances.len() as f64;
        let mean = distances.iter().sum::<f64>() / count;
        let variance = distances.iter().map(|distance| (distance - mean).powi(2)).sum::<f64>() / count;
        Ok(KernelDistance { mean, deviation: variance.sqrt() })
    }
}

/// Computes the kernel distance of all samples, one per row. The sets may differ in size. As the estimator is
/// unbiased, it may be negative.
///
/// # Errors
///
/// When a set has fewer than two samples, the dimensions differ or a value is not finite.
pub fn kernel_distance(real: ArrayView2<f64>, generated: ArrayView2<f64>) -> Result<f64, FeatureError> {
    check(real, generated, 2)?;
    let (x, y) = (real.as_standard_layout().into_owned(), generated.as_standard_layout().into_owned());
    let dimension = x.ncols() as f64;
    let kernel = |product: f64| (product / dimension + 1.0).powi(3);
    // A sample is not compared with itself.
    let within = |x| {
        let sums = row_products(x, x, |first, products| {
            let rows = products.rows().into_iter().enumerate();
            rows.map(|(i, row)| row.iter().map(|&product| kernel(product)).sum::<f64>() - kernel(row[first + i]))
                .sum::<f64>()
        });
        let count = x.nrows() as f64;
        sums.iter().sum::<f64>() / (count * (count - 1.0))
    };
    let between = row_products(&x, &y, |_, products| products.iter().map(|&product| kernel(product)).sum::<f64>());
    let between = between.iter().sum::<f64>() / (x.nrows() as f64 * y.nrows() as f64);
    Ok(within(&x) + within(&y) - 2.0 * between)
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use ndarray::{Array2, array};

    #[test]
    fn by_hand() {
        // With one feature, k(x, y) = (xy + 1)^3.
        let (x, y) = (array![[0.0], [1.0]], array![[1.0], [2.0], [-1.0]]);
        let within_x = 1.0;
        let within_y = (27.0 + 0.0 - 1.0) / 3.0;
        let between = (3.0 + 8.0 + 27.0 + 0.0) / 6.0;
        let expected = within_x + within_y - 2.0 * between;
        assert_relative_eq!(kernel_distance(x.view(), y.view()).unwrap(), expected, max_relative = 1e-14);
    }

    #[test]
    fn subsets_have_a_mean_and_a_spread() {
        let samples = |shift: usize| Array2::from_shape_fn((40, 3), |(i, j)| ((i * 7 + j * 5 + shift) % 11) as f64);
        let (x, y) = (samples(0), samples(4));
        let halves = [[(0..20).collect(), (0..20).collect()], [(20..40).collect(), (20..40).collect()]];
        let found = KernelDistance::over_subsets(x.view(), y.view(), &halves).unwrap();
        let [a, b] = [0..20, 20..40].map(|rows| {
            let of = |x: &Array2<f64>| x.select(Axis(0), &rows.clone().collect::<Vec<_>>());
            kernel_distance(of(&x).view(), of(&y).view()).unwrap()
        });
        assert_relative_eq!(found.mean, (a + b) / 2.0, max_relative = 1e-12);
        assert_relative_eq!(found.deviation, (a - b).abs() / 2.0, max_relative = 1e-9);
    }

    #[test]
    fn nonsense_is_refused() {
        let distance = |x: Array2<f64>, y: Array2<f64>| kernel_distance(x.view(), y.view()).unwrap_err();
        let two = || array![[1.0, 2.0], [3.0, 4.0]];
        assert_eq!(distance(two(), array![[1.0, 2.0]]), FeatureError::TooFewSamples { count: 1, least: 2 });
        assert_eq!(distance(two(), array![[1.0], [2.0]]), FeatureError::Dimensions { left: 2, right: 1 });
        assert_eq!(distance(two(), array![[1.0, 2.0], [f64::NAN, 4.0]]), FeatureError::NotFinite);
    }
}
