//! Checks intervals, paired tests and Holm's correction against SciPy and statsmodels. `tests/golden/README.md` describes
//! their inputs.

use approx::assert_abs_diff_eq;
use mergan_metrics::{PairedDifference, Spread, holm};
use mergan_tests::{Golden, unit};

const STRATEGIES: usize = 6;
const SEEDS: [usize; 5] = [2, 3, 5, 10, 40];

/// Returns the scores of a strategy over this many seeds, by the formula.
fn scores(strategy: usize, seeds: usize) -> Vec<f64> {
    let u = |stream, index: usize| 2.0 * unit(stream, index as u64) - 1.0;
    let score = |seed| 90.0 + 2.0 * u(530, seed) + 0.5 * u(531, strategy * seeds + seed) + 0.25 * strategy as f64;
    (0..seeds).map(score).collect()
}

/// Returns the differences of every two strategies over this many seeds, in the order of the golden values.
fn pairs(seeds: usize) -> Vec<PairedDifference> {
    let two = (0..STRATEGIES).flat_map(|i| (i + 1..STRATEGIES).map(move |j| (i, j)));
    let paired = two.map(|(i, j)| {
        let both: Vec<_> = scores(i, seeds).into_iter().zip(scores(j, seeds)).collect();
        PairedDifference::of(&both).unwrap()
    });
    paired.collect()
}

/// Compares values with those of the golden tensor of this name.
fn agree(golden: &Golden, name: &str, found: &[f64]) {
    let expected = golden.get(name);
    assert_eq!(found.len(), expected.len(), "{name}");
    for (found, expected) in found.iter().zip(expected) {
        assert_abs_diff_eq!(*found, expected, epsilon = 1e-9);
    }
}

#[test]
fn quantiles_and_probabilities_are_scipys() {
    let golden = Golden::open("significance");
    let degrees: Vec<usize> = (1..31).chain([60, 120, 1000, 20_000]).collect();
    // Values whose mean has a standard error of 1.
    let of = |mean, degrees: usize| {
        let count = degrees + 1;
        Spread { mean, count, deviation: Some((count as f64).sqrt()) }
    };
    let quantiles: Vec<_> = degrees.iter().map(|&degrees| of(0.0, degrees).margin().unwrap()).collect();
    agree(&golden, "quantile", &quantiles);
    let distances = [0.0, 1e-6, 0.01, 0.5, 1.0, 2.0, 4.0, 12.0, 100.0];
    let outside = degrees.iter().flat_map(|&degrees| distances.map(|t| of(-t, degrees).p_value().unwrap()));
    agree(&golden, "outside", &outside.collect::<Vec<_>>());
}

#[test]
fn intervals_over_seeds_are_scipys() {
    let golden = Golden::open("significance");
    for seeds in SEEDS {
        let spreads: Vec<_> = (0..STRATEGIES).map(|strategy| Spread::of(scores(strategy, seeds)).unwrap()).collect();
        let ends =
            [-1.0, 1.0].map(|side| spreads.iter().map(move |spread| spread.mean + side * spread.margin().unwrap()));
        agree(&golden, &format!("interval.{seeds}"), &ends.into_iter().flatten().collect::<Vec<_>>());
    }
}

#[test]
fn paired_tests_are_scipys_and_their_correction_is_statsmodels() {
    let golden = Golden::open("significance");
    for seeds in SEEDS {
        let pairs = pairs(seeds);
        let intervals: Vec<_> = pairs.iter().map(PairedDifference::interval).collect();
        let ends = intervals.iter().map(|interval| interval.0).chain(intervals.iter().map(|interval| interval.1));
        agree(&golden, &format!("paired.{seeds}.interval"), &ends.collect::<Vec<_>>());
        let p_values: Vec<_> = pairs.iter().map(PairedDifference::p_value).collect();
        agree(&golden, &format!("paired.{seeds}.p"), &p_values);
        agree(&golden, &format!("holm.{seeds}"), &holm(&p_values));
    }
}
