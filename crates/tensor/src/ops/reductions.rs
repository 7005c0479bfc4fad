//! Maxima over axes, and what is normalised by them. They are compositions: the maximum over some axes is that over one
//! window of an image ([`Tensor::max_pool2d`]), once these axes are its rows.

use super::Pool2d;
use crate::shape::Shape;
use crate::tensor::Tensor;

impl Tensor {
    /// The largest elements over some axes, which the result no longer has. Of equal elements the first receives the
    /// gradient; where one is NaN, so is the maximum.
    ///
    /// # Panics
    /// When there is no such axis.
    #[track_caller]
    pub fn max_axes(&self, axes: &[usize]) -> Tensor {
        let shape = self.shape();
        axes.iter().for_each(|&axis| shape.require_axis(axis));
        let (reduced, kept): (Vec<usize>, Vec<usize>) = (0..shape.rank()).partition(|axis| axes.contains(axis));
        let result: Vec<usize> = kept.iter().map(|&axis| shape[axis]).collect();
        let result = Shape::of(&result).expect("fewer axes than before");
        let count = shape.len() / result.len().max(1);
        let columns = self.permute(&[kept, reduced].concat()).reshape([1, result.len(), count, 1]);
        columns.max_pool2d(Pool2d { kernel: [count, 1], stride: [1, 1], padding: [0, 0] }).reshape(result)
    }

    /// The shares of the exponentials along an axis: they are positive and their sum is 1.
    ///
    /// # Panics
    /// When there is no such axis.
    #[track_caller]
    pub fn softmax(&self, axis: usize) -> Tensor {
        let exponentials = self.below_maximum(axis).exp();
        let sums = exponentials.sum_to(self.shape_over(&[axis]));
        exponentials / sums
    }

    /// The logarithm of [`Tensor::softmax`], without overflow.
    ///
    /// # Panics
    /// When there is no such axis.
    #[track_caller]
    pub fn log_softmax(&self, axis: usize) -> Tensor {
        let logits = self.below_maximum(axis);
        let log_sums = logits.exp().sum_to(self.shape_over(&[axis])).log();
        logits - log_sums
    }

    /// This tensor less its maximum along an axis, so that no exponential overflows. The maximum cancels in what is made of
    /// it, so it is a constant.
    #[track_caller]
    fn below_maximum(&self, axis: usize) -> Tensor {
        self - self.detach().max_axes(&[axis]).reshape(self.shape_over(&[axis]))
    }
}
