//! Layer norm with the rectifier that follows it: each image is normalised by the statistics of all its numbers, so it does
//! not depend on the batch, as a critic under a gradient penalty must not.

use super::batch_norm::{Cut, normalised};
use crate::tensor::Tensor;

impl Tensor {
    /// Layer normalisation over C, H and W, a scale and a shift for each channel, and [`Tensor::leaky_relu`]; a slope of 1
    /// leaves the rectifier out.
    ///
    /// This tensor is `[n, c, h, w]` or `[n, c]`. Each image is normalised with the mean and the biased variance of its own
    /// numbers. `scale` and `shift` are `[c]`.
    ///
    /// # Panics
    /// When a table has another shape, or the slope does not lie in `[0, 1]`.
    #[track_caller]
    pub fn layer_norm_leaky_relu(&self, scale: &Tensor, shift: &Tensor, epsilon: f64, slope: f64) -> Tensor {
        let shape = self.images_or_rows("layer_norm_leaky_relu");
        for table in [scale, shift] {
            let fits = table.shape() == [shape.c];
            assert!(fits, "layer_norm_leaky_relu: a table of shape {:?} for {} channels", table.shape(), shape.c);
        }
        // The kernels of batch norm take each image for a group of its own.
        let cut = Cut { shape, groups: shape.n, rows: shape.n, across_channels: true };
        let [scale, shift] = [scale, shift].map(|table| table.broadcast_to([shape.n, shape.c]));
        normalised(self, [&scale, &shift], cut, epsilon, slope)
    }
}
