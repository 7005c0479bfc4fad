//! The classes that a generator is conditioned on.

use std::collections::BTreeSet;

use mergan_tensor::Tensor;

/// The classes of a batch of generated images, and the groups of images that are normalised together.
///
/// Batch norm uses the statistics of the given batch, both in training and afterwards, as in the paper. An image
/// therefore depends on the other images of its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    labels: Vec<usize>,
    groups: usize,
}

impl Conditions {
    /// Creates conditions of equal groups, one after another. Group i is all of class `classes[i]` and is normalised by
    /// its own statistics.
    pub fn pure(classes: &[usize]) -> Self {
        Conditions { labels: classes.to_vec(), groups: classes.len() }
    }

    /// Creates conditions of one group that is normalised together, in which image i is of class `labels[i]`, as in the
    /// released code's joint training.
    pub fn mixed(labels: &[usize]) -> Self {
        Conditions { labels: labels.to_vec(), groups: 1 }
    }

    /// Returns the number of groups that are normalised separately.
    pub(crate) fn groups(&self) -> usize {
        self.groups
    }

    /// Returns the rows of a class table, one for each label.
    pub(crate) fn rows(&self, table: &Tensor) -> Tensor {
        table.index_select(0, &self.labels)
    }

    /// Returns a vector that all classes share, repeated as one row for each label.
    pub(crate) fn shared_row(&self, vector: &Tensor) -> Tensor {
        vector.reshape([1, vector.shape().len()]).index_select(0, &vec![0; self.labels.len()])
    }

    /// Applies `f` to the rows of `x` of each class, and puts the results in the order of the rows of `x`. Each row of
    /// `x` belongs to one image.
    pub(crate) fn each_class(&self, x: &Tensor, f: impl Fn(usize, &Tensor) -> Tensor) -> Tensor {
        let classes: Vec<usize> = self.labels.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        if let [class] = classes[..] {
            return f(class, x);
        }
        let labels = self.labels(x.shape()[0]);
        let rows = |class: usize| (0..labels.len()).filter(|&row| labels[row] == class).collect::<Vec<_>>();
        let parts: Vec<_> = classes.iter().map(|&class| f(class, &x.index_select(0, &rows(class)))).collect();
        // Row i of the joined parts belongs to row order[i] of x.
        let order: Vec<_> = classes.iter().flat_map(|&class| rows(class)).collect();
        let mut places = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, &row)| places[row] = place);
        Tensor::concat(0, &parts.iter().collect::<Vec<_>>()).index_select(0, &places)
    }

    /// Returns the classes of a batch that is normalised as one group.
    ///
    /// # Panics
    /// Panics if there are several groups.
    pub(crate) fn only_group(&self) -> BTreeSet<usize> {
        assert_eq!(self.groups, 1, "the batch has several groups");
        self.labels.iter().copied().collect()
    }

    /// Returns the class of each of `n` images.
    ///
    /// # Panics
    /// Panics if `n` is not a multiple of the number of labels.
    pub fn labels(&self, n: usize) -> Vec<usize> {
        assert!(n.is_multiple_of(self.labels.len()), "{n} images for {} labels", self.labels.len());
        self.labels.iter().flat_map(|&label| std::iter::repeat_n(label, n / self.labels.len())).collect()
    }
}
