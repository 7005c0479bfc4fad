//! The outputs of a classifier.

use ndarray::{Array2, ArrayView1};

/// The outputs of a classifier for a set of images.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The activations of the last hidden layer, N x 128.
    pub features: Array2<f32>,
    /// The logits, N x classes.
    pub logits: Array2<f32>,
}

impl Reading {
    /// Returns the most likely class of every image.
    pub fn labels(&self) -> Vec<usize> {
        let likeliest =
            |row: ArrayView1<f32>| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or_default();
        self.logits.rows().into_iter().map(likeliest).collect()
    }

    /// Returns the fraction of images whose most likely class is their label.
    ///
    /// # Panics
    /// Panics if there is not one label for every image.
    pub fn accuracy(&self, labels: &[usize]) -> f64 {
        let found = self.labels();
        assert_eq!(found.len(), labels.len(), "a label for every image");
        let right = found.iter().zip(labels).filter(|(found, label)| found == label).count();
        right as f64 / labels.len() as f64
    }

    /// Returns the probability that the classifier assigns to `class`, for every image.
    ///
    /// # Panics
    /// Panics if there is no such class.
    pub fn probabilities(&self, class: usize) -> Vec<f64> {
        let probability = |row: ArrayView1<f32>| {
            let others = row.iter().map(|&logit| f64::from(logit - row[class]).exp());
            1.0 / others.sum::<f64>()
        };
        self.logits.rows().into_iter().map(probability).collect()
    }
}
