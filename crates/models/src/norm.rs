//! The scale and the shift of a normalisation, and the ReLU that follows.

use mergan_nn::{Rows, fold_statistics};
use mergan_tensor::Tensor;

use crate::conditions::Conditions;

/// The number added to a variance before its square root.
pub(crate) const EPSILON: f64 = 1e-5;

/// The parameters of a batch norm.
///
/// Conditional batch norm has a row of parameters for each class (Dumoulin et al., 2017). In the digit generator it is
/// the only layer that depends on the class.
#[derive(Clone, Copy)]
pub(crate) struct Norm<'n> {
    /// The scales: classes x channels, or one number per channel.
    pub(crate) scale: &'n Tensor,
    /// The shifts, of the same shape.
    pub(crate) shift: &'n Tensor,
    /// Whether there is a row for each class.
    pub(crate) rows: Rows,
}

impl Norm<'_> {
    /// Normalises by the statistics of each group, then applies the ReLU.
    pub(crate) fn relu(&self, x: &Tensor, conditions: &Conditions) -> Tensor {
        let [scale, shift] = self.rows(conditions);
        x.batch_norm_leaky_relu(&scale, &shift, conditions.groups(), EPSILON, 0.0)
    }

    /// Normalises by these statistics instead of the batch's: the mean and the variance, with a row for each of the
    /// conditions' labels. Then applies the ReLU.
    pub(crate) fn relu_by(&self, moments: [Tensor; 2], x: &Tensor, conditions: &Conditions) -> Tensor {
        let [scale, shift] = self.affine(moments, conditions);
        x.affine_leaky_relu(&scale, &shift, 0.0)
    }

    /// Returns the scale and the shift of the norm with these statistics, with a row for each label.
    pub(crate) fn affine(&self, [mean, variance]: [Tensor; 2], conditions: &Conditions) -> [Tensor; 2] {
        let [scale, shift] = self.rows(conditions);
        fold_statistics([&scale, &shift], [&mean, &variance], EPSILON)
    }

    /// Returns the scales and shifts for these conditions, with a row for each of their labels.
    fn rows(&self, conditions: &Conditions) -> [Tensor; 2] {
        [self.scale, self.shift].map(|table| match self.rows {
            Rows::PerClass => conditions.rows(table),
            Rows::Shared => conditions.shared_row(table),
        })
    }
}
