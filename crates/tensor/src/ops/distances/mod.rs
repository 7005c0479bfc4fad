//! Squared distances: that between two tensors, and that of each image's norm from 1, which is the gradient penalty of
//! WGAN-GP.
//!
//! Both are compositions of other operations. On CUDA devices, where launching a small operation costs more than
//! computing it, kernels compute them in two passes and their gradients in one, unless the gradient's own graph is
//! recorded; then the composition runs.

mod cuda;

use crate::autograd::is_recording;
use crate::shape::Shape;
use crate::storage::Storage;
use crate::tensor::Tensor;

impl Tensor {
    /// Returns the sum of the squared differences from `other`, a scalar.
    ///
    /// # Panics
    /// Panics if the shapes differ.
    #[track_caller]
    pub fn squared_distance(&self, other: &Tensor) -> Tensor {
        let (left, right) = (self.shape(), other.shape());
        assert!(left == right, "squared_distance: the shapes {left:?} and {right:?} differ");
        let (Storage::Cuda(x), Storage::Cuda(y)) = (self.storage(), other.storage()) else {
            return (self - other).square().sum();
        };
        let (a, b) = (self.clone(), other.clone());
        let storage = Storage::Cuda(cuda::squared_distance(x, y));
        Tensor::from_operation(Shape::SCALAR, storage, &[self, other], move |back| {
            let upstream = back.upstream;
            let to_a = match [&a, &b, upstream].map(Tensor::storage) {
                [Storage::Cuda(a_numbers), Storage::Cuda(b_numbers), Storage::Cuda(upstream)] if !is_recording() => {
                    let gradient = cuda::squared_distance_gradient(a_numbers, b_numbers, upstream);
                    Tensor::constant(a.shape(), Storage::Cuda(gradient))
                }
                _ => (&a - &b) * (upstream * 2.0),
            };
            let to_b = back.when(1, || -&to_a);
            vec![Some(to_a), to_b]
        })
    }

    /// Returns the mean over images of `(norm - 1)^2`, a scalar, where the norm is taken over all elements of an image.
    /// Applied to the critic's gradients at images between real and fake ones, it is the gradient penalty (Gulrajani et
    /// al., 2017).
    ///
    /// An image of zeros has a gradient of zeros; see [`Tensor::sqrt`].
    ///
    /// # Panics
    /// Panics if this tensor is neither images `[n, c, h, w]` nor rows `[n, c]`.
    #[track_caller]
    pub fn unit_norm_penalty(&self) -> Tensor {
        let shape = self.images_or_rows("unit_norm_penalty");
        let images = shape.n;
        let per_image = self.shape_over(&(1..self.shape().rank()).collect::<Vec<_>>());
        let Storage::Cuda(x) = self.storage() else {
            let norm = self.square().sum_to(per_image).sqrt();
            return (norm - 1.0).square().mean();
        };
        let (norms, penalty) = cuda::unit_norm_penalty(x, shape);
        let (x, norms) = (self.clone(), Tensor::constant(per_image, Storage::Cuda(norms)));
        Tensor::from_operation(Shape::SCALAR, Storage::Cuda(penalty), &[self], move |back| {
            let gradient = match [&x, &norms, back.upstream].map(Tensor::storage) {
                [Storage::Cuda(numbers), Storage::Cuda(norms), Storage::Cuda(upstream)] if !is_recording() => {
                    let gradient = cuda::unit_norm_penalty_gradient(numbers, norms, upstream, shape);
                    Tensor::constant(x.shape(), Storage::Cuda(gradient))
                }
                _ => {
                    let norm = x.square().sum_to(per_image).sqrt();
                    let factor = (&norm - 1.0) * norm.reciprocal_or_zero();
                    &x * (factor * (back.upstream * (2.0 / images as f64)))
                }
            };
            vec![Some(gradient)]
        })
    }
}
