//! Decoded images with their labels.

use ndarray::{Array4, ArrayView4, Axis};

use crate::Error;

/// A dataset in memory, ready to train on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// The name it was loaded by.
    pub name: String,
    /// The name of each class; a label is an index into this list.
    pub class_names: Vec<String>,
    /// The images to train on.
    pub train: Labelled,
    /// Images held out of the training files, for choices made while training.
    pub validation: Labelled,
    /// The images that scores are reported on.
    pub test: Labelled,
}

/// Images and the class of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    images: Array4<u8>,
    labels: Vec<usize>,
}

impl Labelled {
    /// Pairs images of shape [N, C, H, W] with N labels.
    ///
    /// # Errors
    /// [`Error::Unpaired`] when the numbers differ.
    pub fn new(images: Array4<u8>, labels: Vec<usize>) -> Result<Self, Error> {
        if images.len_of(Axis(0)) != labels.len() {
            return Err(Error::Unpaired { images: images.len_of(Axis(0)), labels: labels.len() });
        }
        Ok(Self { images, labels })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Channels, height and width of an image.
    pub fn image_shape(&self) -> [usize; 3] {
        let (_, channels, height, width) = self.images.dim();
        [channels, height, width]
    }

    /// The images, [N, C, H, W], bytes.
    pub fn images(&self) -> ArrayView4<'_, u8> {
        self.images.view()
    }

    /// The class of each image.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The images at `indices`, in that order, repeats allowed.
    ///
    /// # Panics
    /// When an index is not below [`len`](Self::len).
    pub fn select(&self, indices: &[usize]) -> Self {
        Self {
            images: self.images.select(Axis(0), indices),
            labels: indices.iter().map(|&index| self.labels[index]).collect(),
        }
    }

    /// Where the images of `class` are, in order.
    pub fn indices_of(&self, class: usize) -> Vec<usize> {
        let labels = self.labels.iter().enumerate();
        labels.filter(|&(_, &label)| label == class).map(|(index, _)| index).collect()
    }

    /// The images of `class` only, in order.
    pub fn of_class(&self, class: usize) -> Self {
        self.select(&self.indices_of(class))
    }

    /// How many images each of the first `classes` classes has.
    pub fn class_counts(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        for &label in &self.labels {
            if let Some(count) = counts.get_mut(label) {
                *count += 1;
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toy() -> Labelled {
        let images = Array4::from_shape_fn((4, 1, 2, 2), |(n, _, y, x)| (n * 4 + y * 2 + x) as u8);
        Labelled::new(images, vec![1, 0, 1, 2]).unwrap()
    }

    #[test]
    fn selection_keeps_pairs_together() {
        let chosen = toy().select(&[3, 0, 0]);
        assert_eq!(chosen.labels(), [2, 1, 1]);
        assert_eq!(chosen.images()[[0, 0, 0, 0]], 12);
        assert_eq!(chosen.image_shape(), [1, 2, 2]);
    }

    #[test]
    fn classes_are_found_and_counted() {
        assert_eq!(toy().indices_of(1), [0, 2]);
        assert_eq!(toy().of_class(1).images()[[1, 0, 0, 0]], 8);
        assert!(toy().of_class(7).is_empty());
        assert_eq!(toy().class_counts(3), [1, 2, 1]);
    }

    #[test]
    fn unpaired_labels_are_refused() {
        let error = Labelled::new(Array4::zeros((2, 1, 1, 1)), vec![0]).unwrap_err();
        assert_eq!(error.to_string(), "2 images but 1 labels; each image needs one label");
    }
}
