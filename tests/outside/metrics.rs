//! Scores images: the accuracy of labels that a classifier predicted, and what was forgotten over two tasks.
use mergan_metrics::{AccuracyMatrix, class_accuracy};

fn main() -> Result<(), mergan_metrics::MatrixError> {
    let ones = class_accuracy(&[1, 1, 7, 1], 1).unwrap_or_default();
    assert_eq!(ones, 0.75);
    let mut matrix = AccuracyMatrix::new(2);
    matrix.set(0, 0, 1.0);
    matrix.set(1, 0, ones);
    matrix.set(1, 1, 0.25);
    assert_eq!((matrix.average_accuracy()?, matrix.forgetting()?), (0.5, 0.25));
    Ok(())
}
