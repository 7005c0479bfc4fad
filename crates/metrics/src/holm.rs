//! Corrects for the number of comparisons that are made at once.

/// Returns the probabilities of several tests, corrected for their number by Holm's step-down method (1979), in the same
/// order. Calling those significant that are below 5 % is wrong about any of them with a probability of at most 5 %.
///
/// ```
/// // The smallest counts three times, the next twice, and none is below the one before it.
/// let corrected = mergan_metrics::holm(&[0.03, 0.01, 0.04]);
/// assert_eq!(corrected, [0.06, 0.03, 0.06]);
/// ```
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&left, &right| p_values[left].total_cmp(&p_values[right]));
    let mut corrected = vec![0.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (rank, &index) in order.iter().enumerate() {
        largest = largest.max((p_values.len() - rank) as f64 * p_values[index]).min(1.0);
        corrected[index] = largest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::holm;

    #[test]
    fn one_test_needs_no_correction_and_none_is_none() {
        assert_eq!((holm(&[0.3]), holm(&[])), (vec![0.3], vec![]));
    }

    #[test]
    fn no_probability_exceeds_one() {
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    }
}
