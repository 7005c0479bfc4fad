//! Test cases for every operation. The tests differentiate them, and [`crate::conformance`] compares devices with them.

use super::{Conv2d, Interpolation, Pool2d};
use crate::random::{Address, Random};
use crate::shape::Shape;
use crate::storage::Device;
use crate::tensor::Tensor;

/// A differentiable function of some operands.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) operands: Vec<Shape>,
    pub(crate) function: Box<Function>,
}

type Function = dyn Fn(&[Tensor]) -> Tensor + Send + Sync;

/// `case!("name", [shape, ..], |operands| result)`.
macro_rules! case {
    ($name:expr, [$($shape:expr),+], $function:expr) => {
        $crate::ops::cases::Case::new($name, vec![$($crate::shape::Shape::from($shape)),+], $function)
    };
}
pub(crate) use case;

/// Returns the cases, at least one for every operation, on small tensors.
pub(crate) fn cases() -> Vec<Case> {
    let images = [4, 3, 5, 6];
    let strided = Conv2d::square(2, 2);
    let plain = Conv2d::square(1, 1);
    vec![
        case!("add", [images, images], |t| &t[0] + &t[1]),
        case!("subtract, a number per channel", [images, [3, 1, 1]], |t| &t[0] - &t[1]),
        case!("subtract from a number", [images], |t| (0.7 - &t[0]).square()),
        case!("multiply", [images, images], |t| &t[0] * &t[1]),
        case!("multiply, one number per image", [[4, 1, 1, 1], images], |t| &t[0] * &t[1]),
        case!("multiply, a column and a row", [[3, 1], [4]], |t| &t[0] * &t[1]),
        case!("multiply, a matrix and images", [images, [5, 6]], |t| &t[0] * &t[1]),
        case!("divide", [images, [5, 1]], |t| &t[0] / (t[1].square() + 0.5)),
        case!("divide a number", [images], |t| 2.0 / (t[0].square() + 0.5)),
        case!("divide by a number", [images], |t| t[0].square() / 3.0),
        case!("maximum", [images, images], |t| t[0].maximum(&t[1]).square()),
        case!("minimum", [images, [3, 1, 1]], |t| t[0].minimum(&t[1]).square()),
        case!("square", [images], |t| t[0].square()),
        case!("mul_scalar", [images], |t| &t[0] * -1.5),
        case!("add_scalar", [images], |t| (&t[0] + 0.7).square()),
        case!("exp", [images], |t| t[0].exp()),
        case!("log", [images], |t| (t[0].square() + 0.5).log()),
        case!("tanh", [images], |t| t[0].tanh()),
        case!("sigmoid", [images], |t| t[0].sigmoid()),
        case!("softplus", [images], |t| t[0].softplus()),
        case!("sqrt", [images], |t| (t[0].square() + 0.5).sqrt()),
        case!("recip", [images], |t| (t[0].square() + 0.5).recip()),
        case!("reciprocal_or_zero", [images], |t| (t[0].square() + 0.5).reciprocal_or_zero()),
        case!("pow", [images], |t| (t[0].square() + 0.5).pow(-1.3)),
        case!("pow, a whole number", [images], |t| t[0].pow(3.0)),
        case!("abs", [images], |t| t[0].abs().square()),
        case!("sign", [images], |t| &t[0] * t[0].sign()),
        case!("clamp", [images], |t| t[0].clamp(-0.8, 0.6)),
        case!("leaky_relu", [images], |t| t[0].leaky_relu(0.2)),
        case!("relu", [images], |t| t[0].relu()),
        case!("affine_leaky_relu, one row a group", [images, [2, 3], [2, 3]], |t| {
            t[0].affine_leaky_relu(&t[1], &t[2], 0.0)
        }),
        case!("affine_leaky_relu, one row an image", [images, [4, 3], [3]], |t| {
            t[0].affine_leaky_relu(&t[1], &t[2], 0.2)
        }),
        case!("sum", [images], |t| t[0].sum().square()),
        case!("sum_to, a number per channel", [images], |t| t[0].sum_to([1, 3, 1, 1]).square()),
        case!("sum_to, a row of pixels", [images], |t| t[0].sum_to([6]).square()),
        case!("sum_axes, a number per image", [images], |t| t[0].sum_axes(&[1, 2, 3]).square()),
        case!("sum_axes, of three axes", [[3, 4, 5]], |t| t[0].sum_axes(&[1]).square()),
        case!("mean", [images], |t| t[0].mean().square()),
        case!("mean_axes", [images], |t| t[0].mean_axes(&[0, 2]).square()),
        case!("max_axes", [images], |t| t[0].max_axes(&[1, 3]).square()),
        case!("max_axes, all", [[4, 7]], |t| t[0].max_axes(&[0, 1]).square()),
        case!("softmax", [[4, 7]], |t| t[0].softmax(1)),
        case!("softmax, of channels", [images], |t| t[0].softmax(1)),
        case!("log_softmax", [[4, 7]], |t| t[0].log_softmax(0)),
        case!("broadcast_to", [[5, 1]], |t| t[0].broadcast_to([2, 3, 5, 6]).tanh()),
        case!("repeat_interleave", [images], |t| t[0].repeat_interleave(3).tanh()),
        case!("repeat_interleave, of a vector", [[5]], |t| t[0].repeat_interleave(2).tanh()),
        case!("reshape, images to images", [images], |t| t[0].reshape([2, 5, 9, 4]).tanh()),
        case!("reshape, rows to images", [[4, 30]], |t| t[0].reshape([4, 5, 2, 3]).tanh()),
        case!("reshape, three axes to a vector", [[3, 4, 5]], |t| t[0].reshape([60]).tanh()),
        case!("flatten", [images], |t| t[0].flatten().tanh()),
        case!("permute", [images], |t| t[0].permute(&[2, 0, 3, 1]).tanh()),
        case!("permute, three axes", [[3, 4, 5]], |t| t[0].permute(&[1, 2, 0]).tanh()),
        case!("t", [[4, 7]], |t| t[0].t().tanh()),
        case!("index_select", [images], |t| t[0].index_select(0, &[2, 0, 2, 3, 1]).tanh()),
        case!("index_select, of columns of pixels", [images], |t| t[0].index_select(3, &[5, 0, 0]).tanh()),
        case!("index_add", [images], |t| t[0].index_add(0, &[5, 0, 5, 2], 6).tanh()),
        case!("index_add, of channels", [images], |t| t[0].index_add(1, &[1, 1, 0], 2).tanh()),
        case!("gather", [[4, 7]], |t| t[0].gather(&[6, 0, 3, 3]).tanh()),
        case!("concat", [images, [2, 3, 5, 6]], |t| Tensor::concat(0, &[&t[0], &t[1]]).tanh()),
        case!("concat, of channels", [images, [4, 2, 5, 6]], |t| Tensor::concat(1, &[&t[0], &t[1]]).tanh()),
        case!("concat, of three axes", [[3, 4, 5], [3, 1, 5]], |t| Tensor::concat(1, &[&t[0], &t[1]]).tanh()),
        case!("stack", [[4, 3], [4, 3]], |t| Tensor::stack(&[&t[0], &t[1]]).tanh()),
        case!("slice, of channels", [images], |t| t[0].slice(1, 1..3).tanh()),
        case!("slice, of rows of pixels", [images], |t| t[0].slice(2, 0..2).tanh()),
        case!("slice, of a vector", [[7]], |t| t[0].slice(0, 3..7).tanh()),
        case!("matmul", [[3, 5], [5, 4]], |t| t[0].matmul(&t[1])),
        case!("matmul, of three axes", [[2, 3, 5], [2, 5, 4]], |t| t[0].matmul(&t[1])),
        case!("batch_norm_leaky_relu", [images, [3], [3]], |t| {
            t[0].batch_norm_leaky_relu(&t[1], &t[2], 1, 1e-5, 0.2)
        }),
        case!("batch_norm_leaky_relu, groups", [[4, 18, 3, 2], [2, 18], [2, 18]], |t| {
            t[0].batch_norm_leaky_relu(&t[1], &t[2], 2, 1e-5, 0.0)
        }),
        case!("batch_norm_leaky_relu, a class an image", [images, [4, 3], [4, 3]], |t| {
            t[0].batch_norm_leaky_relu(&t[1], &t[2], 2, 1e-5, 0.2)
        }),
        case!("batch_norm_leaky_relu, a matrix without rectifier", [[6, 4], [4], [4]], |t| {
            t[0].batch_norm_leaky_relu(&t[1], &t[2], 1, 1e-5, 1.0)
        }),
        case!("layer_norm_leaky_relu", [images, [3], [3]], |t| { t[0].layer_norm_leaky_relu(&t[1], &t[2], 1e-5, 0.0) }),
        case!("layer_norm_leaky_relu, many channels without rectifier", [[3, 18, 3, 2], [18], [18]], |t| {
            t[0].layer_norm_leaky_relu(&t[1], &t[2], 1e-5, 1.0)
        }),
        case!("upsample2d", [images], |t| t[0].upsample2d()),
        case!("interpolate, nearest", [images], |t| t[0].interpolate([7, 3], Interpolation::Nearest).tanh()),
        case!("interpolate, bilinear", [images], |t| t[0].interpolate([7, 3], Interpolation::Bilinear).tanh()),
        case!("squared_distance", [images, images], |t| t[0].squared_distance(&t[1]).square()),
        case!("unit_norm_penalty", [images], |t| t[0].unit_norm_penalty().square()),
        case!("cross_entropy", [[3, 4]], |t| (&t[0] * 3.0).cross_entropy(&[2, 0, 2])),
        case!("linear", [[3, 5], [4, 5]], |t| t[0].linear(&t[1])),
        case!("linear_leaky_relu", [[3, 5], [4, 5], [4]], |t| t[0].linear_leaky_relu(&t[1], &t[2], 1.0)),
        case!("conv2d, stride 2", [[2, 3, 6, 7], [4, 3, 5, 5]], move |t| t[0].conv2d(&t[1], strided)),
        case!("conv2d, stride 1", [[2, 3, 5, 4], [2, 3, 3, 3]], move |t| t[0].conv2d(&t[1], plain)),
        case!("conv2d, dilated", [[2, 3, 9, 8], [5, 3, 3, 3]], |t| {
            t[0].conv2d(&t[1], Conv2d::square(1, 2).dilated([3, 2]))
        }),
        case!("conv2d, dilated with a stride", [[2, 3, 9, 8], [5, 3, 3, 3]], |t| {
            t[0].conv2d(&t[1], Conv2d::square(2, 2).dilated([2, 3]))
        }),
        case!("conv2d, groups", [[2, 6, 5, 4], [4, 3, 3, 3]], |t| t[0].conv2d(&t[1], Conv2d::square(1, 1).grouped(2))),
        case!("conv2d_leaky_relu, groups", [[2, 4, 5, 4], [4, 1, 3, 3], [4]], |t| {
            t[0].conv2d_leaky_relu(&t[1], &t[2], Conv2d::square(1, 1).grouped(4), 0.2)
        }),
        case!("conv_transpose2d, groups", [[2, 4, 3, 4], [4, 3, 5, 5]], |t| {
            t[0].conv_transpose2d(&t[1], Conv2d::square(2, 2).grouped(2), [6, 7])
        }),
        case!("conv_transpose2d, dilated", [[2, 4, 5, 4], [4, 3, 3, 3]], |t| {
            t[0].conv_transpose2d(&t[1], Conv2d::square(2, 2).dilated([2, 2]), [9, 8])
        }),
        case!("conv2d, whole map", [[2, 3, 4, 4], [2, 3, 4, 4]], |t| t[0].conv2d(&t[1], Conv2d::square(1, 0))),
        case!("conv2d_leaky_relu", [[2, 3, 6, 7], [24, 3, 5, 5], [24]], move |t| {
            t[0].conv2d_leaky_relu(&t[1], &t[2], strided, 0.2)
        }),
        case!("conv2d_leaky_relu, few channels", [[2, 3, 6, 7], [2, 3, 5, 5], [2]], move |t| {
            t[0].conv2d_leaky_relu(&t[1], &t[2], strided, 0.0)
        }),
        case!("conv_transpose2d", [[2, 4, 3, 4], [4, 3, 5, 5]], move |t| t[0].conv_transpose2d(&t[1], strided, [6, 7])),
        case!("conv_transpose2d_leaky_relu", [[2, 4, 3, 4], [4, 18, 5, 5], [18]], move |t| {
            t[0].conv_transpose2d_leaky_relu(&t[1], &t[2], strided, [6, 7], 0.2)
        }),
        case!("conv_transpose2d_leaky_relu, no rectifier", [[2, 4, 3, 4], [4, 3, 5, 5], [3]], move |t| {
            t[0].conv_transpose2d_leaky_relu(&t[1], &t[2], strided, [6, 7], 1.0)
        }),
        case!("conv2d_weight_grad", [[2, 3, 6, 7], [2, 4, 3, 4]], move |t| {
            t[0].conv2d_weight_grad(&t[1], strided, [4, 3, 5, 5])
        }),
        case!("max_pool2d", [images], |t| t[0].max_pool2d(Pool2d::square(3, 2, 1))),
        case!("max_pool2d, overlapping windows", [images], |t| t[0].max_pool2d(Pool2d::square(3, 1, 0))),
        case!("avg_pool2d", [images], |t| t[0].avg_pool2d(Pool2d::square(3, 1, 1))),
        case!("avg_pool2d, pixels that no window sees", [images], |t| {
            t[0].avg_pool2d(Pool2d { kernel: [1, 2], stride: [2, 3], padding: [0, 1] })
        }),
        case!("avg_pool2d_input_grad", [[4, 3, 3, 3]], |t| {
            t[0].avg_pool2d_input_grad(Pool2d::square(2, 2, 1), [5, 5])
        }),
    ]
}

/// Draws standard normal numbers; every use has a stream of its own.
pub(crate) fn numbers(stream: u16, shape: Shape, device: Device) -> Tensor {
    Random::new(42).normal(Address { stream, ..Address::default() }, shape, device)
}

impl Case {
    pub(crate) fn new(
        name: &'static str,
        operands: Vec<Shape>,
        function: impl Fn(&[Tensor]) -> Tensor + Send + Sync + 'static,
    ) -> Case {
        Case { name, operands, function: Box::new(function) }
    }

    pub(crate) fn operands(&self, device: Device) -> Vec<Tensor> {
        self.operands.iter().zip(0..).map(|(&shape, i)| numbers(i, shape, device)).collect()
    }

    /// Returns a scalar that weights every element of the result differently. It is not linear in the result, so that
    /// the gradient which reaches the operation depends on the operands too.
    pub(crate) fn loss(&self, operands: &[Tensor]) -> Tensor {
        let result = (self.function)(operands);
        let bent = &result + result.square() * 0.3;
        (bent * numbers(100, result.shape(), result.device())).sum()
    }

    /// Returns the product of the gradients with fixed directions, a scalar whose gradients are second derivatives.
    pub(crate) fn slope(&self, operands: &[Tensor]) -> Tensor {
        let gradients = self.loss(operands).differentiable_gradients_or_zeros(&operands.iter().collect::<Vec<_>>());
        let directions = gradients.iter().zip(200..).map(|(g, i)| (g * numbers(i, g.shape(), g.device())).sum());
        directions.reduce(|a, b| a + b).expect("a case has operands")
    }
}
