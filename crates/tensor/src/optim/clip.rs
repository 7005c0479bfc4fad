//! Gradient clipping, like PyTorch's `clip_grad_norm_` and `clip_grad_value_`.

use crate::tensor::Tensor;

/// Scales all gradients by one factor, so that their joint norm, as one vector, is at most `limit` (Pascanu et al.,
/// 2013), and returns the norm before scaling. The factor is `min(1, limit / (norm + 1e-6))`, as in PyTorch.
///
/// The norm stays on its device until it is read, so this function does not wait for it.
///
/// # Panics
/// Panics if there are no gradients, if they are on different devices, or if the limit is negative.
#[track_caller]
pub fn clip_grad_norm(gradients: &mut [Tensor], limit: f64) -> Tensor {
    assert!(limit >= 0.0, "clip_grad_norm to {limit}: a norm is never negative");
    let squares = gradients.iter().map(|gradient| gradient.square().sum());
    let norm = squares.reduce(|sum, square| sum + square).expect("clip_grad_norm of no gradients").sqrt();
    let factor = (limit * (&norm + 1e-6).recip()).clamp(0.0, 1.0);
    gradients.iter_mut().for_each(|gradient| *gradient = &*gradient * &factor);
    norm
}

/// Clamps every number of the gradients to `-limit..=limit`.
///
/// # Panics
/// Panics if the limit is negative.
#[track_caller]
pub fn clip_grad_value(gradients: &mut [Tensor], limit: f64) {
    assert!(limit >= 0.0, "clip_grad_value to {limit}: the limit is the largest absolute value");
    gradients.iter_mut().for_each(|gradient| *gradient = gradient.clamp(-limit, limit));
}
