//! Tests every operation against finite differences, first and second order, in f64, and the CPU device against the
//! reference device. One list of cases serves both.

use approx::{assert_abs_diff_eq, assert_relative_eq};

use super::Conv2d;
use super::cases::{Case, cases, numbers};
use crate::shape::Shape;
use crate::storage::Device;
use crate::tensor::Tensor;

impl Case {
    /// Compares the gradients of `scalar` with central differences along one random direction per operand.
    fn check(&self, what: &str, scalar: impl Fn(&[Tensor]) -> Tensor) {
        const STEP: f64 = 1e-5;
        let operands = self.operands(Device::Reference);
        let variables: Vec<Tensor> = operands.iter().map(Tensor::variable).collect();
        let gradients = scalar(&variables).gradients_or_zeros(&variables.iter().collect::<Vec<_>>());
        for (i, gradient) in gradients.iter().enumerate() {
            let direction = numbers(300 + i as u16, gradient.shape(), Device::Reference);
            let at = |step: f64| {
                let mut moved: Vec<Tensor> = operands.iter().map(Tensor::variable).collect();
                moved[i] = (&operands[i] + &direction * step).variable();
                scalar(&moved).item()
            };
            let expected = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            let actual = (gradient * direction).sum().item();
            assert!(
                (expected - actual).abs() <= 1e-6 * (1.0 + expected.abs()),
                "{}: {what} with respect to operand {i} is {actual}, finite differences say {expected}",
                self.name
            );
        }
    }
}

#[test]
fn first_derivatives_equal_finite_differences() {
    for case in cases() {
        case.check("first derivative", |operands| case.loss(operands));
    }
}

#[test]
fn second_derivatives_equal_finite_differences() {
    for case in cases() {
        case.check("second derivative", |operands| case.slope(operands));
    }
}

#[test]
fn the_cpu_agrees_with_the_reference() {
    for case in cases() {
        let values = |device| {
            let variables: Vec<Tensor> = case.operands(device).iter().map(Tensor::variable).collect();
            let variables_ref: Vec<&Tensor> = variables.iter().collect();
            let mut values: Vec<f64> = (case.function)(&variables).to_vec();
            for gradient in case.slope(&variables).gradients_or_zeros(&variables_ref) {
                values.extend(gradient.to_vec::<f64>());
            }
            values
        };
        let (fast, plain) = (values(Device::Cpu), values(Device::Reference));
        assert_eq!(fast.len(), plain.len());
        for (fast, plain) in fast.iter().zip(&plain) {
            assert!((fast - plain).abs() <= 1e-3 * (1.0 + plain.abs()), "{}: {fast} on the cpu, {plain}", case.name);
        }
    }
}

/// Compares fused backward kernels with the compositions that replace them while the graph is recorded.
#[test]
fn gradients_do_not_depend_on_being_recorded() {
    for case in cases() {
        let variables: Vec<Tensor> = case.operands(Device::Reference).iter().map(Tensor::variable).collect();
        let variables_ref: Vec<&Tensor> = variables.iter().collect();
        let loss = case.loss(&variables);
        let pairs = loss.gradients(&variables_ref).into_iter().zip(loss.differentiable_gradients(&variables_ref));
        for (fused, recorded) in pairs {
            for (fused, recorded) in fused.to_vec::<f64>().iter().zip(recorded.to_vec::<f64>()) {
                assert_abs_diff_eq!(*fused, recorded, epsilon = 1e-9);
            }
        }
    }
}

/// Compares the fused second gradients of normalisations with the compositions that replace them in third derivatives.
#[test]
fn second_gradients_of_normalisations_do_not_depend_on_being_recorded() {
    let mut compared = 0;
    for case in cases().into_iter().filter(|case| case.name.contains("norm_leaky_relu")) {
        let variables: Vec<Tensor> = case.operands(Device::Reference).iter().map(Tensor::variable).collect();
        let variables: Vec<&Tensor> = variables.iter().collect();
        let first =
            case.loss(&variables.iter().copied().cloned().collect::<Vec<_>>()).differentiable_gradients(&variables);
        let penalty = first.iter().map(|gradient| gradient.square().sum()).reduce(|sum, term| sum + term);
        let penalty = penalty.expect("a gradient for every operand");
        let pairs = penalty.gradients(&variables).into_iter().zip(penalty.differentiable_gradients(&variables));
        for (fused, recorded) in pairs {
            for (fused, recorded) in fused.to_vec::<f64>().iter().zip(recorded.to_vec::<f64>()) {
                assert_relative_eq!(*fused, recorded, max_relative = 1e-9, epsilon = 1e-9);
                compared += 1;
            }
        }
    }
    assert!(compared > 100, "{compared} numbers compared");
}

/// Uses tensors so large that every kernel splits its work.
#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let compute = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let draw = |stream, shape: Shape| numbers(stream, shape, Device::Cpu).variable();
            let (x, w) = (draw(0, [64, 8, 32, 32].into()), draw(1, [24, 8, 5, 5].into()));
            let (scale, shift) = (draw(2, [4, 24].into()), draw(3, [24].into()));
            let bias = draw(4, [24].into());
            let maps = Tensor::concat(0, &[&x, &x.tanh()]).index_select(0, &(0..64).collect::<Vec<_>>());
            let maps = maps.conv2d_leaky_relu(&w, &bias, Conv2d::square(2, 2), 0.2);
            let maps = maps.batch_norm_leaky_relu(&scale, &scale.tanh(), 4, 1e-5, 0.2);
            let maps = maps.affine_leaky_relu(&scale, &shift, 0.2);
            let norms = maps.square().sum_axes(&[1, 2, 3]).sqrt();
            let loss = norms.sum() + maps.flatten().cross_entropy(&[7; 64]);
            let mut parameter = x.clone();
            let gradients = loss.gradients(&[&x, &w, &bias, &scale, &shift]);
            crate::Adam::default().step(1e-3, vec![&mut parameter], &gradients[..1]);
            let all = gradients.iter().chain([&loss, &parameter]);
            all.flat_map(|tensor| tensor.to_vec::<f32>()).map(f32::to_bits).collect::<Vec<_>>()
        })
    };
    let one = compute(1);
    assert!(compute(2) == one && compute(3) == one);
}

#[test]
fn third_derivatives_exist() {
    let x = Tensor::full(0.5, Shape::SCALAR, Device::Reference).variable();
    let mut derivative = x.tanh();
    for _ in 0..3 {
        derivative = derivative.differentiable_gradient(&x);
    }
    let t = 0.5f64.tanh();
    assert_relative_eq!(derivative.item(), -2.0 * (1.0 - t * t) * (1.0 - 3.0 * t * t), max_relative = 1e-12);
}

#[test]
fn the_norm_of_zero_has_a_gradient_of_zeros() {
    let x = Tensor::zeros([2, 3], Device::Reference).variable();
    let norms = x.square().sum_axes(&[1]).sqrt();
    assert_eq!(norms.sum().gradients(&[&x])[0].to_vec::<f64>(), [0.0; 6]);
}

#[test]
fn a_gradient_stops_at_constants_and_at_unrelated_variables() {
    let x = numbers(0, [3].into(), Device::Reference).variable();
    let unrelated = numbers(1, [3].into(), Device::Reference).variable();
    let loss = (x.detach() * &x).sum();
    let gradients = loss.gradients_or_zeros(&[&x, &unrelated]);
    assert_eq!(gradients[0].to_vec::<f64>(), x.to_vec::<f64>());
    assert_eq!(gradients[1].to_vec::<f64>(), [0.0; 3]);
    assert!(!crate::no_grad(|| x.square()).is_tracked());
}

#[test]
fn a_long_chain_of_operations_is_freed_without_recursion() {
    let mut x = Tensor::full(1.0, Shape::SCALAR, Device::Cpu).variable();
    for _ in 0..200_000 {
        x = (x + 1.0).square() * 0.0;
    }
    drop(x);
}
