//! Functions that use every operation: the tests differentiate them, and [`crate::conformance`] compares devices by them.

use super::{Conv2d, Pool2d};
use crate::random::{Address, Random};
use crate::shape::Shape;
use crate::storage::Device;
use crate::tensor::Tensor;

/// A differentiable function of some operands.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) operands: Vec<[usize; 4]>,
    pub(crate) function: Box<Function>,
}

type Function = dyn Fn(&[Tensor]) -> Tensor + Send + Sync;

pub(crate) fn case(
    name: &'static str,
    operands: &[[usize; 4]],
    function: impl Fn(&[Tensor]) -> Tensor + Send + Sync + 'static,
) -> Case {
    Case { name, operands: operands.to_vec(), function: Box::new(function) }
}

/// Small tensors, one case or more for every operation.
pub(crate) fn cases() -> Vec<Case> {
    let images = [4, 3, 5, 6];
    let strided = Conv2d::square(2, 2);
    let plain = Conv2d::square(1, 1);
    vec![
        case("sum of tensors", &[images, images], |t| &t[0] + &t[1]),
        case("difference, broadcast", &[images, [1, 3, 1, 1]], |t| &t[0] - &t[1]),
        case("product", &[images, images], |t| &t[0] * &t[1]),
        case("product, grouped broadcast", &[[2, 3, 1, 1], images], |t| &t[0] * &t[1]),
        case("product, one number per image", &[[4, 1, 1, 1], images], |t| &t[0] * &t[1]),
        case("square", &[images], |t| t[0].square()),
        case("scale", &[images], |t| t[0].scale(-1.5)),
        case("shift", &[images], |t| t[0].shift(0.7).square()),
        case("exp", &[images], |t| t[0].exp()),
        case("ln", &[images], |t| t[0].square().shift(0.5).ln()),
        case("tanh", &[images], |t| t[0].tanh()),
        case("sqrt", &[images], |t| t[0].square().shift(0.5).sqrt()),
        case("reciprocal", &[images], |t| t[0].square().shift(0.5).reciprocal()),
        case("leaky_relu", &[images], |t| t[0].leaky_relu(0.2)),
        case("relu", &[images], |t| t[0].leaky_relu(0.0)),
        case("affine_leaky_relu, one row a group", &[images, [2, 3, 1, 1], [2, 3, 1, 1]], |t| {
            t[0].affine_leaky_relu(&t[1], &t[2], 0.0)
        }),
        case("affine_leaky_relu, one row an image", &[images, [4, 3, 1, 1], [1, 3, 1, 1]], |t| {
            t[0].affine_leaky_relu(&t[1], &t[2], 0.2)
        }),
        case("sum to a scalar", &[images], |t| t[0].sum().square()),
        case("sum to channels", &[images], |t| t[0].sum_to([1, 3, 1, 1]).square()),
        case("sum to groups", &[images], |t| t[0].sum_to([2, 3, 1, 1]).square()),
        case("sum to images", &[images], |t| t[0].sum_to([4, 1, 1, 1]).square()),
        case("sum to a row of pixels", &[images], |t| t[0].sum_to([1, 1, 1, 6]).square()),
        case("mean", &[images], |t| t[0].mean().square()),
        case("flatten", &[images], |t| t[0].flatten().tanh()),
        case("unflatten", &[[4, 30, 1, 1]], |t| t[0].unflatten(5, 2, 3).tanh()),
        case("select_rows", &[images], |t| t[0].select_rows(&[2, 0, 2, 3, 1]).tanh()),
        case("add_rows", &[images], |t| t[0].add_rows(&[5, 0, 5, 2], 6).tanh()),
        case("concat", &[images, [2, 3, 5, 6]], |t| Tensor::concat(&[&t[0], &t[1]]).tanh()),
        case("concat_channels", &[images, [4, 2, 5, 6]], |t| Tensor::concat_channels(&[&t[0], &t[1]]).tanh()),
        case("channels", &[images], |t| t[0].channels(1..3).tanh()),
        case("batch_norm_leaky_relu", &[images, [1, 3, 1, 1], [1, 3, 1, 1]], |t| {
            t[0].batch_norm_leaky_relu(&t[1], &t[2], 1, 1e-5, 0.2)
        }),
        case("batch_norm_leaky_relu, groups", &[[4, 18, 3, 2], [2, 18, 1, 1], [2, 18, 1, 1]], |t| {
            t[0].batch_norm_leaky_relu(&t[1], &t[2], 2, 1e-5, 0.0)
        }),
        case("batch_norm_leaky_relu, a class an image", &[images, [4, 3, 1, 1], [4, 3, 1, 1]], |t| {
            t[0].batch_norm_leaky_relu(&t[1], &t[2], 2, 1e-5, 0.2)
        }),
        case("batch_norm_leaky_relu, a matrix without rectifier", &[[6, 4, 1, 1], [1, 4, 1, 1], [1, 4, 1, 1]], |t| {
            t[0].batch_norm_leaky_relu(&t[1], &t[2], 1, 1e-5, 1.0)
        }),
        case("layer_norm_leaky_relu", &[images, [1, 3, 1, 1], [1, 3, 1, 1]], |t| {
            t[0].layer_norm_leaky_relu(&t[1], &t[2], 1e-5, 0.0)
        }),
        case(
            "layer_norm_leaky_relu, many channels without rectifier",
            &[[3, 18, 3, 2], [1, 18, 1, 1], [1, 18, 1, 1]],
            |t| t[0].layer_norm_leaky_relu(&t[1], &t[2], 1e-5, 1.0),
        ),
        case("upsample2d", &[images], |t| t[0].upsample2d()),
        case("squared_distance", &[images, images], |t| t[0].squared_distance(&t[1]).square()),
        case("unit_norm_penalty", &[images], |t| t[0].unit_norm_penalty().square()),
        case("cross_entropy", &[[3, 4, 1, 1]], |t| t[0].scale(3.0).cross_entropy(&[2, 0, 2])),
        case("linear", &[[3, 5, 1, 1], [4, 5, 1, 1]], |t| t[0].linear(&t[1])),
        case("conv2d, stride 2", &[[2, 3, 6, 7], [4, 3, 5, 5]], move |t| t[0].conv2d(&t[1], strided)),
        case("conv2d, stride 1", &[[2, 3, 5, 4], [2, 3, 3, 3]], move |t| t[0].conv2d(&t[1], plain)),
        case("conv2d, whole map", &[[2, 3, 4, 4], [2, 3, 4, 4]], |t| t[0].conv2d(&t[1], Conv2d::square(1, 0))),
        case("conv2d_leaky_relu", &[[2, 3, 6, 7], [24, 3, 5, 5], [1, 24, 1, 1]], move |t| {
            t[0].conv2d_leaky_relu(&t[1], &t[2], strided, 0.2)
        }),
        case("conv2d_leaky_relu, few channels", &[[2, 3, 6, 7], [2, 3, 5, 5], [1, 2, 1, 1]], move |t| {
            t[0].conv2d_leaky_relu(&t[1], &t[2], strided, 0.0)
        }),
        case("conv2d_leaky_relu, no rectifier", &[[3, 5, 1, 1], [4, 5, 1, 1], [1, 4, 1, 1]], |t| {
            t[0].conv2d_leaky_relu(&t[1], &t[2], Conv2d::POINT, 1.0)
        }),
        case("conv2d_input_grad_leaky_relu", &[[2, 4, 3, 4], [4, 18, 5, 5], [1, 18, 1, 1]], move |t| {
            t[0].conv2d_input_grad_leaky_relu(&t[1], &t[2], strided, [2, 18, 6, 7], 0.2)
        }),
        case("conv2d_input_grad_leaky_relu, no rectifier", &[[2, 4, 3, 4], [4, 3, 5, 5], [1, 3, 1, 1]], move |t| {
            t[0].conv2d_input_grad_leaky_relu(&t[1], &t[2], strided, [2, 3, 6, 7], 1.0)
        }),
        case("conv2d_input_grad", &[[2, 4, 3, 4], [4, 3, 5, 5]], move |t| {
            t[0].conv2d_input_grad(&t[1], strided, [2, 3, 6, 7])
        }),
        case("conv2d_weight_grad", &[[2, 3, 6, 7], [2, 4, 3, 4]], move |t| {
            t[0].conv2d_weight_grad(&t[1], strided, [4, 3, 5, 5])
        }),
        case("max_pool2d", &[images], |t| t[0].max_pool2d(Pool2d::square(3, 2, 1))),
        case("max_pool2d, overlapping windows", &[images], |t| t[0].max_pool2d(Pool2d::square(3, 1, 0))),
        case("average_pool2d", &[images], |t| t[0].average_pool2d(Pool2d::square(3, 1, 1))),
        case("average_pool2d, pixels that no window sees", &[images], |t| {
            t[0].average_pool2d(Pool2d { kernel: [1, 2], stride: [2, 3], padding: [0, 1] })
        }),
        case("average_pool2d_input_grad", &[[4, 3, 3, 3]], |t| {
            t[0].average_pool2d_input_grad(Pool2d::square(2, 2, 1), [4, 3, 5, 5])
        }),
    ]
}

/// Standard normal numbers; every use has its own stream.
pub(crate) fn numbers(stream: u16, shape: Shape, device: Device) -> Tensor {
    Random::new(42).normal(Address { stream, ..Address::default() }, shape, device)
}

impl Case {
    pub(crate) fn operands(&self, device: Device) -> Vec<Tensor> {
        self.operands.iter().zip(0..).map(|(&shape, i)| numbers(i, shape.into(), device)).collect()
    }

    /// A scalar that weighs every element of the result differently. It is not linear in the result, so that the gradient
    /// which reaches the operation depends on the operands too.
    pub(crate) fn loss(&self, operands: &[Tensor]) -> Tensor {
        let result = (self.function)(operands);
        let bent = &result + &result.square().scale(0.3);
        (&bent * &numbers(100, result.shape(), result.device())).sum()
    }

    /// The gradients' product with fixed directions: a scalar whose gradients are second derivatives.
    pub(crate) fn slope(&self, operands: &[Tensor]) -> Tensor {
        let gradients = self.loss(operands).differentiable_gradients(&operands.iter().collect::<Vec<_>>());
        let directions = gradients.iter().zip(200..).map(|(g, i)| (g * &numbers(i, g.shape(), g.device())).sum());
        directions.reduce(|a, b| &a + &b).expect("a case has operands")
    }
}
