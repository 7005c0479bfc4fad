//! The verdict on a strategy's average accuracy beside the paper's, which states no spread of its own.

use mergan_metrics::Spread;
use std::fmt;

/// How far the interval of our number may reach to either side of it, in percentage points, to be of use. A wider one
/// contains numbers that nobody would call equal.
pub(crate) const USEFUL_MARGIN: f64 = 1.0;

/// How far the paper's number may be from what was measured, in percentage points: it has two decimal places.
const ROUNDING: f64 = 0.005;

/// What our runs say about a number of the paper. Only the direction of a difference is stated: for a baseline that
/// forgets, a higher number is no merit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No run has got this far.
    NotRun,
    /// The paper has no such number.
    NotInPaper,
    /// A single value has no interval.
    OneValue,
    /// The interval contains the paper's number and is narrow enough to be of use.
    Agrees,
    /// The interval contains the paper's number, but it takes this many values until it is narrow enough to be of use.
    Undecided { needed: usize },
    /// All of the interval lies above the paper's number.
    Above,
    /// All of the interval lies below the paper's number.
    Below,
}

impl Verdict {
    /// Judges our number, in percent, beside the paper's.
    pub fn on(ours: Option<Spread>, paper: Option<f64>) -> Self {
        let Some(ours) = ours else { return Self::NotRun };
        let Some(paper) = paper else { return Self::NotInPaper };
        let Some(margin) = ours.margin() else { return Self::OneValue };
        let difference = ours.mean - paper;
        if difference.abs() > margin + ROUNDING {
            return if difference > 0.0 { Self::Above } else { Self::Below };
        }
        match ours.count_for(USEFUL_MARGIN) {
            Some(needed) if needed > ours.count => Self::Undecided { needed },
            _ => Self::Agrees,
        }
    }

    /// Formats it; `unit` is what the values are over, in the plural, such as `seeds`.
    pub fn show(self, unit: impl fmt::Display) -> String {
        match self {
            Self::NotRun => "not run".into(),
            Self::NotInPaper => "not in the paper".into(),
            Self::OneValue => format!("no interval: needs 2 {unit} or more"),
            Self::Agrees => "agrees".into(),
            Self::Undecided { needed } => format!("cannot be told apart: needs {needed} {unit}"),
            Self::Above => "above".into(),
            Self::Below => "below".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(values: &[f64], paper: f64) -> Verdict {
        Verdict::on(Spread::of(values.iter().copied()), Some(paper))
    }

    #[test]
    fn the_interval_over_the_seeds_decides() {
        // Three values with a standard deviation of 0.2: the interval reaches 0.5 to either side.
        let narrow = [96.8, 97.0, 97.2];
        assert_eq!(verdict(&narrow, 97.4), Verdict::Agrees);
        assert_eq!(verdict(&narrow, 97.6), Verdict::Below);
        assert_eq!(verdict(&narrow, 96.4), Verdict::Above);
        // One of 2: it reaches 5. With six of the kind it would reach 2.1, with 18 it reaches 0.99.
        let wide = [95.0, 97.0, 99.0];
        assert_eq!(verdict(&wide, 97.0), Verdict::Undecided { needed: 18 });
        assert_eq!(verdict(&wide, 101.9), Verdict::Undecided { needed: 18 });
        // However wide it is, it excludes what lies outside.
        assert_eq!(verdict(&wide, 70.0), Verdict::Above);
    }

    #[test]
    fn values_without_a_spread_are_compared_as_the_paper_rounds() {
        let even = [100.0 * 0.9701; 3];
        assert_eq!(verdict(&even, 97.01), Verdict::Agrees);
        assert_eq!(verdict(&even, 97.02), Verdict::Below);
        assert_eq!(verdict(&even, 97.0), Verdict::Above);
    }

    #[test]
    fn what_cannot_be_judged_is_said() {
        assert_eq!(verdict(&[97.01], 97.01), Verdict::OneValue);
        assert_eq!(verdict(&[], 97.01), Verdict::NotRun);
        assert_eq!(Verdict::on(Spread::of([97.0, 98.0]), None), Verdict::NotInPaper);
        assert_eq!(Verdict::OneValue.show("seeds"), "no interval: needs 2 seeds or more");
        assert_eq!(Verdict::Undecided { needed: 18 }.show("orders"), "cannot be told apart: needs 18 orders");
    }
}
