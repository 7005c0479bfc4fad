//! Scale and shift after a normalisation, and the rectifier that follows.

use mergan_nn::Rows;
use mergan_tensor::Tensor;

use crate::conditions::Conditions;

/// Added to variances before their root is divided by.
pub(crate) const EPSILON: f64 = 1e-5;

/// The parameters of a batch norm.
///
/// Those of conditional batch norm have a row for each class (Dumoulin et al., 2017). In the digit generator it is the
/// only place where the class enters.
#[derive(Clone, Copy)]
pub(crate) struct Norm<'n> {
    /// Classes x channels, or a number for each channel.
    pub(crate) scale: &'n Tensor,
    /// Of the same shape.
    pub(crate) shift: &'n Tensor,
    /// Whether there is a row for each class.
    pub(crate) rows: Rows,
}

impl Norm<'_> {
    /// By the statistics of each group.
    pub(crate) fn relu(&self, x: &Tensor, conditions: &Conditions) -> Tensor {
        let [scale, shift] = self.rows(conditions);
        x.batch_norm_leaky_relu(&scale, &shift, conditions.groups(), EPSILON, 0.0)
    }

    /// By these statistics in place of the batch's: mean and variance, a row for each of the conditions' labels.
    pub(crate) fn relu_by(&self, moments: [Tensor; 2], x: &Tensor, conditions: &Conditions) -> Tensor {
        let [scale, shift] = self.affine(moments, conditions);
        x.affine_leaky_relu(&scale, &shift, 0.0)
    }

    /// What the norm comes to with these statistics: scale and shift, a row for each label.
    pub(crate) fn affine(&self, [mean, variance]: [Tensor; 2], conditions: &Conditions) -> [Tensor; 2] {
        let [scale, shift] = self.rows(conditions);
        let scale = scale * (variance + EPSILON).sqrt().recip();
        let shift = shift - mean * &scale;
        [scale, shift]
    }

    /// Scales and shifts for these conditions, a row for each of their labels.
    fn rows(&self, conditions: &Conditions) -> [Tensor; 2] {
        [self.scale, self.shift].map(|table| match self.rows {
            Rows::PerClass => conditions.rows(table),
            Rows::Shared => conditions.shared_row(table),
        })
    }
}
