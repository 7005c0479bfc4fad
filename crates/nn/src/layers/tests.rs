//! Compares layers with first and second order finite differences, in f64, and with their formulas.

use approx::assert_abs_diff_eq;
use mergan_tensor::{Adam, AdamW, Address, Device, Optimizer, Random, RmsProp, Sgd, SgdOptions, Shape, Tensor};

use super::*;
use crate::mode::evaluate;
use crate::network::{Layer, Network};
use crate::scope::Scope;
use crate::sequential::Sequential;

fn scope() -> Scope {
    Scope::new(Random::new(5), Device::Reference)
}

fn numbers(stream: u16, shape: impl Into<Shape>) -> Tensor {
    Random::new(8).normal(Address { stream, ..Address::default() }, shape, Device::Reference)
}

/// Returns a layer whose parameters are all different, because new scales are all alike, and so are new shifts.
fn mixed<N: Network>(mut layer: N) -> N {
    for (parameter, stream) in layer.parameters_mut().into_iter().zip(100..) {
        if !parameter.buffer {
            parameter.value = &parameter.value + numbers(stream, parameter.value.shape()) * 0.3;
        }
    }
    layer
}

/// Compares first and second derivatives of a layer, with respect to its parameters and to x, with central differences
/// along one random direction each.
fn check<N: Network>(what: &str, layer: &N, x: &Tensor, forward: impl Fn(&N, &Tensor) -> Tensor) {
    let operands: Vec<Tensor> = layer.trainable().values().into_iter().chain([x.variable()]).collect();
    let chosen: Vec<usize> = (0..operands.len()).filter(|&i| operands[i].is_tracked()).collect();
    // Every pass uses its own copy of the layer, since a pass may change it.
    let loss = |operands: &[Tensor]| {
        let mut layer = layer.clone();
        let parameters = layer.parameters_mut().into_iter();
        parameters.zip(operands).for_each(|(parameter, value)| parameter.value = value.clone());
        let y = forward(&layer, &operands[operands.len() - 1]);
        (y.square() * numbers(1, y.shape())).sum() + (&y * numbers(2, y.shape())).sum()
    };
    let variables = |operands: &[Tensor]| chosen.iter().map(|&i| operands[i].clone()).collect::<Vec<_>>();
    let slope = |operands: &[Tensor]| {
        let variables = variables(operands);
        let gradients =
            loss(operands).differentiable_gradients_or_zeros(&variables.iter().collect::<Vec<_>>()).into_iter();
        let along =
            gradients.zip(200..).map(|(gradient, stream)| (&gradient * numbers(stream, gradient.shape())).sum());
        along.reduce(|a, b| a + b).unwrap()
    };
    for order in ["first", "second"] {
        let scalar = |operands: &[Tensor]| if order == "first" { loss(operands) } else { slope(operands) };
        let variables = variables(&operands);
        let gradients = scalar(&operands).gradients_or_zeros(&variables.iter().collect::<Vec<_>>());
        for (&i, gradient) in chosen.iter().zip(&gradients) {
            const STEP: f64 = 1e-5;
            let direction = numbers(300 + i as u16, gradient.shape());
            let at = |step: f64| {
                let mut moved = operands.clone();
                moved[i] = (operands[i].detach() + &direction * step).variable();
                scalar(&moved).item()
            };
            let expected = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            let actual = (gradient * direction).sum().item();
            assert!(
                (expected - actual).abs() <= 1e-5 * (1.0 + expected.abs()),
                "{what}: the {order} derivative with respect to operand {i} is {actual}, finite differences say {expected}"
            );
        }
    }
}

fn check_layer(what: &str, layer: impl Layer, x: impl Into<Shape>) {
    check(what, &mixed(layer), &numbers(0, x), |layer, x| layer.forward(x));
}

#[test]
fn derivatives_equal_finite_differences() {
    let at = &scope();
    check_layer("linear", Linear::new(at, 5, 3), [4, 5]);
    check_layer("linear of three axes, without bias", Linear::new(at, 5, 3).without_bias(), [2, 3, 5]);
    check_layer("convolution", Conv2d::new(at, 2, 3, 3).stride(2).padding(1), [2, 2, 5, 6]);
    check_layer("convolution without bias", Conv2d::new(at, 2, 3, 2).without_bias(), [2, 2, 4, 4]);
    check_layer("transposed convolution", ConvTranspose2d::new(at, 2, 3, 4).stride(2).padding(1), [2, 2, 3, 2]);
    check_layer("transposed, without bias", ConvTranspose2d::new(at, 2, 3, 2).without_bias(), [2, 2, 3, 2]);
    check_layer("layer norm of images", LayerNorm::new(at, 3), [2, 3, 4, 4]);
    check_layer("layer norm of rows", LayerNorm::new(at, 6), [3, 6]);
    check_layer("batch norm of images", BatchNorm2d::new(at, 3), [4, 3, 2, 2]);
    check_layer("batch norm of rows", BatchNorm2d::new(at, 3), [5, 3]);
    let classes = |layer: &ConditionalBatchNorm2d, x: &Tensor| layer.forward(x, &[1, 0, 1, 2]);
    check("conditional batch norm", &mixed(ConditionalBatchNorm2d::new(at, 3, 2)), &numbers(0, [4, 2, 3, 3]), classes);
    let looked_up = |layer: &Embedding, x: &Tensor| layer.forward(&[2, 0, 2]) * x;
    check("embedding", &mixed(Embedding::new(at, 3, 4)), &numbers(0, [3, 4]), looked_up);
}

#[test]
fn derivatives_in_evaluation_equal_finite_differences() {
    let at = &scope();
    let norm = BatchNorm2d::new(at, 3);
    let conditional = ConditionalBatchNorm2d::new(at, 3, 3);
    let x = numbers(9, [4, 3, 2, 2]) * 2.0 + 1.0;
    norm.forward(&x);
    conditional.forward(&x, &[0; 4]);
    evaluate(|| {
        check_layer("batch norm in evaluation", norm, [2, 3, 2, 2]);
        let classes = |layer: &ConditionalBatchNorm2d, x: &Tensor| layer.forward(x, &[1, 2]);
        check("conditional batch norm in evaluation", &mixed(conditional), &numbers(0, [2, 3, 2, 2]), classes);
        // The vectors do not change here, because gradients treat them as constants.
        check_layer("spectral norm, linear", SpectralNorm::new(at, Linear::new(at, 5, 3)), [4, 5]);
        check_layer("spectral norm, convolution", SpectralNorm::new(at, Conv2d::new(at, 2, 3, 3)), [2, 2, 4, 4]);
        check_layer(
            "spectral norm, transposed",
            SpectralNorm::new(at, ConvTranspose2d::new(at, 2, 3, 3)),
            [2, 2, 2, 2],
        );
    });
}

#[test]
fn shapes_are_pytorchs() {
    let at = &scope();
    let shape = |layer: &dyn Fn(&Tensor) -> Tensor, x: &[usize]| layer(&numbers(0, Shape::of(x).unwrap())).shape();
    let linear = Linear::new(at, 5, 3);
    for (x, y) in [(&[5][..], &[3][..]), (&[4, 5], &[4, 3]), (&[2, 3, 5], &[2, 3, 3]), (&[2, 2, 3, 5], &[2, 2, 3, 3])] {
        assert_eq!(shape(&|x| linear.forward(x), x).axes(), y);
    }
    let conv = Conv2d::new(at, 3, 4, 4).stride(2).padding(1);
    assert_eq!(shape(&|x| conv.forward(x), &[2, 3, 9, 8]), [2, 4, 4, 4]);
    let conv = ConvTranspose2d::new(at, 3, 4, 3).stride(2).padding(1);
    assert_eq!(shape(&|x| conv.forward(x), &[2, 3, 4, 5]), [2, 4, 7, 9]);
    let conv = conv.output_padding(1);
    assert_eq!(shape(&|x| conv.forward(x), &[2, 3, 4, 5]), [2, 4, 8, 10]);
    assert_eq!(conv.parameters()[0].value.shape(), [3, 4, 3, 3]);
}

#[test]
fn a_linear_layer_is_its_formula() {
    let layer = Linear::new(&scope(), 3, 2);
    let x = numbers(0, [1, 3]);
    let [w, b, x, y] =
        [&layer.weight.value, &layer.bias.as_ref().unwrap().value, &x, &layer.forward(&x)].map(Tensor::to_vec::<f64>);
    for o in 0..2 {
        assert_abs_diff_eq!(y[o], b[o] + (0..3).map(|i| w[3 * o + i] * x[i]).sum::<f64>(), epsilon = 1e-14);
    }
}

#[test]
fn weights_and_biases_begin_as_in_pytorch_or_as_the_scope_says() {
    let bound =
        |parameter: &Parameter| parameter.value.to_vec::<f64>().iter().fold(0.0f64, |bound, x| bound.max(x.abs()));
    let at = scope();
    let layer = Conv2d::new(&at, 8, 500, 5);
    for parameter in layer.parameters() {
        let [found, expected] = [bound(&parameter), 1.0 / 200f64.sqrt()];
        assert!((0.98..=1.0).contains(&(found / expected)), "{}: {found} of {expected}", parameter.name);
    }
    // The first axis of a transposed kernel is that of the inputs, so the fan is computed from the second one.
    let transposed = ConvTranspose2d::new(&at, 300, 8, 5);
    assert!((0.98..=1.0).contains(&(bound(&transposed.weight) * 200f64.sqrt())));
    let at = at.with_weights(crate::Init::Constant(0.5)).with_biases(crate::Init::Constant(0.0));
    let layer = Linear::new(&at.at("l1"), 2, 1);
    assert_eq!(layer.weight.value.to_vec::<f64>(), [0.5; 2]);
    assert_eq!(layer.bias.unwrap().value.to_vec::<f64>(), [0.0]);
}

#[test]
fn layers_of_one_scope_do_not_begin_alike() {
    let at = scope();
    let [a, b] = ["a", "b"].map(|name| Linear::new(&at.at(name), 4, 4).weight.value.to_vec::<f64>());
    assert_ne!(a, b);
    let again = Linear::new(&scope().at("other"), 4, 4).weight.value.to_vec::<f64>();
    assert_eq!(a, again);
}

#[test]
fn running_statistics_are_pytorchs() {
    let layer = BatchNorm2d::new(&scope(), 2);
    let (mut mean, mut variance) = ([0.0; 2], [1.0; 2]);
    for stream in 0..3 {
        let x = numbers(stream, [3, 2, 2, 2]) * 3.0 + 1.0;
        layer.forward(&x);
        for channel in 0..2 {
            let x: Vec<f64> = x.slice(1, channel..channel + 1).to_vec();
            let of_batch = x.iter().sum::<f64>() / 12.0;
            let unbiased = x.iter().map(|x| (x - of_batch).powi(2)).sum::<f64>() / 11.0;
            mean[channel] = 0.9 * mean[channel] + 0.1 * of_batch;
            variance[channel] = 0.9 * variance[channel] + 0.1 * unbiased;
        }
    }
    let parameters = layer.parameters();
    let names: Vec<&str> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    assert_eq!(names, ["weight", "bias", "running_mean", "running_var"]);
    for (found, expected) in [(&parameters[2], mean), (&parameters[3], variance)] {
        for (found, expected) in found.value.to_vec::<f64>().into_iter().zip(expected) {
            assert_abs_diff_eq!(found, expected, epsilon = 1e-12);
        }
    }
    // Evaluation normalises by the running statistics and does not update them.
    let x = numbers(7, [1, 2, 1, 1]);
    let [x, y] = [&x, &evaluate(|| layer.forward(&x))].map(Tensor::to_vec::<f64>);
    for channel in 0..2 {
        let expected = (x[channel] - mean[channel]) / (variance[channel] + 1e-5).sqrt();
        assert_abs_diff_eq!(y[channel], expected, epsilon = 1e-12);
    }
    assert_eq!(layer.running.mean.value().to_vec::<f64>(), parameters[2].value.to_vec::<f64>());
}

#[test]
fn a_clone_keeps_statistics_of_its_own() {
    let layer = BatchNorm2d::new(&scope(), 2);
    let clone = layer.clone();
    layer.forward(&numbers(0, [4, 2]));
    assert_eq!(clone.running.mean.value().to_vec::<f64>(), [0.0; 2]);
    assert_ne!(layer.running.mean.value().to_vec::<f64>(), [0.0; 2]);
}

#[test]
fn classes_have_scales_and_shifts_of_their_own() {
    let mut layer = ConditionalBatchNorm2d::new(&scope(), 2, 3);
    let x = numbers(0, [4, 3, 2, 2]);
    let plain = BatchNorm2d::new(&scope(), 3).forward(&x).to_vec::<f64>();
    assert_eq!(layer.forward(&x, &[0, 1, 0, 1]).to_vec::<f64>(), plain);
    layer.weight.value = Tensor::from_vec(vec![1.0, 1.0, 1.0, 2.0, 2.0, 2.0], [2, 3], Device::Reference);
    layer.bias.value = Tensor::from_vec(vec![0.0, 0.0, 0.0, 0.5, 0.5, 0.5], [2, 3], Device::Reference);
    let y = layer.forward(&x, &[0, 1, 0, 1]).to_vec::<f64>();
    for (i, (y, plain)) in y.into_iter().zip(plain).enumerate() {
        let expected = if i / 12 % 2 == 0 { plain } else { 2.0 * plain + 0.5 };
        assert_abs_diff_eq!(y, expected, epsilon = 1e-12);
    }
}

/// Returns a matrix with singular values 4 and 1 whose singular vectors are not the axes.
fn stretched() -> Tensor {
    let (s, c) = 0.6f64.sin_cos();
    Tensor::from_vec(
        vec![4.0 * c * c + s * s, 3.0 * c * s, 3.0 * c * s, 4.0 * s * s + c * c],
        [2, 2],
        Device::Reference,
    )
}

#[test]
fn spectral_norm_divides_by_the_largest_singular_value() {
    let at = scope();
    let mut layer = Linear::new(&at, 2, 2);
    layer.weight.value = stretched();
    let layer = SpectralNorm::new(&at, layer);
    let names: Vec<String> = layer.parameters().into_iter().map(|parameter| parameter.name).collect();
    assert_eq!(names, ["weight_orig", "bias", "weight_u", "weight_v"]);
    let normalised = layer.normalised().weight.value;
    for (found, whole) in normalised.to_vec::<f64>().into_iter().zip(stretched().to_vec::<f64>()) {
        assert_abs_diff_eq!(found, whole / 4.0, epsilon = 1e-9);
    }
    // A transposed convolution of one pixel multiplies by the transposed matrix.
    let mut transposed = ConvTranspose2d::new(&at, 2, 2, 1);
    transposed.weight.value = stretched().t().reshape([2, 2, 1, 1]);
    let transposed = SpectralNorm::new(&at, transposed).normalised();
    for (found, expected) in transposed.weight.value.to_vec::<f64>().into_iter().zip(normalised.t().to_vec::<f64>()) {
        assert_abs_diff_eq!(found, expected, epsilon = 1e-9);
    }
}

#[test]
fn a_pass_in_training_is_one_step_of_the_power_iteration() {
    let at = scope();
    let layer = SpectralNorm::new(&at, Linear::new(&at, 3, 2));
    let vectors = |layer: &SpectralNorm<Linear>| {
        let values = layer.values();
        [2, 3].map(|i| values[i].to_vec::<f64>())
    };
    let x = numbers(0, [1, 3]);
    // The weight is replaced, but the vectors still belong to the old one.
    let mut layer = mixed(layer);
    let w: Vec<f64> = layer.parameters_mut()[0].value.to_vec();
    let [u, v] = vectors(&layer);
    evaluate(|| layer.forward(&x));
    assert_eq!(vectors(&layer), [u.clone(), v]);
    layer.forward(&x);
    let unit = |v: Vec<f64>| {
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        v.into_iter().map(|x| x / norm).collect::<Vec<_>>()
    };
    let v = unit((0..3).map(|i| (0..2).map(|o| w[3 * o + i] * u[o]).sum()).collect());
    let u = unit((0..2).map(|o| (0..3).map(|i| w[3 * o + i] * v[i]).sum()).collect());
    for (found, expected) in vectors(&layer).concat().into_iter().zip([u, v].concat()) {
        assert_abs_diff_eq!(found, expected, epsilon = 1e-12);
    }
}

#[test]
fn gradients_in_training_go_through_sigma() {
    let at = scope();
    let layer = SpectralNorm::new(&at, Linear::new(&at, 3, 2)).trainable();
    let x = numbers(0, [4, 3]);
    let trained = layer.gradients(&layer.forward(&x).square().sum());
    // The pass stored the vectors that it computed with.
    let evaluated = layer.gradients(&evaluate(|| layer.forward(&x)).square().sum());
    for (a, b) in trained.iter().zip(&evaluated) {
        assert_eq!(a.to_vec::<f64>(), b.to_vec::<f64>());
    }
    // Scaling the weight does not change the normalised weight.
    let weight = layer.values()[0].clone();
    assert_abs_diff_eq!((&trained[0] * weight).sum().item(), 0.0, epsilon = 1e-9);
}

#[test]
fn dropout_drops_a_share_and_keeps_the_mean() {
    let at = scope();
    let layer = Dropout::new(&at, 0.25);
    let x = Tensor::full(3.0, [10_000], Device::Reference);
    let [first, second] = [(); 2].map(|()| layer.clone().forward(&x).to_vec::<f64>());
    assert_ne!(first, second);
    assert!(first.iter().all(|&x| x == 0.0 || (x - 4.0).abs() < 1e-12));
    // The tolerance is five standard errors.
    let dropped = first.iter().filter(|&&x| x == 0.0).count();
    assert!(dropped.abs_diff(2500) < 5 * 43, "{dropped}");
    assert_eq!(evaluate(|| layer.forward(&x)).to_vec::<f64>(), x.to_vec::<f64>());
    assert_eq!(Dropout::new(&at, 0.0).forward(&x).to_vec::<f64>(), x.to_vec::<f64>());
}

fn critic(at: &Scope) -> Sequential {
    Sequential::new(at)
        .then(SpectralNorm::new(at, Conv2d::new(at, 1, 4, 3).padding(1)))
        .then(|x: &Tensor| x.leaky_relu(0.2))
        .then(BatchNorm2d::new(at, 4))
        .then(Sequential::new(at).then(Tensor::flatten).then(Linear::new(at, 64, 1)))
}

#[test]
fn names_are_numbers_joined_by_dots() {
    let names = |network: &Sequential| -> Vec<String> {
        network.parameters().into_iter().map(|parameter| parameter.name).collect()
    };
    let expected = [
        "0.weight_orig",
        "0.bias",
        "0.weight_u",
        "0.weight_v",
        "2.weight",
        "2.bias",
        "2.running_mean",
        "2.running_var",
        "3.1.weight",
        "3.1.bias",
    ];
    assert_eq!(names(&critic(&scope())), expected);
    assert_eq!(names(&critic(&scope().at("critic"))), expected.map(|name| format!("critic.{name}")));
    let blocks: Vec<Linear> = (0..2).map(|i| Linear::new(&scope().at("blocks").at(i), 2, 2).without_bias()).collect();
    assert_eq!(blocks.parameters()[1].name, "blocks.1.weight");
}

#[test]
fn buffers_are_no_variables() {
    let mut network = critic(&scope()).trainable();
    assert_eq!(network.parameter_count(), 36 + 4 + 4 + 4 + 64 + 1);
    assert_eq!((network.values().len(), network.variables_mut().len()), (10, 6));
    // A running average of weights takes buffers unchanged from the other network.
    let other = critic(&scope()).map(|value| value + 1.0);
    for ((here, there), mean) in
        network.parameters().iter().zip(other.parameters()).zip(network.towards(&other, 0.5).parameters())
    {
        let expected = if here.buffer { there.value } else { &here.value + 0.5 };
        for (mean, expected) in mean.value.to_vec::<f64>().into_iter().zip(expected.to_vec::<f64>()) {
            assert_abs_diff_eq!(mean, expected, epsilon = 1e-12);
        }
    }
}

#[test]
fn every_optimizer_descends() {
    fn descends(mut optimizer: impl Optimizer, rate: f64) {
        let mut network = critic(&scope()).trainable();
        let (x, wanted) = (numbers(0, [8, 1, 4, 4]), numbers(1, [8, 1]));
        let losses: Vec<f64> = (0..60)
            .map(|_| {
                let loss = (network.forward(&x) - &wanted).square().mean();
                network.descend(&loss, &mut optimizer, rate);
                loss.item()
            })
            .collect();
        assert!(losses[59] < 0.2 * losses[0], "{losses:?}");
    }
    descends(Sgd::new(SgdOptions { momentum: 0.9, nesterov: true, weight_decay: 0.0 }), 0.02);
    descends(RmsProp::default(), 0.01);
    descends(Adam::default(), 0.02);
    descends(AdamW::default(), 0.02);
}

#[test]
fn evaluation_ends_when_it_panics() {
    let result = std::panic::catch_unwind(|| evaluate(|| panic!("in evaluation")));
    assert!(result.is_err() && crate::is_training());
}

#[test]
#[should_panic(expected = "the layer of `c1.weight` takes 5 channels, the images have 3")]
fn other_channels_are_refused() {
    Conv2d::new(&scope().at("c1"), 5, 2, 3).forward(&numbers(0, [1, 3, 8, 8]));
}

#[test]
#[should_panic(expected = "the layer of `fc.weight` takes rows of 5 numbers, not a tensor of shape [2, 3]")]
fn other_rows_are_refused() {
    Linear::new(&scope().at("fc"), 5, 2).forward(&numbers(0, [2, 3]));
}

#[test]
#[should_panic(expected = "`weight` has vectors for 0 to 3, not for 4")]
fn unknown_things_are_refused() {
    Embedding::new(&scope(), 4, 2).forward(&[0, 4]);
}

#[test]
#[should_panic(expected = "a layer with the parameter `other.weight` in a Sequential of the scope `net.`")]
fn layers_of_another_scope_are_refused() {
    let at = scope();
    drop(Sequential::new(&at.at("net")).then(Linear::new(&at.at("other"), 1, 1)));
}
