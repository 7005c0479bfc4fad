//! The mean and the spread of a few values of equal standing, and how far the mean can be relied upon.

use std::fmt;

use crate::student;

/// Values of equal standing, such as one score over several seeds: their mean and spread.
///
/// With a precision it is written as mean and sample standard deviation, `97.01 ± 0.20`, or as the mean alone if there is
/// only one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The number of values; at least one.
    pub count: usize,
    /// The sample standard deviation; unknown for one value.
    pub deviation: Option<f64>,
}

impl Spread {
    /// Returns `None` if there are no values.
    ///
    /// ```
    /// use mergan_metrics::Spread;
    ///
    /// let spread = Spread::of([95.5, 96.0, 96.5]).unwrap();
    /// assert_eq!((spread.mean, spread.deviation), (96.0, Some(0.5)));
    /// // Student's t for two degrees of freedom is 4.30.
    /// assert!((spread.margin().unwrap() - 1.242).abs() < 1e-3);
    /// assert_eq!(format!("{spread:.2}"), "96.00 ± 0.50");
    /// ```
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().collect();
        let count = values.len();
        let mean = values.iter().sum::<f64>() / count as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (count > 1).then(|| (squares / (count as f64 - 1.0)).sqrt());
        (count > 0).then_some(Self { mean, count, deviation })
    }

    /// Converts to another unit, `factor` of which make one of this.
    pub fn times(self, factor: f64) -> Self {
        Self { mean: factor * self.mean, deviation: self.deviation.map(|deviation| factor * deviation), ..self }
    }

    /// Returns how far the t interval reaches to either side of the mean: it covers the expected value with 95 %
    /// confidence if values are normally distributed. One value has no interval.
    pub fn margin(self) -> Option<f64> {
        self.deviation.map(|deviation| margin(deviation, self.count))
    }

    /// Returns how many values it takes until the t interval reaches no further than `margin` to either side, if they
    /// spread as these do. One value does not say.
    ///
    /// # Panics
    /// When `margin` is not positive.
    pub fn count_for(self, margin: f64) -> Option<usize> {
        assert!(margin > 0.0, "an interval of several values has a width");
        let deviation = self.deviation?;
        // Student's t is above the normal distribution's, so the count that the latter asks for is not too large. It is
        // the right one where it is so large that the two are the same.
        let fewest = (student::NORMAL * deviation / margin).powi(2).ceil().max(2.0);
        if fewest > 1e12 {
            return Some(fewest as usize);
        }
        (fewest as usize..).find(|&count| self::margin(deviation, count) <= margin)
    }

    /// Returns the probability that the mean of as many values is at least as far from 0 if 0 is expected (a t test on
    /// both sides). One value does not say.
    pub fn p_value(self) -> Option<f64> {
        let deviation = self.deviation?;
        // Values without any spread differ from 0 for certain, or not at all.
        let t = if self.mean == 0.0 { 0.0 } else { self.mean / (deviation / (self.count as f64).sqrt()) };
        Some(student::outside(t.abs(), self.count - 1))
    }
}

/// Returns half the width of the t interval of `count` values.
fn margin(deviation: f64, count: usize) -> f64 {
    student::quantile(count - 1) * deviation / (count as f64).sqrt()
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.mean.fmt(f)?;
        let Some(deviation) = self.deviation else { return Ok(()) };
        f.write_str(" ± ")?;
        deviation.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_no_spread_and_none_has_no_mean() {
        let one = Spread::of([0.5]).unwrap();
        assert_eq!((one.mean, one.count, one.deviation), (0.5, 1, None));
        assert_eq!((one.margin(), one.count_for(1.0), one.p_value()), (None, None, None));
        assert_eq!(format!("{one:.1}"), "0.5");
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn as_many_values_as_are_asked_for_are_enough_and_one_less_is_not() {
        for deviation in [1e-3, 0.45, 1.0, 7.0, 30.0] {
            let spread = Spread { mean: 50.0, count: 2, deviation: Some(deviation) };
            let count = spread.count_for(1.0).unwrap();
            assert!(margin(deviation, count) <= 1.0, "{deviation}: {count}");
            assert!(count == 2 || margin(deviation, count - 1) > 1.0, "{deviation}: {count}");
        }
        for (deviation, expected) in [(1e8, 38_414_588_206_941_252), (f64::INFINITY, usize::MAX)] {
            let count = Spread { mean: 0.0, count: 2, deviation: Some(deviation) }.count_for(1.0).unwrap();
            assert!(count.abs_diff(expected) <= 1000, "{count}");
        }
        let even = Spread::of([3.0, 3.0]).unwrap();
        assert_eq!((even.margin(), even.count_for(1.0)), (Some(0.0), Some(2)));
    }

    #[test]
    fn values_without_a_spread_are_certain() {
        let p_value = |values: [f64; 3]| Spread::of(values).unwrap().p_value();
        assert_eq!((p_value([0.0; 3]), p_value([0.25; 3])), (Some(1.0), Some(0.0)));
    }
}
