//! Maxima over axes, and the softmax functions that build on them. They are compositions of other operations: to find
//! maxima over axes, these axes are moved to the rows of an image and pooled in one window ([`Tensor::max_pool2d`]).

use super::Pool2d;
use crate::shape::Shape;
use crate::tensor::Tensor;

impl Tensor {
    /// Returns the maxima over some axes, which the result no longer has. The first of equal maxima receives the
    /// gradient. The maximum of elements that include NaN is NaN.
    ///
    /// # Panics
    /// Panics if there is no such axis.
    #[track_caller]
    pub fn max_axes(&self, axes: &[usize]) -> Tensor {
        let shape = self.shape();
        for &axis in axes {
            assert!(shape[axis] > 0, "max_axes: axis {axis} of a tensor of shape {shape:?} has no elements");
        }
        let (reduced, kept): (Vec<usize>, Vec<usize>) = (0..shape.rank()).partition(|axis| axes.contains(axis));
        let result: Vec<usize> = kept.iter().map(|&axis| shape[axis]).collect();
        let result = Shape::of(&result).expect("fewer axes than before");
        let count = shape.len() / result.len().max(1);
        let columns = self.permute(&[kept, reduced].concat()).reshape([1, result.len(), count, 1]);
        columns.max_pool2d(Pool2d { kernel: [count, 1], stride: [1, 1], padding: [0, 0] }).reshape(result)
    }

    /// Returns the softmax along an axis: exponentials divided by their sum, which are positive and sum to 1.
    ///
    /// # Panics
    /// Panics if there is no such axis.
    #[track_caller]
    pub fn softmax(&self, axis: usize) -> Tensor {
        let exponentials = self.below_maximum(axis).exp();
        let sums = exponentials.sum_to(self.shape_over(&[axis]));
        exponentials / sums
    }

    /// Returns the logarithm of [`Tensor::softmax`], without overflow.
    ///
    /// # Panics
    /// Panics if there is no such axis.
    #[track_caller]
    pub fn log_softmax(&self, axis: usize) -> Tensor {
        let logits = self.below_maximum(axis);
        let log_sums = logits.exp().sum_to(self.shape_over(&[axis])).log();
        logits - log_sums
    }

    /// Subtracts the maximum along an axis, so that no exponential overflows. The maximum cancels in the functions
    /// above, so it is treated as a constant.
    #[track_caller]
    fn below_maximum(&self, axis: usize) -> Tensor {
        self - self.detach().max_axes(&[axis]).reshape(self.shape_over(&[axis]))
    }
}
