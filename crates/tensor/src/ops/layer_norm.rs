//! Layer normalisation with the rectifier that follows it. Each image is normalised by the statistics of its own
//! elements, so the result does not depend on the other images of the batch, which a critic under a gradient penalty
//! requires.

use super::batch_norm::{NormGroups, normalised};
use crate::tensor::Tensor;

impl Tensor {
    /// Applies layer normalisation over C, H and W, a scale and a shift for each channel, and [`Tensor::leaky_relu`]. A
    /// slope of 1 leaves the rectifier out.
    ///
    /// This tensor is `[n, c, h, w]` or `[n, c]`. Each image is normalised with the mean and the biased variance of its
    /// own elements. `scale` and `shift` are `[c]`.
    ///
    /// # Panics
    /// Panics if a table has another shape, or the slope does not lie in `[0, 1]`.
    #[track_caller]
    pub fn layer_norm_leaky_relu(&self, scale: &Tensor, shift: &Tensor, epsilon: f64, slope: f64) -> Tensor {
        let shape = self.images_or_rows("layer_norm_leaky_relu");
        for table in [scale, shift] {
            let fits = table.shape() == [shape.c];
            assert!(fits, "layer_norm_leaky_relu: a table of shape {:?} for {} channels", table.shape(), shape.c);
        }
        // The kernels of batch normalisation are used with each image as a group of its own.
        let cut = NormGroups { shape, groups: shape.n, rows: shape.n, across_channels: true };
        let [scale, shift] = [scale, shift].map(|table| table.broadcast_to([shape.n, shape.c]));
        normalised(self, [&scale, &shift], cut, epsilon, slope)
    }
}
