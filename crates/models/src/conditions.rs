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
    /// The class that the labels lead to, if they do: see [`Conditions::between`].
    towards: Option<usize>,
}

impl Conditions {
    /// Creates conditions of equal groups, one after another. Group i is all of class `classes[i]` and is normalised by
    /// its own statistics.
    pub fn pure(classes: &[usize]) -> Self {
        Conditions { labels: classes.to_vec(), groups: classes.len(), towards: None }
    }

    /// Creates conditions of one group that is normalised together, in which image i is of class `labels[i]`, as in the
    /// released code's joint training.
    pub fn mixed(labels: &[usize]) -> Self {
        Conditions { labels: labels.to_vec(), groups: 1, towards: None }
    }

    /// Creates conditions that lead from one class to another in `steps` images, each of which is a group of its own.
    /// The first is of class `from`, the last of class `to`, and in between the class parameters are weighted means of
    /// both. A single step is of class `from`.
    pub fn between(from: usize, to: usize, steps: usize) -> Self {
        Conditions { labels: vec![from; steps], groups: steps, towards: Some(to) }
    }

    /// Returns the number of groups that are normalised separately.
    pub(crate) fn groups(&self) -> usize {
        self.groups
    }

    /// Returns the rows of a class table, one for each label.
    pub(crate) fn rows(&self, table: &Tensor) -> Tensor {
        let rows = table.index_select(0, &self.labels);
        let Some(towards) = self.towards else { return rows };
        let steps = self.labels.len();
        let share = |step| step as f64 / (steps - 1).max(1) as f64;
        let shares = Tensor::from_vec::<f64>((0..steps).map(share).collect(), [steps, 1], table.device());
        &rows + shares * (table.index_select(0, &vec![towards; steps]) - &rows)
    }

    /// Returns a vector that all classes share, repeated as one row for each label.
    pub(crate) fn shared_row(&self, vector: &Tensor) -> Tensor {
        vector.reshape([1, vector.shape().len()]).index_select(0, &vec![0; self.labels.len()])
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

#[cfg(test)]
mod tests {
    use mergan_tensor::Device;

    use super::*;

    #[test]
    fn the_way_between_two_classes_begins_and_ends_at_them() {
        let table = Tensor::from_vec::<f64>(vec![0.0, 1.0, 9.0, 9.0, 4.0, -1.0], [3, 2], Device::Reference);
        let rows = |steps| Conditions::between(0, 2, steps).rows(&table).to_vec::<f64>();
        assert_eq!(rows(3), [0.0, 1.0, 2.0, 0.0, 4.0, -1.0]);
        assert_eq!(rows(1), [0.0, 1.0]);
    }
}
