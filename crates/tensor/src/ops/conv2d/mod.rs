//! Convolution, and the matrix product, which is the 1x1 convolution of one pixel.
//!
//! The trilinear form T(x, w, g) = <conv2d(x, w), g> has three partial maps: the convolution itself, its input gradient
//! (also called transposed convolution) and its weight gradient. The gradient of each is made of the other two, so the
//! three are closed under differentiation of any order.

mod cpu;
mod cuda;
mod epilogue;
mod frozen;
mod geometry;
#[cfg(test)]
mod kernel_tests;
mod reference;

pub use frozen::FrozenConv2d;
pub use geometry::Conv2d;
pub(super) use geometry::Geometry;

use std::sync::atomic::{AtomicU64, Ordering};

use super::leaky_relu::{assert_slope, leaky_relu_gradients};
use crate::cuda::Buffer as DeviceBuffer;
use crate::pool::Buffer;
use crate::shape::Shape;
use crate::storage::Storage;
use crate::tensor::Tensor;
use epilogue::Epilogue;

static FLOPS: AtomicU64 = AtomicU64::new(0);

/// Additions and multiplications of all convolutions and matrix products that this process has computed, tap by tap and
/// without those with the padding. The difference around a piece of work is what direct kernels need at least; Winograd's
/// path takes fewer.
pub fn conv2d_flops() -> u64 {
    FLOPS.load(Ordering::Relaxed)
}

impl Tensor {
    /// The convolution of images `[n, ci, h, w]` with a kernel `[co, ci, kh, kw]`: shape `[n, co, oh, ow]`.
    ///
    /// # Panics
    /// When the channels differ or the kernel is larger than the padded image.
    pub fn conv2d(&self, weight: &Tensor, conv: Conv2d) -> Tensor {
        let g = geometry("conv2d", self.shape(), weight.shape(), conv);
        let storage = run(
            self,
            weight,
            g.output_len(),
            |x, w, y| cpu::conv2d(&g, x, w, None, y),
            |x, w, y| reference::conv2d(&g, x, w, y),
            |x, w| cuda::conv2d(&g, x, w, None),
        );
        let (x, w) = (self.clone(), weight.clone());
        Tensor::from_operation(g.output(), storage, &[self, weight], move |back| {
            let g = back.upstream;
            vec![
                back.when(0, || g.conv2d_input_grad(&w, conv, x.shape())),
                back.when(1, || x.conv2d_weight_grad(g, conv, w.shape())),
            ]
        })
    }

    /// A layer: [`Tensor::conv2d`], a bias per channel (`[1, co, 1, 1]`) and [`Tensor::leaky_relu`], without passes over
    /// memory of their own. A slope of 1 leaves the rectifier out.
    ///
    /// # Panics
    /// As [`Tensor::conv2d`], or when the bias has another shape.
    pub fn conv2d_leaky_relu(&self, weight: &Tensor, bias: &Tensor, conv: Conv2d, slope: f64) -> Tensor {
        let g = geometry("conv2d_leaky_relu", self.shape(), weight.shape(), conv);
        let storage = run_layer(
            [self, weight, bias],
            slope,
            g.output(),
            |x, w, epilogue, y| cpu::conv2d(&g, x, w, Some(epilogue), y),
            |x, w, y| reference::conv2d(&g, x, w, y),
            |x, w, epilogue| cuda::conv2d(&g, x, w, epilogue),
        );
        let (x, w) = (self.clone(), weight.clone());
        Tensor::with_saved_output(g.output(), storage, &[self, weight, bias], move |y| {
            move |back| {
                let (g, to_bias) = leaky_relu_gradients(back, &y, slope, 2);
                vec![
                    back.when(0, || g.conv2d_input_grad(&w, conv, x.shape())),
                    back.when(1, || x.conv2d_weight_grad(&g, conv, w.shape())),
                    to_bias,
                ]
            }
        })
    }

    /// The gradient of [`Tensor::conv2d`] with respect to images of shape `input`, this tensor `[n, co, oh, ow]` being
    /// that of its result. It is what PyTorch calls the transposed convolution, with the weight in PyTorch's order.
    ///
    /// # Panics
    /// When a convolution of such images with `weight` does not have this tensor's shape.
    pub fn conv2d_input_grad(&self, weight: &Tensor, conv: Conv2d, input: impl Into<Shape>) -> Tensor {
        let input = input.into();
        let g = geometry("conv2d_input_grad", input, weight.shape(), conv);
        assert_eq!(self.shape(), g.output(), "conv2d_input_grad to images of shape {input:?}");
        let storage = run(
            self,
            weight,
            input.len(),
            |dy, w, dx| cpu::input_grad(&g, dy, w, None, dx),
            |dy, w, dx| reference::input_grad(&g, dy, w, dx),
            |dy, w| cuda::input_grad(&g, dy, w, None),
        );
        let (dy, w) = (self.clone(), weight.clone());
        Tensor::from_operation(input, storage, &[self, weight], move |back| {
            let x = back.upstream;
            vec![back.when(0, || x.conv2d(&w, conv)), back.when(1, || x.conv2d_weight_grad(&dy, conv, w.shape()))]
        })
    }

    /// As [`Tensor::conv2d_leaky_relu`], of a transposed convolution: [`Tensor::conv2d_input_grad`], a bias per channel
    /// (`[1, ci, 1, 1]`) and [`Tensor::leaky_relu`].
    ///
    /// # Panics
    /// As [`Tensor::conv2d_input_grad`], or when the bias has another shape.
    pub fn conv2d_input_grad_leaky_relu(
        &self,
        weight: &Tensor,
        bias: &Tensor,
        conv: Conv2d,
        input: impl Into<Shape>,
        slope: f64,
    ) -> Tensor {
        let input = input.into();
        let g = geometry("conv2d_input_grad_leaky_relu", input, weight.shape(), conv);
        assert_eq!(self.shape(), g.output(), "conv2d_input_grad_leaky_relu to images of shape {input:?}");
        let storage = run_layer(
            [self, weight, bias],
            slope,
            input,
            |dy, w, epilogue, dx| cpu::input_grad(&g, dy, w, Some(epilogue), dx),
            |dy, w, dx| reference::input_grad(&g, dy, w, dx),
            |dy, w, epilogue| cuda::input_grad(&g, dy, w, epilogue),
        );
        let (dy, w) = (self.clone(), weight.clone());
        Tensor::with_saved_output(input, storage, &[self, weight, bias], move |y| {
            move |back| {
                let (x, to_bias) = leaky_relu_gradients(back, &y, slope, 2);
                vec![
                    back.when(0, || x.conv2d(&w, conv)),
                    back.when(1, || x.conv2d_weight_grad(&dy, conv, w.shape())),
                    to_bias,
                ]
            }
        })
    }

    /// The gradient of [`Tensor::conv2d`] of these images with respect to a kernel of shape `weight`, `output_grad` being
    /// that of its result.
    ///
    /// # Panics
    /// When a convolution with such a kernel does not have `output_grad`'s shape.
    pub fn conv2d_weight_grad(&self, output_grad: &Tensor, conv: Conv2d, weight: impl Into<Shape>) -> Tensor {
        let weight = weight.into();
        let g = geometry("conv2d_weight_grad", self.shape(), weight, conv);
        assert_eq!(output_grad.shape(), g.output(), "conv2d_weight_grad to a kernel of shape {weight:?}");
        let storage = run(
            self,
            output_grad,
            weight.len(),
            |x, dy, dw| cpu::weight_grad(&g, x, dy, dw),
            |x, dy, dw| reference::weight_grad(&g, x, dy, dw),
            |x, dy| cuda::weight_grad(&g, x, dy),
        );
        let (x, dy) = (self.clone(), output_grad.clone());
        Tensor::from_operation(weight, storage, &[self, output_grad], move |back| {
            let w = back.upstream;
            vec![back.when(0, || dy.conv2d_input_grad(w, conv, x.shape())), back.when(1, || x.conv2d(w, conv))]
        })
    }

    /// The product of this matrix (N x K) with the transpose of `weight` (M x K): N x M, as a linear layer without bias
    /// computes it.
    ///
    /// # Panics
    /// When these are no matrices with the same number of columns.
    pub fn linear(&self, weight: &Tensor) -> Tensor {
        let is_matrix = |t: &Tensor| t.shape().pixels() == 1;
        assert!(is_matrix(self) && is_matrix(weight), "linear of {:?} and {:?}", self.shape(), weight.shape());
        self.conv2d(weight, Conv2d::POINT)
    }
}

/// The three maps by each kernel that computes tiles; nothing on devices without such kernels.
pub(crate) fn conv2d_by_every_tile([x, w, dy]: [&Tensor; 3], conv: Conv2d) -> Vec<[Tensor; 3]> {
    let g = geometry("conv2d", x.shape(), w.shape(), conv);
    let [Storage::Cuda(images), Storage::Cuda(kernel), Storage::Cuda(gradient)] = [x, w, dy].map(Tensor::storage)
    else {
        return Vec::new();
    };
    let results = cuda::by_every_tile(&g, [images, kernel, gradient]).into_iter();
    let tensor = |shape, buffer| Tensor::constant(shape, Storage::Cuda(buffer));
    results.map(|[y, dx, dw]| [tensor(g.output(), y), tensor(x.shape(), dx), tensor(w.shape(), dw)]).collect()
}

/// The geometry of an operation that is about to run.
fn geometry(operation: &str, input: Shape, weight: Shape, conv: Conv2d) -> Geometry {
    let g = Geometry::new(input, weight, conv)
        .unwrap_or_else(|| panic!("{operation} of images {input:?} with a kernel {weight:?} and {conv:?}"));
    FLOPS.fetch_add(g.flops() as u64, Ordering::Relaxed);
    g
}

/// Runs one map on the device of its operands.
fn run(
    a: &Tensor,
    b: &Tensor,
    len: usize,
    fast: impl FnOnce(&[f32], &[f32], &mut [f32]),
    plain: impl FnOnce(&[f64], &[f64], &mut [f64]),
    launch: impl FnOnce(&DeviceBuffer, &DeviceBuffer) -> DeviceBuffer,
) -> Storage {
    match (a.storage(), b.storage()) {
        (Storage::F32(a), Storage::F32(b)) => {
            let mut out = Buffer::stale(len);
            fast(a, b, &mut out);
            Storage::F32(out)
        }
        (Storage::F64(a), Storage::F64(b)) => {
            let mut out = Buffer::stale(len);
            plain(a, b, &mut out);
            Storage::F64(out)
        }
        (Storage::Cuda(a), Storage::Cuda(b)) => Storage::Cuda(launch(a, b)),
        (a, b) => panic!("operands on different devices: {} and {}", a.device(), b.device()),
    }
}

/// Runs the map of a layer with its bias and rectifier on the device of its operands.
fn run_layer(
    [a, b, bias]: [&Tensor; 3],
    slope: f64,
    out: Shape,
    fast: impl FnOnce(&[f32], &[f32], &Epilogue<f32>, &mut [f32]),
    plain: impl FnOnce(&[f64], &[f64], &mut [f64]),
    launch: impl FnOnce(&DeviceBuffer, &DeviceBuffer, cuda::Epilogue) -> DeviceBuffer,
) -> Storage {
    assert_slope(slope);
    assert_eq!(bias.shape(), Shape::vector(out.c), "bias of a layer with results of shape {out:?}");
    run(
        a,
        b,
        out.len(),
        |a, b, y| match bias.storage() {
            Storage::F32(bias) => fast(a, b, &Epilogue { bias, slope: slope as f32 }, y),
            other => panic!("a layer on cpu with a bias on {}", other.device()),
        },
        |a, b, y| match bias.storage() {
            Storage::F64(bias) => {
                plain(a, b, y);
                let epilogue = Epilogue { bias, slope };
                for channel in 0..out.c {
                    epilogue.apply_to_channel(channel, y[channel..].iter_mut().step_by(out.c));
                }
            }
            other => panic!("a layer on reference with a bias on {}", other.device()),
        },
        |a, b| match bias.storage() {
            Storage::Cuda(bias) => launch(a, b, Some((bias, slope))),
            other => panic!("a layer on a CUDA device with a bias on {}", other.device()),
        },
    )
}
