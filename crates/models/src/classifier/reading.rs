//! What a classifier makes of images.

use ndarray::{Array2, ArrayView1};

/// What a classifier makes of images.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The activations of the last hidden layer, N x 128.
    pub features: Array2<f32>,
    /// N x classes.
    pub logits: Array2<f32>,
}

impl Reading {
    /// The likeliest class of every image.
    pub fn labels(&self) -> Vec<usize> {
        let likeliest =
            |row: ArrayView1<f32>| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or_default();
        self.logits.rows().into_iter().map(likeliest).collect()
    }

    /// The share of images whose likeliest class is their label.
    ///
    /// # Panics
    /// When there is not one label for every image.
    pub fn accuracy(&self, labels: &[usize]) -> f64 {
        let found = self.labels();
        assert_eq!(found.len(), labels.len(), "a label for every image");
        let right = found.iter().zip(labels).filter(|(found, label)| found == label).count();
        right as f64 / labels.len() as f64
    }

    /// The probability that the classifier gives `class`, for every image.
    ///
    /// # Panics
    /// When there is no such class.
    pub fn probabilities(&self, class: usize) -> Vec<f64> {
        let probability = |row: ArrayView1<f32>| {
            let others = row.iter().map(|&logit| f64::from(logit - row[class]).exp());
            1.0 / others.sum::<f64>()
        };
        self.logits.rows().into_iter().map(probability).collect()
    }
}
