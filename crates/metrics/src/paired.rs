//! Compares two strategies over the same seeds. Differences are taken seed by seed, so that the spread between seeds
//! does not blur them.

use crate::Spread;

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
    /// assert!((paired.p_value() - 0.0351).abs() < 1e-4);
    /// assert_eq!(paired.ahead(), 3);
    /// ```
    pub fn of(pairs: &[(f64, f64)]) -> Option<Self> {
        let differences: Vec<f64> = pairs.iter().map(|(first, second)| first - second).collect();
        let Spread { mean, deviation, .. } = Spread::of(differences.iter().copied())?;
        Some(Self { mean, deviation: deviation?, differences })
    }

    /// Returns the interval that covers the expected difference with 95 % confidence if differences are normally
    /// distributed (paired t).
    pub fn interval(&self) -> (f64, f64) {
        let margin = self.spread().margin().expect("there are at least two differences");
        (self.mean - margin, self.mean + margin)
    }

    /// Returns the probability that the mean difference of as many seeds is at least as large, in either direction, if
    /// none is expected (paired t test).
    pub fn p_value(&self) -> f64 {
        self.spread().p_value().expect("there are at least two differences")
    }

    /// Returns the number of seeds in which the first strategy is ahead.
    pub fn ahead(&self) -> usize {
        self.differences.iter().filter(|&&difference| difference > 0.0).count()
    }

    fn spread(&self) -> Spread {
        Spread { mean: self.mean, count: self.differences.len(), deviation: Some(self.deviation) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    #[test]
    fn one_seed_has_no_spread() {
        assert_eq!(PairedDifference::of(&[(0.9, 0.8)]), None);
        assert_eq!(PairedDifference::of(&[]), None);
    }

    #[test]
    fn the_sign_is_the_firsts_minus_the_seconds() {
        let paired = PairedDifference::of(&[(0.5, 0.7), (0.6, 0.5), (0.4, 0.6)]).unwrap();
        assert_abs_diff_eq!(paired.mean, -0.1, epsilon = 1e-12);
        assert_abs_diff_eq!(paired.deviation, 0.03f64.sqrt(), epsilon = 1e-12);
        assert_eq!(paired.ahead(), 1);
    }
}
