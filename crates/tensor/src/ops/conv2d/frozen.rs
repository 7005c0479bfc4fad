//! A convolutional layer whose weights no longer change.

use std::sync::OnceLock;

use super::cpu::{Direction, Order};
use super::epilogue::Epilogue;
use super::geometry;
use super::geometry::{Conv2d, Geometry};
use crate::cpu::Simd;
use crate::layout::Nchw;
use crate::pool::Buffer;
use crate::storage::Storage;
use crate::tensor::Tensor;

/// A convolution with a bias per channel and a leaky rectifier, for networks that only run forward.
///
/// [`Tensor::conv2d_leaky_relu`] reorders the weights for its kernels in every call, which is not worthwhile for a
/// single image. Here they are reordered only once.
pub struct FrozenConv2d {
    weight: Weight,
    bias: Tensor,
    conv: Conv2d,
    slope: f64,
}

/// Weights in the orders of the kernels.
struct Arranged {
    /// The kernel's shape.
    shape: Nchw,
    /// As they are stored or packed.
    direct: (Order, Buffer<f32>),
    /// At points, from the first images on that pay for them.
    at_points: OnceLock<Buffer<f32>>,
}

enum Weight {
    /// On the CPU.
    Arranged(Box<Arranged>),
    /// On any other device, or if the channels are in several groups: the kernel.
    Plain(Tensor),
}

impl FrozenConv2d {
    /// Creates a layer with these weights `[co, ci / groups, kh, kw]` and this bias `[co]`.
    ///
    /// # Panics
    /// Panics if the bias has another shape, or the slope does not lie in `[0, 1]`.
    #[track_caller]
    pub fn new(weight: &Tensor, bias: &Tensor, conv: Conv2d, slope: f64) -> Self {
        super::assert_slope(slope);
        super::require_kernel("FrozenConv2d::new", weight);
        let kernel = weight.shape().nchw();
        super::require_bias("FrozenConv2d::new", bias, kernel.n);
        let weight = match weight.storage() {
            Storage::F32(numbers) if conv.groups == 1 => {
                // The order of packed weights does not depend on the size of the images.
                let g = Geometry::new(Nchw { n: 1, ..kernel }, kernel, Conv2d::POINT)
                    .expect("a kernel fits an image of its size");
                Weight::Arranged(Box::new(Arranged::new(kernel, &g, numbers)))
            }
            _ => Weight::Plain(weight.detach()),
        };
        FrozenConv2d { weight, bias: bias.detach(), conv, slope }
    }

    /// Returns what [`Tensor::conv2d_leaky_relu`] returns, up to rounding. If the channels are in one group, an image's result
    /// on the CPU does not depend on the others of its batch, even in its last bits. The result is a constant.
    ///
    /// # Panics
    /// Panics if the channels differ, the kernel is larger than the padded image, or the images are on another device.
    #[track_caller]
    pub fn forward(&self, images: &Tensor) -> Tensor {
        match (&self.weight, images.storage(), self.bias.storage()) {
            (Weight::Arranged(weight), Storage::F32(x), Storage::F32(bias)) => {
                let images = images.images("FrozenConv2d::forward");
                let g = geometry("FrozenConv2d::forward", images, weight.shape, self.conv);
                let mut y = Buffer::stale(g.output_len());
                let epilogue = Epilogue { bias, slope: self.slope as f32 };
                Direction::Forward.compute(Simd::chosen(), &g, x, weight.of(&g), Some(&epilogue), &mut y);
                Tensor::constant(g.output().into(), Storage::F32(y))
            }
            (Weight::Plain(weight), ..) => images.detach().conv2d_leaky_relu(weight, &self.bias, self.conv, self.slope),
            _ => panic!(
                "FrozenConv2d::forward: the layer is on {}, the images on {}; see Tensor::to_device",
                self.bias.device(),
                images.device()
            ),
        }
    }
}

impl Arranged {
    fn new(shape: Nchw, g: &Geometry, w: &[f32]) -> Self {
        let order = Direction::Forward.order(g);
        let direct = if order == Order::Stored {
            Buffer::from(w)
        } else {
            Direction::Forward.arrange(Simd::chosen(), g, order, w)
        };
        Arranged { shape, direct: (order, direct), at_points: OnceLock::new() }
    }

    /// Returns the weights in the order for a geometry. It is that of a single image, so that an image's result does not depend
    /// on the batch that it is in.
    fn of(&self, g: &Geometry) -> (Order, &[f32]) {
        let (order, direct) = &self.direct;
        if Direction::Forward.order(&Geometry { n: 1, ..*g }) != Order::AtPoints {
            return (*order, direct);
        }
        if self.at_points.get().is_none() {
            // Not inside `get_or_init`: a thread that waits for its own jobs may take up another that asks for the same.
            let _ = self.at_points.set(Direction::Forward.at_points(Simd::chosen(), g, direct));
        }
        (Order::AtPoints, self.at_points.get().expect("weights that were just arranged"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Address, Random};
    use crate::shape::Shape;
    use crate::storage::Device;

    #[test]
    fn a_frozen_layer_gives_the_bits_of_the_layer_and_of_any_batch() {
        for device in [Device::Cpu, Device::Reference] {
            let draw = |stream, shape: &[usize]| {
                let shape = Shape::of(shape).expect("at most four axes");
                Random::new(7).normal(Address { stream, ..Address::default() }, shape, device)
            };
            for (co, conv) in [(24, Conv2d::square(1, 1)), (3, Conv2d::square(2, 0)), (40, Conv2d::new([1, 2], [0, 1]))]
            {
                let (x, w, bias) = (draw(0, &[3, 5, 8, 7]), draw(1, &[co, 5, 3, 3]), draw(2, &[co]));
                let expected = x.conv2d_leaky_relu(&w, &bias, conv, 0.1).to_vec::<f64>();
                assert_eq!(FrozenConv2d::new(&w, &bias, conv, 0.1).forward(&x).to_vec::<f64>(), expected);
            }
            for side in [8, 20] {
                let (x, w, bias) = (draw(0, &[16, 16, side, side]), draw(1, &[24, 16, 3, 3]), draw(2, &[24]));
                let layer = FrozenConv2d::new(&w, &bias, Conv2d::square(1, 1), 0.1);
                let alone = layer.forward(&x.slice(0, 3..4)).to_vec::<f64>();
                assert_eq!(layer.forward(&x).slice(0, 3..4).to_vec::<f64>(), alone, "images of {side} pixels");
            }
        }
    }
}
