//! The Frechet distance between generated and real images in a network's feature space.
//!
//! Features are assumed to be normally distributed: `d^2 = |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))` (Dowson and
//! Landau 1982). On the features of Inception it is known as FID (Heusel et al. 2017). On any other network it is
//! named after that network, because the numbers are not comparable.

use ndarray::Array2;

use crate::features::{FeatureError, FeatureStatistics, check_dimensions};
use crate::products::{as_faer, product};
use crate::spectrum::{NoEigenvalues, eigenvalues, factor};

/// Returns the squared Frechet distance between two normal distributions, as FID defines it; 0 for equal ones.
///
/// The trace of `(S1 S2)^(1/2)` is the sum of the roots of the eigenvalues of `F' S2 F` for any `F F' = S1`: the
/// symmetric square root of S1, or its columns in any basis. S1 is the covariance of the set with fewer samples,
/// whose rank is lower. Directions in which it is singular are left out, because rounding would give each a small
/// root.
///
/// # Errors
///
/// When the dimensions differ or a value is not finite.
pub fn frechet_distance(left: &FeatureStatistics, right: &FeatureStatistics) -> Result<f64, FeatureError> {
    check_dimensions(left.mean.len(), right.mean.len())?;
    left.require_finite()?;
    right.require_finite()?;
    let count = |statistics: &FeatureStatistics| statistics.count.unwrap_or(usize::MAX);
    let (few, many) = if count(left) <= count(right) { (left, right) } else { (right, left) };
    let common =
        common_eigenvalues(&few.covariance, &many.covariance).map_err(|NoEigenvalues| FeatureError::NotFinite)?;
    let apart = &left.mean - &right.mean;
    let traces = left.covariance.diag().sum() + right.covariance.diag().sum();
    // Rounding may make an eigenvalue or a distance of 0 slightly negative.
    let roots: f64 = common.into_iter().map(|value| value.max(0.0).sqrt()).sum();
    Ok((apart.dot(&apart) + traces - 2.0 * roots).max(0.0))
}

/// Returns a warning if the generated or the real images are too few for their features.
pub fn frechet_warning(real: &FeatureStatistics, generated: &FeatureStatistics) -> Option<String> {
    let sides = [("generated", generated), ("real", real)];
    let texts = sides.map(|(side, statistics)| statistics.warning().map(|text| format!("{side} images: {text}")));
    let texts: Vec<_> = texts.into_iter().flatten().collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// Returns the non-zero eigenvalues of `a b`, for positive semi-definite matrices.
fn common_eigenvalues(a: &Array2<f64>, b: &Array2<f64>) -> Result<Vec<f64>, NoEigenvalues> {
    let factor = factor(a)?;
    let product = product(as_faer(&factor).transpose(), as_faer(&product(as_faer(b), as_faer(&factor))));
    eigenvalues(&product)
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::{assert_abs_diff_eq, assert_relative_eq};
    use ndarray::{Array1, array};

    fn normal(mean: Array1<f64>, covariance: Array2<f64>) -> FeatureStatistics {
        FeatureStatistics { count: Some(1000), mean, covariance }
    }

    #[test]
    fn closed_forms() {
        let at_zero = normal(Array1::zeros(3), Array2::from_diag(&array![1.0, 4.0, 9.0]));
        let elsewhere = normal(array![1.0, 2.0, 3.0], Array2::from_diag(&array![4.0, 9.0, 16.0]));
        // The means contribute 1 + 4 + 9, and the deviations (2 - 1)^2 + (3 - 2)^2 + (4 - 3)^2.
        assert_relative_eq!(frechet_distance(&at_zero, &elsewhere).unwrap(), 17.0, max_relative = 1e-12);
        assert_relative_eq!(frechet_distance(&elsewhere, &at_zero).unwrap(), 17.0, max_relative = 1e-12);
        assert_abs_diff_eq!(frechet_distance(&elsewhere, &elsewhere).unwrap(), 0.0, epsilon = 1e-12);
        // These covariances do not commute. In two dimensions tr (AB)^(1/2) = (tr AB + 2 (det AB)^(1/2))^(1/2).
        let [a, b] = [array![[2.0, 1.0], [1.0, 2.0]], array![[5.0, 0.0], [0.0, 1.0]]];
        let expected = 10.0 - 2.0 * (12.0 + 2.0 * 15f64.sqrt()).sqrt();
        let [a, b] = [a, b].map(|covariance| normal(Array1::zeros(2), covariance));
        assert_relative_eq!(frechet_distance(&a, &b).unwrap(), expected, max_relative = 1e-12);
    }

    #[test]
    fn singular_covariances_have_a_distance() {
        // The distance to a point is that of the means plus the whole variance.
        let point = normal(Array1::zeros(2), Array2::zeros((2, 2)));
        let line = normal(array![3.0, 0.0], array![[1.0, 1.0], [1.0, 1.0]]);
        assert_relative_eq!(frechet_distance(&point, &line).unwrap(), 11.0, max_relative = 1e-12);
        assert_relative_eq!(frechet_distance(&line, &point).unwrap(), 11.0, max_relative = 1e-12);
        assert_abs_diff_eq!(frechet_distance(&line, &line).unwrap(), 0.0, epsilon = 1e-7);
    }

    #[test]
    fn closed_form_at_the_size_of_inception() {
        let [here, there] = [0.0, 1.0].map(|mean| normal(Array1::from_elem(2048, mean), Array2::eye(2048)));
        assert_relative_eq!(frechet_distance(&here, &there).unwrap(), 2048.0, max_relative = 1e-12);
    }

    #[test]
    fn nonsense_is_refused() {
        let [two, three] = [2, 3].map(|d| normal(Array1::zeros(d), Array2::eye(d)));
        assert_eq!(frechet_distance(&two, &three), Err(FeatureError::Dimensions { left: 2, right: 3 }));
        let infinite = normal(array![f64::INFINITY, 0.0], Array2::eye(2));
        assert_eq!(frechet_distance(&two, &infinite), Err(FeatureError::NotFinite));
    }
}
