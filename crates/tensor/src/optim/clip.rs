//! Gradients kept from becoming too large, as PyTorch's `clip_grad_norm_` and `clip_grad_value_` do.

use crate::tensor::Tensor;

/// Scales all gradients by one factor, so that the norm of them together, as one vector, is at most `limit` (Pascanu et al.,
/// 2013), and returns the norm that they had. The factor is `min(1, limit / (norm + 1e-6))`, as PyTorch's.
///
/// The norm stays on its device until somebody reads it, so nothing waits for it here.
///
/// # Panics
/// When there are no gradients, they are on different devices, or the limit is negative.
#[track_caller]
pub fn clip_grad_norm(gradients: &mut [Tensor], limit: f64) -> Tensor {
    assert!(limit >= 0.0, "clip_grad_norm to {limit}: a norm is never negative");
    let squares = gradients.iter().map(|gradient| gradient.square().sum());
    let norm = squares.reduce(|sum, square| sum + square).expect("clip_grad_norm of no gradients").sqrt();
    let factor = (limit * (&norm + 1e-6).recip()).clamp(0.0, 1.0);
    gradients.iter_mut().for_each(|gradient| *gradient = &*gradient * &factor);
    norm
}

/// Brings every number of the gradients into `-limit..=limit`.
///
/// # Panics
/// When the limit is negative.
#[track_caller]
pub fn clip_grad_value(gradients: &mut [Tensor], limit: f64) {
    assert!(limit >= 0.0, "clip_grad_value to {limit}: the limit is the largest absolute value");
    gradients.iter_mut().for_each(|gradient| *gradient = gradient.clamp(-limit, limit));
}
