//! Checks that a device computes the same results as the reference device: every operation, with its first and second
//! derivatives, at small irregular shapes and at the shapes of whole layers.
//!
//! ```
//! use mergan_tensor::{Device, conformance};
//!
//! for case in conformance::small_cases() {
//!     let outcome = case.check(Device::Cpu);
//!     assert!(outcome.error <= 1.0, "{}: {} times the error of rounding", outcome.case, outcome.error);
//! }
//! ```

use std::collections::BTreeSet;

use crate::adam::{Adam, Moments};
use crate::cuda::{self, Graph, Precision, recording};
use crate::ops::cases::{self, case, numbers};
use crate::ops::{Conv2d, conv2d_by_every_tile};
use crate::random::{Address, Random};
use crate::shape::Shape;
use crate::storage::Device;
use crate::tensor::Tensor;

/// A comparison of a device with the reference device.
pub struct Case {
    name: &'static str,
    error: Box<dyn Fn(Device) -> f64 + Send + Sync>,
}

/// The result of a comparison.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The name of the comparison.
    pub case: &'static str,
    /// The largest error, as a multiple of what rounding explains. Above 1, the device is wrong; NaN means that a
    /// result was not a number.
    pub error: f64,
    /// The kernels that ran; empty on devices without kernels.
    pub kernels: BTreeSet<&'static str>,
}

impl Outcome {
    /// Returns whether the error is within what rounding explains.
    pub fn passed(&self) -> bool {
        self.error <= 1.0
    }
}

impl Case {
    /// Returns the name of the case.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Compares this device with the reference device.
    pub fn check(&self, device: Device) -> Outcome {
        let (error, kernels) = recording(|| (self.error)(device));
        Outcome { case: self.name, error, kernels }
    }
}

/// Returns a case for every operation at small shapes whose sizes do not fill whole blocks. They run quickly even when
/// every memory access is checked.
pub fn small_cases() -> Vec<Case> {
    let operations = cases::cases().into_iter().map(|case| operation(case, 2));
    let others = [
        tiles("tiles of a convolution, stride 2", [3, 18, 7, 6], [35, 18, 5, 5], Conv2d::square(2, 2)),
        tiles("tiles of a convolution, channels in fours", [5, 20, 5, 4], [68, 20, 3, 3], Conv2d::square(1, 1)),
        tiles("tiles of a convolution, a pixel a tile", [64, 8, 2, 3], [12, 8, 3, 2], Conv2d::square(1, 1)),
        operation(
            case!("conv2d_weight_grad, many channels", [[3, 5, 7, 6], [3, 66, 4, 3]], |t| {
                t[0].conv2d_weight_grad(&t[1], Conv2d::square(2, 2), [66, 5, 5, 5])
            }),
            1,
        ),
        operation(case!("sum over many images", [[150, 5, 2, 3]], |t| t[0].sum_to([1, 5, 1, 1]).square()), 1),
        operation(case!("sum of many numbers", [[150, 5, 2, 3]], |t| t[0].sum().square()), 1),
        adam("adam", &[&[5], &[7, 3, 3, 3], &[2, 600]]),
        random("random numbers", [3, 5, 2, 1]),
        graph("a recorded step"),
    ];
    operations.chain(others).collect()
}

/// Returns cases for the layers of small networks for images of 32 x 32 pixels, at a batch size of `n`, with their
/// first derivatives.
pub fn layer_cases(n: usize) -> Vec<Case> {
    let halve = |name, channels: [usize; 2], side: usize| {
        let operands = ([n, channels[0], side, side], [channels[1], channels[0], 5, 5], [channels[1]]);
        case!(name, [operands.0, operands.1, operands.2], |t| t[0].conv2d_leaky_relu(
            &t[1],
            &t[2],
            Conv2d::square(2, 2),
            0.2
        ))
    };
    let double = |name, channels: [usize; 2], side: usize| {
        let operands = ([n, channels[0], side, side], [channels[0], channels[1], 5, 5], [channels[1]]);
        case!(name, [operands.0, operands.1, operands.2], move |t| {
            t[0].conv_transpose2d_leaky_relu(&t[1], &t[2], Conv2d::square(2, 2), [2 * side; 2], 1.0)
        })
    };
    let norm = |name, channels: usize, side: usize| {
        case!(name, [[n, channels, side, side], [channels], [channels]], |t| {
            t[0].batch_norm_leaky_relu(&t[1], &t[2], 1, 1e-5, 0.0)
        })
    };
    let head = |name, outputs: usize| {
        case!(name, [[n, 128, 4, 4], [outputs, 128, 4, 4], [outputs]], |t| {
            t[0].conv2d_leaky_relu(&t[1], &t[2], Conv2d::POINT, 1.0)
        })
    };
    let layers = vec![
        halve("critic, layer 1", [1, 32], 32),
        halve("critic, layer 1 for colours", [3, 32], 32),
        halve("critic, layer 2", [32, 64], 16),
        halve("critic, layer 3", [64, 128], 8),
        head("critic, score", 1),
        head("critic, classes", 10),
        case!("generator, latents", [[n, 128], [2048, 128], [2048]], move |t| {
            t[0].linear_leaky_relu(&t[1], &t[2], 1.0).reshape([n, 128, 4, 4])
        }),
        double("generator, layer 1", [128, 64], 4),
        double("generator, layer 2", [64, 32], 8),
        double("generator, layer 3", [32, 1], 16),
        norm("generator, norm 1", 128, 4),
        norm("generator, norm 3", 32, 16),
        case!("gradient penalty", [[n, 1, 32, 32]], |t| t[0].unit_norm_penalty()),
        case!("pixel alignment", [[n, 1, 32, 32], [n, 1, 32, 32]], |t| t[0].squared_distance(&t[1])),
        case!("classes", [[n, 10]], move |t| {
            t[0].cross_entropy(&(0..n).map(|image| image * 7 % 10).collect::<Vec<_>>())
        }),
    ];
    let layers = layers.into_iter().map(|case| operation(case, 1));
    layers
        .chain([
            layer("maps of layer 2", [n, 32, 16, 16], [64, 32, 5, 5], Conv2d::square(2, 2)),
            layer("maps of layer 3", [n, 64, 8, 8], [128, 64, 5, 5], Conv2d::square(2, 2)),
            layer("maps of the classes", [n, 128, 4, 4], [10, 128, 4, 4], Conv2d::POINT),
            layer("maps of the latents", [n, 128, 1, 1], [2048, 128, 1, 1], Conv2d::POINT),
        ])
        .chain([adam("adam, a layer", &[&[128, 64, 5, 5], &[128]]), random("latents", [n, 128, 1, 1])])
        .collect()
}

/// Compares a function's value and its derivatives up to this order.
fn operation(case: cases::Case, orders: usize) -> Case {
    let name = case.name;
    let compute = move |device| {
        let variables: Vec<Tensor> = case.operands(device).iter().map(Tensor::variable).collect();
        let places: Vec<&Tensor> = variables.iter().collect();
        let mut results = vec![(case.function)(&variables)];
        results.extend(case.loss(&variables).gradients_or_zeros(&places));
        if orders > 1 {
            results.extend(case.slope(&variables).gradients_or_zeros(&places));
        }
        let summands = variables.iter().map(|variable| variable.shape().len()).max();
        (results, summands.expect("a case has operands"))
    };
    Case {
        name,
        error: Box::new(move |device| {
            let (results, summands) = compute(device);
            // Rounding moves values near zero to the other side of a ReLU, and their fraction is as large as the
            // operands' relative error. The same fraction of a gradient's summands changes, at random, so the sum
            // changes by the square root of the fraction.
            let rounding = Rounding { operands: operand_rounding(device).sqrt() / Rounding::OPERATIONS, summands };
            rounding.largest_error(&results, &compute(Device::Reference).0)
        }),
    }
}

/// Compares the [`maps`] of every kernel that computes tiles, on devices that have such kernels.
fn tiles(name: &'static str, x: [usize; 4], w: [usize; 4], conv: Conv2d) -> Case {
    maps(name, x, w, conv, conv2d_by_every_tile)
}

/// Compares the [`maps`] of the kernels that are chosen for these shapes.
fn layer(name: &'static str, x: [usize; 4], w: [usize; 4], conv: Conv2d) -> Case {
    maps(name, x, w, conv, |operands, conv| vec![maps_of(operands, conv)])
}

/// Computes the convolution of x with w, the input gradient of dy with w, and the weight gradient of x and dy.
fn maps_of([x, w, dy]: [&Tensor; 3], conv: Conv2d) -> [Tensor; 3] {
    [
        x.conv2d(w, conv),
        dy.conv_transpose2d(w, conv, [x.shape()[2], x.shape()[3]]),
        x.conv2d_weight_grad(dy, conv, w.shape().dims()),
    ]
}

/// Compares the three maps of a convolution of images `x` with a kernel `w`, computed in one or more ways: once on
/// numbers that TF32 represents exactly, whose products no precision rounds, and once on arbitrary numbers.
fn maps(
    name: &'static str,
    x: [usize; 4],
    w: [usize; 4],
    conv: Conv2d,
    ways: fn([&Tensor; 3], Conv2d) -> Vec<[Tensor; 3]>,
) -> Case {
    let [height, width] = conv.output_size([x[2], x[3]], [w[2], w[3]]).expect("the kernel fits");
    let output = [x[0], w[0], height, width];
    let error = move |device| {
        let errors = [true, false].map(|held| {
            let operands = [(0, x), (1, w), (2, output)].map(|(stream, shape)| {
                let numbers = numbers(stream, shape.into(), device);
                if held { in_tf32(&numbers) } else { numbers }
            });
            let exact = operands.each_ref().map(|operand| operand.to_device(Device::Reference));
            let expected = maps_of(exact.each_ref(), conv);
            let summands = [w.iter().product::<usize>() / w[0].min(w[1]), height * width * output[0]];
            let rounding = Rounding {
                operands: if held { 0.0 } else { operand_rounding(device) },
                summands: summands[0].max(summands[1]),
            };
            let results = ways(operands.each_ref(), conv);
            results.iter().map(|results| rounding.largest_error(results, &expected)).fold(0.0, worse)
        });
        worse(errors[0], errors[1])
    };
    Case { name, error: Box::new(error) }
}

/// Rounds to the nearest numbers with eleven significant bits.
fn in_tf32(x: &Tensor) -> Tensor {
    let nearest = |x: f32| f32::from_bits((x.to_bits() + 0x1000) & !0x1fff);
    Tensor::from_vec(x.to_vec().into_iter().map(nearest).collect(), x.shape(), x.device())
}

/// Returns the relative error of a product that is caused by rounding its operands.
fn operand_rounding(device: Device) -> f64 {
    match device {
        Device::Cuda(index) if cuda::context(index).precision() == Precision::Tf32 => 2.0 * 0.5f64.powi(11),
        _ => 0.0,
    }
}

/// Compares three steps of Adam.
fn adam(name: &'static str, shapes: &'static [&'static [usize]]) -> Case {
    let compute = move |device| {
        let draw = |stream: usize| -> Vec<Tensor> {
            shapes.iter().zip(stream as u16..).map(|(&shape, stream)| numbers(stream, axes(shape), device)).collect()
        };
        let (mut parameters, mut adam) = (draw(0), Adam::default());
        for step in 1..=3 {
            adam.step(1e-2, parameters.iter_mut().collect(), &draw(100 * step));
        }
        let moments = adam.moments().iter().flat_map(|moments| [moments.first.clone(), moments.second.clone()]);
        parameters.into_iter().chain(moments).collect::<Vec<_>>()
    };
    let rounding = Rounding { operands: 0.0, summands: 1 };
    let error = move |device| rounding.largest_error(&compute(device), &compute(Device::Reference));
    Case { name, error: Box::new(error) }
}

fn axes(lengths: &[usize]) -> Shape {
    Shape::of(lengths).expect("the shape of a parameter")
}

/// Checks that random numbers are bitwise identical on all devices.
fn random(name: &'static str, shape: [usize; 4]) -> Case {
    let bits = move |device| {
        let (random, address) = (Random::new(7), Address { stream: 1, part: 2, step: 3, substep: 4 });
        let drawn = [random.normal(address, shape, device), random.uniform(address, shape, device)];
        drawn.map(|tensor| tensor.to_vec::<f32>().into_iter().map(f32::to_bits).collect::<Vec<_>>())
    };
    Case { name, error: Box::new(move |device| if bits(device) == bits(Device::Cpu) { 0.0 } else { f64::INFINITY }) }
}

/// Checks that steps that are recorded once and launched with new inputs give bitwise the same results as separate
/// steps.
fn graph(name: &'static str) -> Case {
    const SHAPES: [&[usize]; 3] = [&[7, 3, 3, 3], &[5], &[1100]];
    const RATE: f64 = 1e-2;
    /// Returns the parameters and means after a step with random gradients, and the sum of the gradients.
    fn step(state: &[Tensor], adam: &Adam, rate: f64, address: Address) -> Vec<Tensor> {
        let (parameters, means) = state.split_at(SHAPES.len());
        let (mut parameters, mut adam) = (parameters.to_vec(), adam.with(adam.steps(), pairs(means)));
        let gradients: Vec<Tensor> =
            parameters.iter().map(|p| Random::new(7).normal(address, p.shape(), p.device())).collect();
        adam.step(rate, parameters.iter_mut().collect(), &gradients);
        let sum = gradients.iter().map(Tensor::sum).reduce(|a, b| a + b).expect("parameters");
        let moments = adam.moments().iter().flat_map(|moments| [moments.first.clone(), moments.second.clone()]);
        parameters.iter().map(Tensor::detach).chain(moments).chain([sum]).collect()
    }
    fn pairs(means: &[Tensor]) -> Vec<Moments> {
        means.chunks_exact(2).map(|pair| Moments { first: pair[0].clone(), second: pair[1].clone() }).collect()
    }
    let error = move |device| {
        let parameters = SHAPES.iter().zip(0..).map(|(&shape, stream)| numbers(stream, axes(shape), device));
        let means = SHAPES.iter().flat_map(|&shape| [(); 2].map(|()| Tensor::zeros(axes(shape), device)));
        let mut plain: Vec<Tensor> = parameters.chain(means).collect();
        let (mut launched, mut adam, mut graph) = (plain.clone(), Adam::default(), None::<Graph>);
        for iteration in 1..4 {
            let (rate, address) = (
                RATE / f64::from(iteration),
                Address { step: iteration, substep: iteration + 5, ..Address::default() },
            );
            let inputs = [address.graph_input(), adam.graph_input(rate)];
            let operands: Vec<&Tensor> = launched.iter().collect();
            let work = |state: &[Tensor]| step(state, &adam, rate, address);
            launched = match &mut graph {
                Some(graph) => graph.launch(&inputs, &operands),
                None => {
                    let (results, recorded) = Graph::capture(&inputs, &operands, work);
                    graph = recorded;
                    results
                }
            };
            plain = work(&plain);
            let bits = |state: &[Tensor]| -> Vec<u32> {
                state.iter().flat_map(Tensor::to_vec::<f32>).map(f32::to_bits).collect()
            };
            if bits(&launched) != bits(&plain) {
                return f64::INFINITY;
            }
            launched.truncate(3 * SHAPES.len());
            plain.truncate(3 * SHAPES.len());
            adam = adam.with(iteration, Vec::new());
        }
        0.0
    };
    Case { name, error: Box::new(error) }
}

/// The rounding errors that explain a difference between two devices.
struct Rounding {
    /// The relative error of each product.
    operands: f64,
    /// The number of products that are summed.
    summands: usize,
}

impl Rounding {
    /// The number of operations, other than the additions of sums, whose rounding errors a result may accumulate.
    const OPERATIONS: f64 = 4.0;

    /// Returns the largest error of some results, as a multiple of what rounding explains. Each error is relative to
    /// the largest value of its tensor: a sum of m numbers has an error of about sqrt(m) roundings of the largest.
    /// Errors of the summands themselves are as random as the summands, so their error relative to the sum stays the
    /// same.
    fn largest_error(&self, results: &[Tensor], expected: &[Tensor]) -> f64 {
        let sums = f64::from(f32::EPSILON) * (2.0 + (self.summands as f64).sqrt());
        let tolerance = Self::OPERATIONS * (self.operands + sums);
        let errors = results.iter().zip(expected).map(|(result, expected)| {
            assert_eq!(result.shape(), expected.shape());
            let (result, expected) = (result.to_vec::<f64>(), expected.to_vec::<f64>());
            let largest = expected.iter().fold(f64::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
            let error = result.iter().zip(&expected).map(|(result, expected)| (result - expected).abs());
            error.fold(0.0, worse) / (tolerance * largest)
        });
        errors.fold(0.0, worse)
    }
}

/// Returns the larger of two errors; NaN is the worst.
fn worse(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_conforms() {
        for case in small_cases().into_iter().chain(layer_cases(5)) {
            let outcome = case.check(Device::Cpu);
            println!("{:.3} {}", outcome.error, outcome.case);
            assert!(outcome.passed(), "{}: {} times the error of rounding", outcome.case, outcome.error);
            assert!(outcome.kernels.is_empty());
        }
    }

    #[test]
    fn a_wrong_result_does_not_pass() {
        let right = Tensor::from_vec(vec![1.0, -3.0, 2.0], [3], Device::Reference);
        let error = |values: [f64; 3]| {
            let result = Tensor::from_vec(values.to_vec(), [3], Device::Reference);
            Rounding { operands: 0.0, summands: 3 }.largest_error(&[result], std::slice::from_ref(&right))
        };
        assert!(error([1.0, -3.0 - 1e-6, 2.0]) < 1.0);
        assert!(error([1.001, -3.0, 2.0]) > 1.0);
        assert!(error([1.0, f64::NAN, 2.0]).is_nan());
    }
}
