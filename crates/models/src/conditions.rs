//! The classes that a generator is conditioned on.

use std::collections::{BTreeMap, BTreeSet};

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
        match self.towards {
            None => table.index_select(0, &self.labels),
            Some(_) => {
                let rows: Vec<_> = (0..self.labels.len()).map(|label| self.row(table, label)).collect();
                Tensor::concat(0, &rows.iter().collect::<Vec<_>>())
            }
        }
    }

    /// Returns the row of a class table for one label, given by its number.
    pub(crate) fn row(&self, table: &Tensor, label: usize) -> Tensor {
        let row = table.index_select(0, &[self.labels[label]]);
        match self.towards {
            None => row,
            Some(towards) => {
                let share = label as f64 / (self.labels.len() - 1).max(1) as f64;
                &row + (table.index_select(0, &[towards]) - &row) * share
            }
        }
    }

    /// Returns a vector that all classes share, repeated as one row for each label.
    pub(crate) fn shared_row(&self, vector: &Tensor) -> Tensor {
        vector.reshape([1, vector.shape().len()]).index_select(0, &vec![0; self.labels.len()])
    }

    /// Applies `f` to the rows of `x` of each class, or of each mixture of two, and puts the results in the order of the
    /// rows of `x`, which are equally many for each label. `f` is told the number of a label with this class.
    pub(crate) fn each_class(&self, x: &Tensor, f: impl Fn(usize, &Tensor) -> Tensor) -> Tensor {
        let mut labels_of = BTreeMap::<usize, Vec<usize>>::new();
        for (label, &class) in self.labels.iter().enumerate() {
            labels_of.entry(if self.towards.is_some() { label } else { class }).or_default().push(label);
        }
        if labels_of.len() == 1 {
            return f(0, x);
        }
        let share = x.shape()[0] / self.labels.len();
        let rows = |labels: &[usize]| labels.iter().flat_map(|label| label * share..(label + 1) * share).collect();
        let rows: Vec<Vec<usize>> = labels_of.values().map(|labels| rows(labels)).collect();
        let parts = labels_of.values().zip(&rows).map(|(labels, rows)| f(labels[0], &x.index_select(0, rows)));
        let parts: Vec<_> = parts.collect();
        // Row i of the joined parts belongs to row order[i] of x.
        let order = rows.concat();
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
