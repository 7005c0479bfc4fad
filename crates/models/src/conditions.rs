//! What a generator is asked for.

use std::collections::BTreeSet;

use mergan_tensor::Tensor;

/// The classes of a batch that a generator is asked for, and which of its images are normalised together.
///
/// Batch norm uses the statistics of the batch it is given, in training and after it, as the paper does. So it matters
/// who is in the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    labels: Vec<usize>,
    groups: usize,
}

impl Conditions {
    /// Equal groups, one after another, group i all of class `classes[i]` and normalised by its own statistics.
    pub fn pure(classes: &[usize]) -> Self {
        Conditions { labels: classes.to_vec(), groups: classes.len() }
    }

    /// One group with statistics of its own, image i of class `labels[i]`: the released code's joint training.
    pub fn mixed(labels: &[usize]) -> Self {
        Conditions { labels: labels.to_vec(), groups: 1 }
    }

    /// How many groups are normalised by themselves.
    pub(crate) fn groups(&self) -> usize {
        self.groups
    }

    /// The rows of a class table, one for each label.
    pub(crate) fn rows(&self, table: &Tensor) -> Tensor {
        table.index_select(0, &self.labels)
    }

    /// The vector that all classes share, as a row for each label.
    pub(crate) fn shared_row(&self, vector: &Tensor) -> Tensor {
        vector.reshape([1, vector.shape().len()]).index_select(0, &vec![0; self.labels.len()])
    }

    /// The classes of a batch that is normalised as one.
    ///
    /// # Panics
    /// When there are several groups.
    pub(crate) fn only_group(&self) -> BTreeSet<usize> {
        assert_eq!(self.groups, 1, "the batch has several groups");
        self.labels.iter().copied().collect()
    }

    /// The class of each of `n` images.
    ///
    /// # Panics
    /// When `n` is no multiple of the number of labels.
    pub fn labels(&self, n: usize) -> Vec<usize> {
        assert!(n.is_multiple_of(self.labels.len()), "{n} images for {} labels", self.labels.len());
        self.labels.iter().flat_map(|&label| std::iter::repeat_n(label, n / self.labels.len())).collect()
    }
}
