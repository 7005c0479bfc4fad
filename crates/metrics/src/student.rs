//! Student's t distribution for whole degrees of freedom, for which its probabilities are finite sums (Abramowitz and
//! Stegun 26.7.3 and 26.7.4).

/// What the normal distribution exceeds in absolute value with a probability of 5 %: the limit for many degrees of freedom.
pub(crate) const NORMAL: f64 = 1.959_963_984_540_054;

/// The degrees of freedom from which on the first terms of a series give the quantile to twelve digits.
const MANY: usize = 10_000;

/// Returns the t that the distribution exceeds in absolute value with a probability of 5 %.
pub(crate) fn quantile(degrees: usize) -> f64 {
    if degrees >= MANY {
        // Abramowitz and Stegun 26.7.5.
        let (z, n) = (NORMAL, degrees as f64);
        return z + (z.powi(3) + z) / (4.0 * n) + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * n * n);
    }
    // It is largest for one degree of freedom, 12.7.
    let (mut low, mut high) = (0.0, 20.0);
    for _ in 0..64 {
        let middle = 0.5 * (low + high);
        *(if outside(middle, degrees) > 0.05 { &mut low } else { &mut high }) = middle;
    }
    0.5 * (low + high)
}

/// Returns the probability that the distribution exceeds `t` in absolute value; `t` may be infinite.
pub(crate) fn outside(t: f64, degrees: usize) -> f64 {
    use std::f64::consts::FRAC_2_PI;
    let angle = (t / (degrees as f64).sqrt()).atan();
    let (sine, cosine) = angle.sin_cos();
    // The sum is 1 + c^2 1/2 + c^4 1/2 3/4 + ... for even degrees and c + c^3 2/3 + c^5 2/3 4/5 + ... for odd ones.
    let odd = degrees % 2;
    let mut term = if odd == 1 { cosine } else { 1.0 };
    let mut sum = 0.0;
    for k in (2 + odd..=degrees).step_by(2) {
        sum += term;
        term *= cosine * cosine * (k - 1) as f64 / k as f64;
    }
    let inside = if odd == 1 { FRAC_2_PI * (angle + sine * sum) } else { sine * sum };
    // Rounding must not make it negative.
    (1.0 - inside).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    #[test]
    fn quantiles_are_those_of_printed_tables() {
        for (degrees, expected) in
            [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (10, 2.228), (120, 1.980)]
        {
            assert_abs_diff_eq!(quantile(degrees), expected, epsilon = 5e-4);
        }
    }

    #[test]
    fn the_series_goes_on_where_the_sums_end() {
        assert_abs_diff_eq!(outside(quantile(MANY), MANY), 0.05, epsilon = 1e-12);
        assert!(quantile(MANY - 1) > quantile(MANY) && quantile(usize::MAX) == NORMAL);
    }

    #[test]
    fn probabilities_reach_from_one_to_zero() {
        for degrees in 1..8 {
            assert_eq!(outside(0.0, degrees), 1.0);
            assert_abs_diff_eq!(outside(f64::INFINITY, degrees), 0.0, epsilon = 1e-15);
        }
    }
}
