//! Factors and eigenvalues of symmetric matrices in f64, for covariances of up to a few thousand features.
//!
//! Only the lower triangle of an argument is read. Nothing here iterates towards convergence that may fail: the
//! eigenvalues of the tridiagonal form are bracketed.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, s};

/// A matrix `F`, n x r, with `F F'` equal to the positive semi-definite `a` and r its numerical rank: Cholesky's
/// factorisation with diagonal pivoting (Higham 1990), rows in the order of `a`.
pub(crate) fn factor(a: ArrayView2<f64>) -> Array2<f64> {
    let n = a.nrows();
    let mut factor = Array2::zeros((n, n));
    let mut left = a.diag().to_owned();
    let tolerance = n as f64 * f64::EPSILON * left.fold(0.0, |largest: f64, &x| largest.max(x));
    for rank in 0..n {
        let pivot = (0..n).max_by(|&i, &j| left[i].total_cmp(&left[j])).expect("n is more than rank");
        if left[pivot] <= tolerance {
            return factor.slice_move(s![.., ..rank]);
        }
        let root = left[pivot].sqrt();
        let done = factor.slice(s![.., ..rank]);
        let explained = done.dot(&done.row(pivot));
        let column: Array1<f64> = (0..n)
            .map(|i| if left[i] == 0.0 { 0.0 } else { (a[[i.max(pivot), i.min(pivot)]] - explained[i]) / root })
            .collect();
        left.zip_mut_with(&column, |left, x| *left = (*left - x * x).max(0.0));
        // Exactly: a row that has had its turn takes part no more.
        left[pivot] = 0.0;
        factor.column_mut(rank).assign(&column);
    }
    factor
}

/// The eigenvalues of a symmetric matrix of finite numbers, in ascending order, each to about n eps times the largest.
pub(crate) fn eigenvalues(a: Array2<f64>) -> Vec<f64> {
    let (diagonal, beside) = tridiagonal(a);
    let squares: Vec<f64> = beside.iter().map(|x| x * x).collect();
    // Gershgorin: every eigenvalue is this near to 0.
    let reach = |i: usize| [i.checked_sub(1), Some(i)].into_iter().flatten().filter_map(|k| beside.get(k));
    let bound =
        (0..diagonal.len()).map(|i| diagonal[i].abs() + reach(i).map(|x| x.abs()).sum::<f64>()).fold(0.0, f64::max);
    (0..diagonal.len()).map(|k| bisect(&diagonal, &squares, k, bound)).collect()
}

/// The k-th smallest eigenvalue (from 0) of a tridiagonal matrix, which lies within `bound` of 0.
fn bisect(diagonal: &[f64], squares: &[f64], k: usize, bound: f64) -> f64 {
    let (mut low, mut high) = (-bound, bound);
    let precision = f64::EPSILON * bound;
    while high - low > precision {
        let middle = 0.5 * (low + high);
        if below(diagonal, squares, middle) > k {
            high = middle;
        } else {
            low = middle;
        }
    }
    0.5 * (low + high)
}

/// How many eigenvalues are less than `x`: the negative pivots of `T - x I` (Sylvester's law of inertia).
fn below(diagonal: &[f64], squares: &[f64], x: f64) -> usize {
    let mut pivot = 1.0;
    let squares = [0.0].iter().chain(squares);
    let negative = diagonal.iter().zip(squares).filter(|&(d, square)| {
        pivot = d - x - square / pivot;
        // A pivot of 0 would make the next one infinite or no number.
        if pivot.abs() < f64::MIN_POSITIVE.sqrt() {
            pivot = -f64::MIN_POSITIVE.sqrt();
        }
        pivot < 0.0
    });
    negative.count()
}

/// The diagonal and the entries beside it of the tridiagonal matrix that Householder reflections turn `a` into, which has
/// the same eigenvalues (Golub and Van Loan, section 8.3.1). Works from the last row up, so that what is left of the lower
/// triangle stays contiguous row by row.
fn tridiagonal(mut a: Array2<f64>) -> (Vec<f64>, Vec<f64>) {
    let n = a.nrows();
    let mut beside = vec![0.0; n.saturating_sub(1)];
    for i in (1..n).rev() {
        let mut v = a.slice(s![i, ..i]).to_owned();
        let last = v[i - 1];
        let norm = v.dot(&v).sqrt();
        // The sign that adds up, so that nothing cancels.
        let beta = if last > 0.0 { -norm } else { norm };
        beside[i - 1] = beta;
        if norm == 0.0 {
            continue;
        }
        v[i - 1] -= beta;
        // H = I - v v' / h, and H A H = A - v w' - w v' with w = A v / h - (v' A v / 2 h^2) v.
        let h = norm * (norm + last.abs());
        let mut w = times_lower(a.slice(s![..i, ..i]), v.view()) / h;
        let along = v.dot(&w) / (2.0 * h);
        w.scaled_add(-along, &v);
        for j in 0..i {
            let (vj, wj) = (v[j], w[j]);
            let mut row = a.slice_mut(s![j, ..=j]);
            row.scaled_add(-vj, &w.slice(s![..=j]));
            row.scaled_add(-wj, &v.slice(s![..=j]));
        }
    }
    (a.diag().to_vec(), beside)
}

/// The product of the symmetric matrix that has this lower triangle with `x`, in one pass over the triangle.
fn times_lower(a: ArrayView2<f64>, x: ArrayView1<f64>) -> Array1<f64> {
    let mut y = Array1::zeros(x.len());
    for i in 0..x.len() {
        let row = a.slice(s![i, ..i]);
        y[i] += row.dot(&x.slice(s![..i])) + a[[i, i]] * x[i];
        y.slice_mut(s![..i]).scaled_add(x[i], &row);
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;
    use std::f64::consts::PI;

    /// n x n numbers without a pattern.
    fn scattered(rows: usize, columns: usize) -> Array2<f64> {
        Array2::from_shape_fn((rows, columns), |(i, j)| ((1 + i * 37 + j * 101 + i * j * 13) as f64).sin())
    }

    #[test]
    fn a_known_spectrum_is_found() {
        // The second difference has the eigenvalues 2 - 2 cos(k pi / (n + 1)).
        let n = 60;
        let a = Array2::from_shape_fn((n, n), |(i, j)| match i.abs_diff(j) {
            0 => 2.0,
            1 => -1.0,
            _ => 0.0,
        });
        for (k, value) in eigenvalues(a).into_iter().enumerate() {
            let expected = 2.0 - 2.0 * ((k + 1) as f64 * PI / (n + 1) as f64).cos();
            assert_abs_diff_eq!(value, expected, epsilon = 1e-13);
        }
    }

    #[test]
    fn a_rotated_spectrum_is_found() {
        // A reflection keeps the eigenvalues, among them a double one, zeros and negative ones.
        let spectrum = [-3.0, -0.5, 0.0, 0.0, 1e-6, 2.0, 2.0, 70.0];
        let v = scattered(8, 1);
        let reflection = Array2::eye(8) - v.dot(&v.t()) * (2.0 / v.iter().map(|x| x * x).sum::<f64>());
        let a = reflection.dot(&Array2::from_diag(&Array1::from(spectrum.to_vec()))).dot(&reflection);
        for (value, expected) in eigenvalues(a).into_iter().zip(spectrum) {
            assert_abs_diff_eq!(value, expected, epsilon = 1e-13);
        }
    }

    #[test]
    fn invariants_of_a_full_matrix_are_kept() {
        let a = scattered(40, 40);
        let a = &a + &a.t();
        let values = eigenvalues(a.clone());
        assert!(values.is_sorted());
        assert_abs_diff_eq!(values.iter().sum::<f64>(), a.diag().sum(), epsilon = 1e-11);
        let squares = a.iter().map(|x| x * x).sum::<f64>();
        assert_abs_diff_eq!(values.iter().map(|x| x * x).sum::<f64>(), squares, epsilon = 1e-9);
    }

    #[test]
    fn small_matrices_are_no_special_case() {
        assert!(eigenvalues(Array2::zeros((0, 0))).is_empty());
        assert_abs_diff_eq!(eigenvalues(Array2::from_elem((1, 1), -4.0))[0], -4.0, epsilon = 1e-14);
        assert_eq!(eigenvalues(Array2::zeros((3, 3))), [0.0; 3]);
    }

    #[test]
    fn a_factor_gives_the_matrix_back_at_its_rank() {
        for rank in [0, 3, 12] {
            let thin = scattered(12, rank);
            let a = thin.dot(&thin.t());
            let factor = factor(a.view());
            assert_eq!(factor.dim(), (12, rank));
            for (x, y) in factor.dot(&factor.t()).iter().zip(&a) {
                assert_abs_diff_eq!(x, y, epsilon = 1e-12);
            }
        }
    }
}
