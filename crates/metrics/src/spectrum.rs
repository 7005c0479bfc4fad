//! Square roots and eigenvalues of symmetric matrices in f64, for covariances of up to a few thousand features.
//!
//! They run on one thread, so results do not depend on the number of threads.

use faer::Side;
use ndarray::Array2;

use crate::products::as_faer;

/// The eigenvalues could not be computed, for example because the matrix holds infinities.
#[derive(Debug)]
pub(crate) struct NoEigenvalues;

/// Returns a matrix `F`, n x r, with `F F'` equal to the positive semi-definite `a` and r its numerical rank: the
/// columns of the symmetric square root in the basis of the eigenvectors, without those whose eigenvalues rounding
/// alone explains.
pub(crate) fn factor(a: &Array2<f64>) -> Result<Array2<f64>, NoEigenvalues> {
    let eigen = as_faer(a).self_adjoint_eigen(Side::Lower).map_err(|_| NoEigenvalues)?;
    let (values, vectors) = (eigen.S().column_vector(), eigen.U());
    let n = a.nrows();
    let largest = values.iter().fold(0.0, |largest: f64, &value| largest.max(value));
    let kept: Vec<usize> = (0..n).filter(|&i| values[i] > n as f64 * f64::EPSILON * largest).collect();
    Ok(Array2::from_shape_fn((n, kept.len()), |(i, j)| vectors[(i, kept[j])] * values[kept[j]].sqrt()))
}

/// Returns the eigenvalues of a symmetric matrix, in ascending order.
pub(crate) fn eigenvalues(a: &Array2<f64>) -> Result<Vec<f64>, NoEigenvalues> {
    as_faer(a).self_adjoint_eigenvalues(Side::Lower).map_err(|_| NoEigenvalues)
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;
    use ndarray::Array1;

    /// Makes a matrix of numbers without a pattern.
    fn scattered(rows: usize, columns: usize) -> Array2<f64> {
        Array2::from_shape_fn((rows, columns), |(i, j)| ((1 + i * 37 + j * 101 + i * j * 13) as f64).sin())
    }

    #[test]
    fn a_rotated_spectrum_is_found() {
        // A reflection preserves the eigenvalues, here including a double one, zeros and negative ones.
        let spectrum = [-3.0, -0.5, 0.0, 0.0, 1e-6, 2.0, 2.0, 70.0];
        let v = scattered(8, 1);
        let reflection = Array2::eye(8) - v.dot(&v.t()) * (2.0 / v.iter().map(|x| x * x).sum::<f64>());
        let a = reflection.dot(&Array2::from_diag(&Array1::from(spectrum.to_vec()))).dot(&reflection);
        for (value, expected) in eigenvalues(&a).unwrap().into_iter().zip(spectrum) {
            assert_abs_diff_eq!(value, expected, epsilon = 1e-13);
        }
    }

    #[test]
    fn small_matrices_are_no_special_case() {
        assert!(eigenvalues(&Array2::zeros((0, 0))).unwrap().is_empty());
        assert_abs_diff_eq!(eigenvalues(&Array2::from_elem((1, 1), -4.0)).unwrap()[0], -4.0, epsilon = 1e-14);
        assert_eq!(eigenvalues(&Array2::zeros((3, 3))).unwrap(), [0.0; 3]);
    }

    #[test]
    fn a_factor_gives_the_matrix_back_at_its_rank() {
        for rank in [0, 3, 12] {
            let thin = scattered(12, rank);
            let a = thin.dot(&thin.t());
            let factor = factor(&a).unwrap();
            assert_eq!(factor.dim(), (12, rank));
            for (x, y) in factor.dot(&factor.t()).iter().zip(&a) {
                assert_abs_diff_eq!(x, y, epsilon = 1e-12);
            }
        }
    }
}
