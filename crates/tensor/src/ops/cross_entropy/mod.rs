//! Softmax cross-entropy: the class term of the AC-GAN loss and the loss of every classifier.
//!
//! It is a composition of other operations. On CUDA devices, where launching a small operation costs more than
//! computing it, one kernel computes the loss and one its gradient, unless the gradient's own graph is recorded; then
//! the composition runs.

mod cuda;

use crate::autograd::is_recording;
use crate::cuda::Buffer as DeviceBuffer;
use crate::shape::Shape;
use crate::storage::{Element, Storage, dispatch, operands};
use crate::tensor::Tensor;

impl Tensor {
    /// Returns the mean over the rows of `-log softmax(row)[label]`, a scalar. This tensor holds logits `[n, k]`.
    ///
    /// # Panics
    /// Panics if this tensor is not a matrix, or there is not exactly one label below k for every row.
    #[track_caller]
    pub fn cross_entropy(&self, labels: &[usize]) -> Tensor {
        let [n, classes] = self.matrix("cross_entropy");
        let count = labels.len();
        assert!(
            count == n,
            "cross_entropy: {count} labels for {n} rows of logits; a label is the number of a class, not one-hot"
        );
        assert!(n > 0, "cross_entropy of no rows has no mean");
        if let Some(label) = labels.iter().find(|&&label| label >= classes) {
            panic!("cross_entropy: label {label} for logits of {classes} classes, which are counted from 0");
        }
        let Storage::Cuda(x) = self.storage() else {
            let logits = self.below_maxima();
            let log_sums = logits.exp().sum_to([n, 1]).log();
            let chosen = (logits * self.chosen(labels)).sum();
            return (log_sums.sum() - chosen) * (1.0 / n as f64);
        };
        let numbers: Vec<i32> = labels.iter().map(|&label| label as i32).collect();
        let numbers = DeviceBuffer::upload(x.context(), &numbers);
        let [log_sums, loss] = cuda::cross_entropy(x, &numbers);
        let (x, labels) = (self.clone(), labels.to_vec());
        Tensor::from_operation(Shape::SCALAR, Storage::Cuda(loss), &[self], move |back| {
            let gradient = match [&x, back.upstream].map(Tensor::storage) {
                [Storage::Cuda(logits), Storage::Cuda(upstream)] if !is_recording() => {
                    let gradient = cuda::cross_entropy_gradient([logits, &numbers, &log_sums, upstream]);
                    Tensor::constant(x.shape(), Storage::Cuda(gradient))
                }
                _ => {
                    let exponentials = x.below_maxima().exp();
                    let shares = &exponentials * exponentials.sum_to([n, 1]).reciprocal_or_zero();
                    (shares - x.chosen(&labels)) * (back.upstream * (1.0 / n as f64))
                }
            };
            vec![Some(gradient)]
        })
    }

    /// Subtracts from each row of logits its maximum, so that no exponential overflows. The maximum cancels in the
    /// result, so it is treated as a constant.
    fn below_maxima(&self) -> Tensor {
        fn maxima<T: Element>(x: &[T], columns: usize) -> crate::pool::Buffer<T> {
            let maxima: Vec<T> =
                x.chunks_exact(columns).map(|row| row.iter().copied().fold(T::neg_infinity(), T::max)).collect();
            maxima.as_slice().into()
        }
        let [n, c] = self.shape().dims();
        let x = operands("cross_entropy", [self]);
        let maxima = dispatch!(x, |[x]| maxima(x, c), |[x]| cuda::row_maxima(x, n));
        self - Tensor::constant([n, 1].into(), maxima)
    }

    /// Returns the one-hot encoding of the labels.
    fn chosen(&self, labels: &[usize]) -> Tensor {
        let classes = self.shape()[1];
        let mut chosen = vec![0.0; labels.len() * classes];
        labels.iter().enumerate().for_each(|(row, label)| chosen[row * classes + label] = 1.0);
        Tensor::from_vec(chosen, self.shape(), self.device())
    }
}
