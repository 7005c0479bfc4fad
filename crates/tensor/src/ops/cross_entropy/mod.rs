//! Softmax cross-entropy: the class term of the AC-GAN loss and the loss of every classifier.

use crate::cuda;
use crate::shape::Shape;
use crate::storage::{Element, dispatch};
use crate::tensor::Tensor;

impl Tensor {
    /// The mean over the rows of `-log softmax(row)[label]`, a scalar; this tensor is N x K logits.
    ///
    /// # Panics
    /// When this is no matrix, or there is not one label below K for every row.
    pub fn cross_entropy(&self, labels: &[usize]) -> Tensor {
        let Shape { n, c: classes, .. } = self.shape();
        assert_eq!(self.shape(), Shape::matrix(n, classes), "cross_entropy of logits");
        assert!(
            labels.len() == n && labels.iter().all(|&label| label < classes),
            "cross_entropy of {n} rows of {classes} logits with labels {labels:?}"
        );
        // The largest logit is subtracted so that no exponential overflows. It cancels, so it is a constant.
        let logits = self - &self.row_maxima();
        let log_sums = logits.exp().sum_to(Shape::matrix(n, 1)).ln();
        let mut chosen = vec![0.0; n * classes];
        labels.iter().enumerate().for_each(|(row, label)| chosen[row * classes + label] = 1.0);
        let chosen = Tensor::from_vec(chosen, self.shape(), self.device());
        (&log_sums.sum() - &(&logits * &chosen).sum()).scale(1.0 / n as f64)
    }

    /// The largest element of each row of a matrix, as a constant.
    fn row_maxima(&self) -> Tensor {
        fn maxima<T: Element>(x: &[T], columns: usize) -> crate::pool::Buffer<T> {
            let maxima: Vec<T> =
                x.chunks_exact(columns).map(|row| row.iter().copied().fold(T::neg_infinity(), T::max)).collect();
            maxima.as_slice().into()
        }
        fn on_device(x: &cuda::Buffer, rows: usize, columns: usize) -> cuda::Buffer {
            let maxima = cuda::Buffer::stale(x.context(), rows);
            let arguments: [&dyn cuda::Argument; 4] = [x, &maxima, &(rows as i32), &(columns as i32)];
            // A row is read by a warp, a block has eight.
            x.context().launch("row_maxima_f32", [rows.div_ceil(8), 1, 1], [256, 1, 1], &arguments);
            maxima
        }
        let Shape { n, c, .. } = self.shape();
        Tensor::constant(Shape::matrix(n, 1), dispatch!(self, |x| maxima(x, c), |x| on_device(x, n, c)))
    }
}
