//! Compares two strategies over the same seeds. Differences are taken seed by seed, so that the spread between seeds
//! does not blur them.

/// The differences of two strategies' scores, one per seed.
#[derive(Clone, Debug, PartialEq)]
pub struct PairedDifference {
    /// The first score minus the second, seed by seed; at least two.
    pub differences: Vec<f64>,
    /// Their mean.
    pub mean: f64,
    /// Their sample standard deviation.
    pub deviation: f64,
}

impl PairedDifference {
    /// Takes pairs (first, second), one per seed. Returns `None` for fewer than two pairs, which have no spread.
    ///
    /// ```
    /// use mergan_metrics::PairedDifference;
    ///
    /// let paired = PairedDifference::of(&[(0.97, 0.95), (0.96, 0.93), (0.98, 0.94)]).unwrap();
    /// assert!((paired.mean - 0.03).abs() < 1e-12 && (paired.deviation - 0.01).abs() < 1e-12);
    /// // Student's t for two degrees of freedom is 4.30, so three seeds leave 0.03 +- 0.025.
    /// let (low, high) = paired.interval();
    /// assert!((low - 0.0052).abs() < 1e-4 && (high - 0.0548).abs() < 1e-4);
    /// assert_eq!(paired.ahead(), 3);
    /// ```
    pub fn of(pairs: &[(f64, f64)]) -> Option<Self> {
        if pairs.len() < 2 {
            return None;
        }
        let differences: Vec<f64> = pairs.iter().map(|(first, second)| first - second).collect();
        let count = differences.len() as f64;
        let mean = differences.iter().sum::<f64>() / count;
        let squares: f64 = differences.iter().map(|difference| (difference - mean).powi(2)).sum();
        Some(Self { mean, deviation: (squares / (count - 1.0)).sqrt(), differences })
    }

    /// Returns the interval that covers the expected difference with 95 % confidence if differences are normally
    /// distributed (paired t).
    pub fn interval(&self) -> (f64, f64) {
        let count = self.differences.len();
        let margin = student_t(count - 1) * self.deviation / (count as f64).sqrt();
        (self.mean - margin, self.mean + margin)
    }

    /// Returns the number of seeds in which the first strategy is ahead.
    pub fn ahead(&self) -> usize {
        self.differences.iter().filter(|&&difference| difference > 0.0).count()
    }
}

/// Returns the t that Student's distribution exceeds in absolute value with a probability of 5 %.
fn student_t(degrees: usize) -> f64 {
    let (mut low, mut high) = (0.0, 20.0);
    for _ in 0..64 {
        let middle = 0.5 * (low + high);
        *(if central(middle, degrees) < 0.95 { &mut low } else { &mut high }) = middle;
    }
    0.5 * (low + high)
}

/// Returns the probability that Student's distribution is at most `t` in absolute value, which is a finite sum for
/// whole degrees of freedom (Abramowitz and Stegun 26.7.3 and 26.7.4).
fn central(t: f64, degrees: usize) -> f64 {
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
    if odd == 1 { FRAC_2_PI * (angle + sine * sum) } else { sine * sum }
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
            assert_abs_diff_eq!(student_t(degrees), expected, epsilon = 5e-4);
        }
    }

    #[test]
    fn one_seed_has_no_spread() {
        assert_eq!(PairedDifference::of(&[(0.9, 0.8)]), None);
    }

    #[test]
    fn the_sign_is_the_firsts_minus_the_seconds() {
        let paired = PairedDifference::of(&[(0.5, 0.7), (0.6, 0.5), (0.4, 0.6)]).unwrap();
        assert_abs_diff_eq!(paired.mean, -0.1, epsilon = 1e-12);
        assert_abs_diff_eq!(paired.deviation, 0.03f64.sqrt(), epsilon = 1e-12);
        assert_eq!(paired.ahead(), 1);
    }
}
