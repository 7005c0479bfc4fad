//! The accuracy of generated images under a classifier trained on real ones (paper section 4.1).

/// Returns the share of `predicted` labels that equal `class`, from 0 to 1.
///
/// `predicted` holds one label for each image generated as `class`; the paper uses 6,400 images per class. Returns
/// `None` when there are no predictions.
pub fn class_accuracy(predicted: &[usize], class: usize) -> Option<f64> {
    let hits = predicted.iter().filter(|&&label| label == class).count();
    (!predicted.is_empty()).then(|| hits as f64 / predicted.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::class_accuracy;

    #[test]
    fn counts_the_recognised_share() {
        assert_eq!(class_accuracy(&[3, 3, 5, 3], 3), Some(0.75));
        assert_eq!(class_accuracy(&[1, 2], 3), Some(0.0));
    }

    #[test]
    fn nothing_predicted_is_no_score() {
        assert_eq!(class_accuracy(&[], 0), None);
    }
}
