//! Convolution and matrix product. A matrix product is the 1x1 convolution of one pixel.
//!
//! The trilinear form T(x, w, g) = <conv2d(x, w), g> has three partial maps: the convolution itself, its input gradient
//! (also called transposed convolution) and its weight gradient. The gradient of each map consists of the other two, so
//! the three are closed under differentiation of any order.

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

use super::leaky_relu::{assert_slope, leaky_relu_gradients};
use crate::cuda::Buffer as DeviceBuffer;
use crate::layout::Nchw;
use crate::pool::Buffer;
use crate::profile;
use crate::shape::Shape;
use crate::storage::{Element, Fixed, Operands, Storage, dispatch, operands};
use crate::tensor::Tensor;
use cpu::Direction;
use epilogue::Epilogue;

impl Tensor {
    /// Convolves images `[n, ci, h, w]` with a kernel `[co, ci / groups, kh, kw]`: shape `[n, co, oh, ow]`.
    ///
    /// # Panics
    /// Panics if the channels do not fit the kernel or the groups, or the kernel is larger than the padded image.
    #[track_caller]
    pub fn conv2d(&self, weight: &Tensor, conv: Conv2d) -> Tensor {
        require_images("conv2d", [self, weight]);
        match conv.groups {
            1 => self.convolved("conv2d", weight, conv),
            _ => self.by_group("conv2d", weight, conv, |x, w, conv| x.convolved("conv2d", w, conv)),
        }
    }

    /// Applies a layer: [`Tensor::conv2d`], a bias per channel (`[co]`) and [`Tensor::leaky_relu`], without additional
    /// passes over memory if there is one group of channels. A slope of 1 leaves the rectifier out.
    ///
    /// # Panics
    /// Panics under the conditions of [`Tensor::conv2d`], or if the bias has another shape, or the slope does not lie
    /// in `[0, 1]`.
    #[track_caller]
    pub fn conv2d_leaky_relu(&self, weight: &Tensor, bias: &Tensor, conv: Conv2d, slope: f64) -> Tensor {
        require_images("conv2d_leaky_relu", [self, weight]);
        if conv.groups != 1 {
            return finished("conv2d_leaky_relu", self.conv2d(weight, conv), bias, slope);
        }
        self.layer("conv2d_leaky_relu", weight, bias, conv, slope)
    }

    /// Applies the transposed convolution to images `[n, co, oh, ow]` and returns images of `size` (height and width):
    /// shape `[n, ci, height, width]`. It is the gradient of [`Tensor::conv2d`] with respect to its images. The weight
    /// is that of the convolution, `[co, ci / groups, kh, kw]`, which is PyTorch's order too.
    ///
    /// # Panics
    /// Panics if a convolution of such images with `weight` does not have this tensor's shape.
    #[track_caller]
    pub fn conv_transpose2d(&self, weight: &Tensor, conv: Conv2d, size: [usize; 2]) -> Tensor {
        if conv.groups != 1 {
            return self.by_group("conv_transpose2d", weight, conv, |x, w, conv| x.conv_transpose2d(w, conv, size));
        }
        let input = self.transposed_shape("conv_transpose2d", weight, size);
        self.convolved_transposed("conv_transpose2d", weight, conv, input)
    }

    /// Applies a layer with a transposed convolution, as [`Tensor::conv2d_leaky_relu`] does with a convolution:
    /// [`Tensor::conv_transpose2d`], a bias per channel (`[ci]`) and [`Tensor::leaky_relu`].
    ///
    /// # Panics
    /// Panics under the conditions of [`Tensor::conv_transpose2d`], or if the bias has another shape, or the slope does
    /// not lie in `[0, 1]`.
    #[track_caller]
    pub fn conv_transpose2d_leaky_relu(
        &self,
        weight: &Tensor,
        bias: &Tensor,
        conv: Conv2d,
        size: [usize; 2],
        slope: f64,
    ) -> Tensor {
        let operation = "conv_transpose2d_leaky_relu";
        if conv.groups != 1 {
            return finished(operation, self.conv_transpose2d(weight, conv, size), bias, slope);
        }
        let input = self.transposed_shape(operation, weight, size);
        let g = transposed_geometry(operation, self, weight, conv, input);
        let storage = run_layer(
            operation,
            [self, weight, bias],
            slope,
            g.input(),
            |dy, w, epilogue, dx| Direction::Transposed.run(&g, dy, w, Some(epilogue), dx),
            |dy, w, dx| reference::input_grad(&g, dy, w, dx),
            |dy, w, epilogue| cuda::input_grad(&g, dy, w, epilogue),
        );
        let (dy, w) = (self.clone(), weight.clone());
        Tensor::with_saved_output(input, storage, &[self, weight, bias], move |y| {
            // Without a rectifier, no gradient reads the result.
            let y = (slope != 1.0).then_some(y);
            move |back| {
                let (x, to_bias) = leaky_relu_gradients(back, y.as_ref(), slope, 2);
                vec![
                    back.when(0, || x.convolved(operation, &w, conv)),
                    back.when(1, || x.weight_gradient(operation, &dy, conv, w.shape())),
                    to_bias,
                ]
            }
        })
    }

    /// Returns the gradient of [`Tensor::conv2d`] of these images with respect to a kernel of shape `weight`.
    /// `output_grad` is the gradient with respect to the result. The channels must be in one group.
    ///
    /// # Panics
    /// Panics if a convolution with such a kernel does not have `output_grad`'s shape, or has several groups.
    #[track_caller]
    pub fn conv2d_weight_grad(&self, output_grad: &Tensor, conv: Conv2d, weight: [usize; 4]) -> Tensor {
        for images in [self, output_grad] {
            images.images("conv2d_weight_grad");
        }
        assert_eq!(conv.groups, 1, "conv2d_weight_grad with several groups of channels: take each group by itself");
        self.weight_gradient("conv2d_weight_grad", output_grad, conv, weight.into())
    }

    /// Multiplies this matrix `[n, k]` with the transpose of `weight` `[m, k]`, as a linear layer without bias does:
    /// shape `[n, m]`.
    ///
    /// # Panics
    /// Panics if these are not matrices with the same number of columns.
    #[track_caller]
    pub fn linear(&self, weight: &Tensor) -> Tensor {
        require_matrices("linear", self, weight);
        self.convolved("linear", weight, Conv2d::POINT)
    }

    /// Applies a layer: [`Tensor::linear`], a bias per column (`[m]`) and [`Tensor::leaky_relu`], without additional
    /// passes over memory. A slope of 1 leaves the rectifier out.
    ///
    /// # Panics
    /// Panics under the conditions of [`Tensor::linear`], or if the bias has another shape, or the slope does not lie
    /// in `[0, 1]`.
    #[track_caller]
    pub fn linear_leaky_relu(&self, weight: &Tensor, bias: &Tensor, slope: f64) -> Tensor {
        require_matrices("linear_leaky_relu", self, weight);
        self.layer("linear_leaky_relu", weight, bias, Conv2d::POINT, slope)
    }

    /// Multiplies matrices `[n, k]` and `[k, m]`: shape `[n, m]`. For tensors `[b, n, k]` and `[b, k, m]`, multiplies
    /// their matrices pair by pair: shape `[b, n, m]`.
    ///
    /// # Panics
    /// Panics if the operands do not both have two or three axes, if the axes' lengths do not fit, or if b is 0.
    #[track_caller]
    pub fn matmul(&self, other: &Tensor) -> Tensor {
        let (left, right) = (self.shape(), other.shape());
        match (left.axes(), right.axes()) {
            ([_, k], [k2, _]) if k == k2 => self.linear(&other.t()),
            (&[b, n, k], &[b2, k2, m]) if b == b2 && k == k2 && b > 0 => {
                let matrix =
                    |of: &Tensor, i: usize, [rows, columns]: [usize; 2]| of.slice(0, i..i + 1).reshape([rows, columns]);
                let products =
                    (0..b).map(|i| matrix(self, i, [n, k]).matmul(&matrix(other, i, [k, m])).reshape([1, n, m]));
                let products: Vec<Tensor> = products.collect();
                Tensor::concat(0, &products.iter().collect::<Vec<_>>())
            }
            _ => panic!(
                "matmul of tensors of shapes {left:?} and {right:?}: [n, k] times [k, m] or [b, n, k] times [b, k, m] is expected"
            ),
        }
    }

    /// Computes a convolution or a transposed convolution group by group. The groups are slices, so a few groups cost
    /// little more than one, but one group per channel costs much more.
    #[track_caller]
    fn by_group(
        &self,
        operation: &str,
        weight: &Tensor,
        conv: Conv2d,
        of_group: impl Fn(&Tensor, &Tensor, Conv2d) -> Tensor,
    ) -> Tensor {
        let (images, kernels, groups) = (self.shape(), weight.shape(), conv.groups);
        let divides = groups > 0 && images[1].is_multiple_of(groups) && kernels[0].is_multiple_of(groups);
        assert!(
            divides,
            "{operation}: {} channels of images and {} kernels cannot both be divided into {groups} groups",
            images[1], kernels[0]
        );
        let [channels, kernels] = [images[1], kernels[0]].map(|length| length / groups);
        let parts = (0..groups).map(|group| {
            let x = self.slice(1, group * channels..(group + 1) * channels);
            let w = weight.slice(0, group * kernels..(group + 1) * kernels);
            of_group(&x, &w, Conv2d { groups: 1, ..conv })
        });
        let parts: Vec<Tensor> = parts.collect();
        Tensor::concat(1, &parts.iter().collect::<Vec<_>>())
    }

    /// Convolves images, or rows as images of one pixel.
    #[track_caller]
    fn convolved(&self, operation: &'static str, weight: &Tensor, conv: Conv2d) -> Tensor {
        let g = geometry(operation, self.shape().nchw(), weight.shape().nchw(), conv);
        let storage = run(
            operands(operation, [self, weight]),
            g.output_len(),
            |[x, w], y| Direction::Forward.run(&g, x, w, None, y),
            |[x, w], y| reference::conv2d(&g, x, w, y),
            |[x, w]| cuda::conv2d(&g, x, w, None),
        );
        let (x, w) = (self.clone(), weight.clone());
        Tensor::from_operation(self.convolved_shape(&g), storage, &[self, weight], move |back| {
            let g = back.upstream;
            vec![
                back.when(0, || g.convolved_transposed(operation, &w, conv, x.shape())),
                back.when(1, || x.weight_gradient(operation, g, conv, w.shape())),
            ]
        })
    }

    /// Convolves as [`Tensor::convolved`] does, and applies a bias and a rectifier.
    #[track_caller]
    fn layer(&self, operation: &'static str, weight: &Tensor, bias: &Tensor, conv: Conv2d, slope: f64) -> Tensor {
        let g = geometry(operation, self.shape().nchw(), weight.shape().nchw(), conv);
        let storage = run_layer(
            operation,
            [self, weight, bias],
            slope,
            g.output(),
            |x, w, epilogue, y| Direction::Forward.run(&g, x, w, Some(epilogue), y),
            |x, w, y| reference::conv2d(&g, x, w, y),
            |x, w, epilogue| cuda::conv2d(&g, x, w, epilogue),
        );
        let (x, w) = (self.clone(), weight.clone());
        Tensor::with_saved_output(self.convolved_shape(&g), storage, &[self, weight, bias], move |y| {
            // Without a rectifier, no gradient reads the result.
            let y = (slope != 1.0).then_some(y);
            move |back| {
                let (g, to_bias) = leaky_relu_gradients(back, y.as_ref(), slope, 2);
                vec![
                    back.when(0, || g.convolved_transposed(operation, &w, conv, x.shape())),
                    back.when(1, || x.weight_gradient(operation, &g, conv, w.shape())),
                    to_bias,
                ]
            }
        })
    }

    /// Applies the transposed convolution; the result has shape `input`.
    #[track_caller]
    fn convolved_transposed(&self, operation: &'static str, weight: &Tensor, conv: Conv2d, input: Shape) -> Tensor {
        let g = transposed_geometry(operation, self, weight, conv, input);
        let storage = run(
            operands(operation, [self, weight]),
            g.input_len(),
            |[dy, w], dx| Direction::Transposed.run(&g, dy, w, None, dx),
            |[dy, w], dx| reference::input_grad(&g, dy, w, dx),
            |[dy, w]| cuda::input_grad(&g, dy, w, None),
        );
        let (dy, w) = (self.clone(), weight.clone());
        Tensor::from_operation(input, storage, &[self, weight], move |back| {
            let x = back.upstream;
            vec![
                back.when(0, || x.convolved(operation, &w, conv)),
                back.when(1, || x.weight_gradient(operation, &dy, conv, w.shape())),
            ]
        })
    }

    /// Returns the gradient with respect to a weight of this shape.
    #[track_caller]
    fn weight_gradient(&self, operation: &'static str, output_grad: &Tensor, conv: Conv2d, weight: Shape) -> Tensor {
        let g = geometry(operation, self.shape().nchw(), weight.nchw(), conv);
        assert!(
            output_grad.shape().nchw() == g.output(),
            "{operation} to a kernel of shape {weight:?}: the convolution has the shape {:?}, the gradient of its result {:?}",
            g.output(),
            output_grad.shape()
        );
        let storage = run(
            operands(operation, [self, output_grad]),
            g.weight_len(),
            |[x, dy], dw| cpu::weight_grad(&g, x, dy, dw),
            |[x, dy], dw| reference::weight_grad(&g, x, dy, dw),
            |[x, dy]| cuda::weight_grad(&g, x, dy),
        );
        let (x, dy) = (self.clone(), output_grad.clone());
        Tensor::from_operation(weight, storage, &[self, output_grad], move |back| {
            let w = back.upstream;
            vec![
                back.when(0, || dy.convolved_transposed(operation, w, conv, x.shape())),
                back.when(1, || x.convolved(operation, w, conv)),
            ]
        })
    }

    /// Returns the shape of a convolution of this tensor. The result for rows is rows.
    fn convolved_shape(&self, g: &Geometry) -> Shape {
        if self.shape().rank() == 2 { [g.n, g.co].into() } else { g.output().into() }
    }

    /// Returns the shape of the images that a transposed convolution of one group makes.
    #[track_caller]
    fn transposed_shape(&self, operation: &str, weight: &Tensor, [h, w]: [usize; 2]) -> Shape {
        require_images(operation, [self, weight]);
        [self.shape()[0], weight.shape()[1], h, w].into()
    }
}

#[track_caller]
fn require_images(operation: &str, [images, kernel]: [&Tensor; 2]) {
    images.images(operation);
    require_kernel(operation, kernel);
}

#[track_caller]
fn require_kernel(operation: &str, kernel: &Tensor) {
    let shape = kernel.shape();
    assert!(shape.rank() == 4, "{operation} takes a kernel [co, ci, kh, kw], not a tensor of shape {shape:?}");
}

#[track_caller]
fn require_bias(operation: &str, bias: &Tensor, channels: usize) {
    assert!(
        bias.shape() == [channels],
        "{operation}: a bias of shape {:?} for {channels} channels; [{channels}] is expected",
        bias.shape()
    );
}

/// Adds the bias and applies the rectifier in passes of their own.
#[track_caller]
fn finished(operation: &str, maps: Tensor, bias: &Tensor, slope: f64) -> Tensor {
    let channels = maps.shape()[1];
    require_bias(operation, bias, channels);
    (maps + bias.reshape([channels, 1, 1])).leaky_relu(slope)
}

#[track_caller]
fn require_matrices(operation: &str, a: &Tensor, b: &Tensor) {
    let (a, b) = (a.shape(), b.shape());
    let fits = a.rank() == 2 && b.rank() == 2 && a[1] == b[1];
    assert!(fits, "{operation}: rows [n, k] and a weight [m, k] are expected, not tensors of shapes {a:?} and {b:?}");
}

/// Computes the three maps with each kernel that computes tiles. Returns nothing on devices without such kernels.
pub(crate) fn conv2d_by_every_tile([x, w, dy]: [&Tensor; 3], conv: Conv2d) -> Vec<[Tensor; 3]> {
    let g = geometry("conv2d", x.shape().nchw(), w.shape().nchw(), conv);
    let Operands::Cuda(operands) = operands("conv2d", [x, w, dy]) else { return Vec::new() };
    let results = cuda::by_every_tile(&g, operands).into_iter();
    let tensor = |shape, buffer| Tensor::constant(shape, Storage::Cuda(buffer));
    results.map(|[y, dx, dw]| [tensor(g.output().into(), y), tensor(x.shape(), dx), tensor(w.shape(), dw)]).collect()
}

/// Returns the geometry of an operation that is about to run, and counts its operations.
#[track_caller]
fn geometry(operation: &str, input: Nchw, weight: Nchw, conv: Conv2d) -> Geometry {
    let Some(g) = Geometry::new(input, weight, conv) else {
        let mistake = if input.c != weight.c {
            format!("the kernel takes {} channels, the images have {}", weight.c, input.c)
        } else if [conv.stride, conv.dilation].concat().contains(&0) {
            "stride and dilation are at least 1".into()
        } else if input.len() == 0 || weight.len() == 0 {
            "a length is zero".into()
        } else {
            "the kernel is larger than the padded images".into()
        };
        panic!("{operation} of images {input:?} with a kernel {weight:?} and {conv:?}: {mistake}")
    };
    profile::count(g.flops());
    g
}

/// Returns the geometry of a transposed convolution of `output` to images of shape `input`, and counts its operations.
#[track_caller]
fn transposed_geometry(operation: &str, output: &Tensor, weight: &Tensor, conv: Conv2d, input: Shape) -> Geometry {
    let (output, kernel) = (output.shape().nchw(), weight.shape().nchw());
    assert!(
        output.c == kernel.n,
        "{operation} of images {output:?} with a kernel {kernel:?}: the kernel takes {} channels, the images have {}; its axes are \
         [channels of these images, channels of the result, kh, kw]",
        kernel.n,
        output.c
    );
    let g = geometry(operation, input.nchw(), kernel, conv);
    assert!(
        output == g.output(),
        "{operation} to images of shape {input:?} with {conv:?}: a convolution of such images has the shape {:?}, these images \
         have {output:?}",
        g.output()
    );
    g
}

/// Runs one of the maps on the device of its operands.
fn run(
    operands: Fixed<2>,
    len: usize,
    fast: impl FnOnce([&[f32]; 2], &mut [f32]),
    plain: impl FnOnce([&[f64]; 2], &mut [f64]),
    launch: impl FnOnce([&DeviceBuffer; 2]) -> DeviceBuffer,
) -> Storage {
    fn filled<T: Element>(len: usize, fill: impl FnOnce(&mut [T])) -> Buffer<T> {
        let mut out = Buffer::stale(len);
        fill(&mut out);
        out
    }
    dispatch!(operands, |x| filled(len, |out| fast(x, out)), |x| filled(len, |out| plain(x, out)), |x| launch(x))
}

/// Runs the map of a layer with its bias and rectifier on the device of its operands.
#[track_caller]
fn run_layer(
    operation: &str,
    [a, b, bias]: [&Tensor; 3],
    slope: f64,
    out: Nchw,
    fast: impl FnOnce(&[f32], &[f32], &Epilogue<f32>, &mut [f32]),
    plain: impl FnOnce(&[f64], &[f64], &mut [f64]),
    launch: impl FnOnce(&DeviceBuffer, &DeviceBuffer, cuda::Epilogue) -> DeviceBuffer,
) -> Storage {
    assert_slope(slope);
    require_bias(operation, bias, out.c);
    match operands(operation, [a, b, bias]) {
        Operands::F32([a, b, bias]) => {
            let mut y = Buffer::stale(out.len());
            fast(a, b, &Epilogue { bias, slope: slope as f32 }, &mut y);
            Storage::F32(y)
        }
        Operands::F64([a, b, bias]) => {
            let mut y = Buffer::stale(out.len());
            plain(a, b, &mut y);
            let epilogue = Epilogue { bias, slope };
            for channel in 0..out.c {
                epilogue.apply_to_channel(channel, y[channel..].iter_mut().step_by(out.c));
            }
            Storage::F64(y)
        }
        Operands::Cuda([a, b, bias]) => Storage::Cuda(launch(a, b, Some((bias, slope)))),
    }
}
