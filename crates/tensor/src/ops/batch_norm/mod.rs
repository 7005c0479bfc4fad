//! Conditional batch normalisation with the rectifier that follows it, in few passes over memory.
//!
//! ```text
//! x^ = (x - mean) / sqrt(variance + epsilon)          mean and variance of a group of the batch
//! y  = leaky_relu(x^ * scale + shift)                 scale and shift of the images' class
//! ```
//!
//! The forward computation takes two passes for the statistics and one for the result; x^ is never stored. The backward
//! computation takes one pass for the sums from which the gradients of the tables and of the statistics follow, and one
//! for the gradient of x. The gradient of that gradient, which a gradient penalty needs, takes two more passes. Beyond it,
//! and on CUDA devices, gradients of gradients are composed of other operations. Layer normalisation (`layer_norm.rs`)
//! differs only in its statistics.

mod cuda;
mod kernels;

pub(super) use kernels::NormGroups;

use super::leaky_relu::assert_slope;
use crate::autograd::{Backward, is_recording};
use crate::pool::Buffer;
use crate::shape::Shape;
use crate::storage::{Element, IntoStorage, Operands, Storage, dispatch, operands};
use crate::tensor::{SavedOutput, Tensor};

impl Tensor {
    /// Applies batch normalisation, a scale and a shift, and [`Tensor::leaky_relu`]. A slope of 1 leaves the rectifier
    /// out.
    ///
    /// The batch consists of `groups` groups of equal size, one after another. Each group is normalised, channel by
    /// channel, with the mean and the biased variance of its own images and pixels. One group is plain batch
    /// normalisation; several serve the class-pure batches of a replaying generator. This tensor is `[n, c, h, w]` or
    /// `[n, c]`. `scale` and `shift` are `[c]`, or `[r, c]` with a row for each of r equal blocks of images.
    ///
    /// # Panics
    /// Panics if the shapes of the tables differ or do not fit, if `groups` does not divide r (1 for a table `[c]`) or
    /// r does not divide n, or if the slope does not lie in `[0, 1]`.
    #[track_caller]
    pub fn batch_norm_leaky_relu(
        &self,
        scale: &Tensor,
        shift: &Tensor,
        groups: usize,
        epsilon: f64,
        slope: f64,
    ) -> Tensor {
        let shape = self.images_or_rows("batch_norm_leaky_relu");
        let rows = scale.table_rows("batch_norm_leaky_relu", shape);
        shift.table_rows("batch_norm_leaky_relu", shape);
        assert!(
            groups > 0 && rows.is_multiple_of(groups) && scale.shape() == shift.shape(),
            "batch_norm_leaky_relu in {groups} groups with tables of shapes {:?} and {:?}: these must be equal, and their rows \
             a multiple of the groups",
            scale.shape(),
            shift.shape()
        );
        let cut = NormGroups { shape, groups, rows, across_channels: false };
        normalised(self, [scale, shift], cut, epsilon, slope)
    }
}

/// Normalises images as `cut` says and applies the scales and shifts of its rows and a leaky rectifier.
#[track_caller]
pub(super) fn normalised(
    images: &Tensor,
    [scale, shift]: [&Tensor; 2],
    cut: NormGroups,
    epsilon: f64,
    slope: f64,
) -> Tensor {
    assert_slope(slope);
    let NormGroups { shape, groups, .. } = cut;
    let by_group = NormGroups { rows: groups, ..cut };
    let moments =
        dispatch!(operands("normalisation", [images]), |[x]| by_group.moments(x, epsilon), |[x]| cuda::moments(
            &cut, x, epsilon
        ));
    let [mean, inverse] = moments.map(|storage| Tensor::constant([groups, shape.c].into(), storage));
    let storage = dispatch!(
        operands("normalisation", [images, scale, shift, &mean, &inverse]),
        |[x, scale, shift, mean, inverse]| cut.forward(x, [scale, shift], [mean, inverse], slope),
        |[x, scale, shift, mean, inverse]| cuda::forward(&cut, x, [scale, shift], [mean, inverse], slope)
    );
    let saved = Saved { cut, x: images.clone(), scale: scale.clone(), mean, inverse, epsilon, slope };
    Tensor::with_saved_output(images.shape(), storage, &[images, scale, shift], |y| {
        move |back| saved.gradients(back, &y)
    })
}

/// The values that the gradient keeps, apart from the result.
#[derive(Clone)]
struct Saved {
    cut: NormGroups,
    x: Tensor,
    scale: Tensor,
    mean: Tensor,
    inverse: Tensor,
    epsilon: f64,
    slope: f64,
}

impl Saved {
    /// Returns the gradients of x, scale and shift.
    fn gradients(&self, back: &Backward, y: &SavedOutput) -> Vec<Option<Tensor>> {
        let (upstream, y) = (back.upstream, back.output(y).detach());
        let scale = self.scale.shape();
        if !is_recording() {
            return constants(self.kernel(upstream, &y), [self.x.shape(), scale, scale]);
        }
        let gated = || upstream.leaky_relu_grad(&y, self.slope);
        vec![
            back.when(0, || self.gradient_of_images(upstream, &y)),
            back.when(1, || (gated() * self.composed().normalised).sum_to_table(scale)),
            back.when(2, || gated().sum_to_table(scale)),
        ]
    }

    /// Computes the gradients of x, scale and shift in two passes over memory.
    #[track_caller]
    fn kernel(&self, upstream: &Tensor, y: &Tensor) -> [Storage; 3] {
        let Saved { cut, x, scale, mean, inverse, slope, .. } = self;
        dispatch!(
            operands("the gradient of a normalisation", [upstream, y, x, scale, mean, inverse]),
            |[g, y, x, scale, mean, inverse]| cut.backward([g, y, x], scale, [mean, inverse], *slope),
            |[g, y, x, scale, mean, inverse]| cuda::backward(cut, [g, y, x], scale, [mean, inverse], *slope)
        )
    }

    /// Returns the gradient of x as an operation on the upstream gradient, x and the scale. It can be differentiated any
    /// number of times: once by kernels (on CUDA devices by other operations), and further by other operations.
    #[track_caller]
    fn gradient_of_images(&self, upstream: &Tensor, y: &Tensor) -> Tensor {
        let [to_x, ..] = self.kernel(upstream, y);
        let (saved, g, y) = (self.clone(), upstream.clone(), y.clone());
        let operands = [upstream, &self.x, &self.scale];
        Tensor::from_operation(self.x.shape(), to_x, &operands, move |back| saved.second_gradients(back, &g, &y))
    }

    /// Returns the gradients of [`Saved::gradient_of_images`] with respect to the upstream gradient, x and the scale.
    fn second_gradients(&self, back: &Backward, upstream: &Tensor, y: &Tensor) -> Vec<Option<Tensor>> {
        if is_recording() {
            return self.composed_second_gradients(back, upstream, y);
        }
        let Saved { x, scale, mean, inverse, .. } = self;
        let tensors = [back.upstream, upstream, y, x, scale, mean, inverse];
        let gradients = match operands("a second gradient of a normalisation", tensors) {
            Operands::F32(numbers) => self.second_kernel(numbers).into_storage(),
            Operands::F64(numbers) => self.second_kernel(numbers).into_storage(),
            Operands::Cuda(_) => return self.composed_second_gradients(back, upstream, y),
        };
        constants(gradients, [x.shape(), x.shape(), scale.shape()])
    }

    /// Computes the second gradients from the numbers of all tensors that they depend on.
    fn second_kernel<T: Element>(&self, [u, g, y, x, scale, mean, inverse]: [&[T]; 7]) -> [Buffer<T>; 3] {
        self.cut.second([u, g, y, x], scale, [mean, inverse], self.slope)
    }

    /// Computes the second gradients by other operations, which is slower but differentiable any number of times.
    fn composed_second_gradients(&self, back: &Backward, upstream: &Tensor, y: &Tensor) -> Vec<Option<Tensor>> {
        let Saved { cut, scale, slope, .. } = self;
        let u = back.upstream;
        let composed = self.composed();
        let (x, inverse) = (&composed.normalised, &composed.inverse);
        let scale_of_each = scale.spread(x.shape());
        let gated = upstream.leaky_relu_grad(y, *slope);
        let g = &gated * &scale_of_each;
        let repeated = |table: Tensor| table.repeat_to(x.shape());
        let mean = |of: &Tensor| cut.mean(of);
        let through = |of: &Tensor| (of - repeated(mean(of)) - x * repeated(mean(&(of * x)))) * inverse;
        let (mean_gx, mean_ux) = (mean(&(&g * x)), mean(&(u * x)));
        let to_gated = through(u);
        let to_x = || {
            let of_inverse = mean(&(u * &g)) - mean(u) * mean(&g) - &mean_ux * &mean_gx;
            let of_x = (u * repeated(mean_gx.clone()) + &g * repeated(mean_ux.clone())) * inverse;
            -(through(&of_x) + x * repeated(of_inverse) * inverse.square())
        };
        vec![
            back.when(0, || (&to_gated * &scale_of_each).leaky_relu_grad(y, *slope)),
            back.when(1, to_x),
            back.when(2, || (&gated * &to_gated).sum_to_table(scale.shape())),
        ]
    }

    /// Computes x^ and the inverse standard deviation of each element by operations that can be differentiated.
    fn composed(&self) -> Composed {
        let Saved { cut, x, epsilon, .. } = self;
        let centred = x - cut.mean(x).repeat_to(x.shape());
        let inverse = (cut.mean(&centred.square()) + *epsilon).sqrt().reciprocal_or_zero().repeat_to(x.shape());
        Composed { normalised: centred * &inverse, inverse }
    }
}

struct Composed {
    normalised: Tensor,
    inverse: Tensor,
}

/// Returns gradients that kernels have computed.
fn constants(gradients: [Storage; 3], shapes: [Shape; 3]) -> Vec<Option<Tensor>> {
    gradients.into_iter().zip(shapes).map(|(of, shape)| Some(Tensor::constant(shape, of))).collect()
}
