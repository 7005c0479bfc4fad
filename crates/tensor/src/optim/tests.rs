//! Compares the optimisers with PyTorch's formulas, written out for single numbers.

use approx::assert_abs_diff_eq;

use super::*;
use crate::adam::AdamOptions;
use crate::storage::Device;

const RATE: f64 = 0.05;
const STEPS: usize = 5;

/// Maps a parameter, its gradient and the number of the step, counted from 1, to the new parameter.
type Formula = Box<dyn FnMut(f64, f64, i32) -> f64>;

/// The gradient of a sum of powers that no rule treats as a special case.
fn gradient(p: f64) -> f64 {
    4.0 * p.powi(3) - p + 0.3
}

/// Takes steps with two parameters, and compares every number with the result of its own `formula`.
fn assert_follows(mut optimizer: impl Optimizer, formula: impl Fn() -> Formula) {
    let starts = [vec![0.7, -0.4, 1.1, 0.0, -1.3, 0.2], vec![0.9]];
    let mut parameters = [
        Tensor::from_vec(starts[0].clone(), [2, 3], Device::Reference).variable(),
        Tensor::from_vec(starts[1].clone(), [1], Device::Reference).variable(),
    ];
    let mut expected: Vec<(f64, Formula)> = starts.concat().into_iter().map(|start| (start, formula())).collect();
    for number in 1..=STEPS {
        let losses = parameters.each_ref().map(|p| (p.square().square() - p.square() * 0.5 + p * 0.3).sum());
        let gradients = [0, 1].map(|i| losses[i].gradients(&[&parameters[i]]).remove(0));
        optimizer.step(RATE, parameters.iter_mut().collect(), &gradients);
        assert!(parameters.iter().all(Tensor::is_tracked));
        let actual = parameters.iter().flat_map(Tensor::to_vec::<f64>);
        for ((p, formula), actual) in expected.iter_mut().zip(actual) {
            *p = formula(*p, gradient(*p), number as i32);
            assert_abs_diff_eq!(*p, actual, epsilon = 1e-12);
        }
    }
}

#[test]
fn sgd_follows_pytorchs_formulas() {
    for (momentum, nesterov, weight_decay) in
        [(0.0, false, 0.0), (0.0, false, 0.1), (0.9, false, 0.0), (0.9, true, 0.0), (0.8, true, 0.2)]
    {
        assert_follows(Sgd::new(SgdOptions { momentum, nesterov, weight_decay }), || {
            let mut buffer = None;
            Box::new(move |p, gradient, _| {
                let gradient = gradient + weight_decay * p;
                let momentum_buffer = buffer.map_or(gradient, |buffer: f64| momentum * buffer + gradient);
                buffer = Some(momentum_buffer);
                let step = match (momentum != 0.0, nesterov) {
                    (false, _) => gradient,
                    (true, false) => momentum_buffer,
                    (true, true) => gradient + momentum * momentum_buffer,
                };
                p - RATE * step
            })
        });
    }
}

#[test]
fn rms_prop_follows_pytorchs_formulas() {
    let options = RmsPropOptions::default();
    for options in [
        options,
        RmsPropOptions { momentum: 0.9, ..options },
        RmsPropOptions { alpha: 0.9, centered: true, ..options },
        RmsPropOptions { alpha: 0.5, epsilon: 0.1, momentum: 0.5, centered: true, weight_decay: 0.1 },
    ] {
        let RmsPropOptions { alpha, epsilon, momentum, centered, weight_decay } = options;
        assert_follows(RmsProp::new(options), || {
            let [mut square_average, mut gradient_average, mut buffer] = [0.0; 3];
            Box::new(move |p, gradient: f64, _| {
                let gradient = gradient + weight_decay * p;
                square_average = alpha * square_average + (1.0 - alpha) * gradient * gradient;
                let mut average = square_average;
                if centered {
                    gradient_average = alpha * gradient_average + (1.0 - alpha) * gradient;
                    average -= gradient_average * gradient_average;
                }
                let average = average.sqrt() + epsilon;
                if momentum > 0.0 {
                    buffer = momentum * buffer + gradient / average;
                    p - RATE * buffer
                } else {
                    p - RATE * gradient / average
                }
            })
        });
    }
}

/// PyTorch's `AdamW`, which without weight decay is its `Adam`.
fn adam_w(AdamOptions { beta1, beta2, epsilon }: AdamOptions, weight_decay: f64) -> Formula {
    let [mut first, mut second] = [0.0; 2];
    Box::new(move |p, gradient, step| {
        let p = p * (1.0 - RATE * weight_decay);
        first = beta1 * first + (1.0 - beta1) * gradient;
        second = beta2 * second + (1.0 - beta2) * gradient * gradient;
        let [bias_correction1, bias_correction2] = [beta1, beta2].map(|beta| 1.0 - beta.powi(step));
        let denominator = second.sqrt() / bias_correction2.sqrt() + epsilon;
        p - RATE / bias_correction1 * first / denominator
    })
}

#[test]
fn adam_and_adam_w_follow_pytorchs_formulas() {
    for options in [AdamOptions::default(), AdamOptions { beta1: 0.0, beta2: 0.9, epsilon: 1e-3 }] {
        assert_follows(Adam::new(options), || adam_w(options, 0.0));
        assert_follows(AdamW::new(options, 0.3), || adam_w(options, 0.3));
    }
    assert_follows(AdamW::default(), || adam_w(AdamOptions::default(), 0.01));
}

#[test]
fn an_optimizer_goes_on_where_another_stood() {
    let go_on = |begun: &mut dyn Optimizer, resumed: &mut dyn Fn() -> Box<dyn Optimizer>| {
        let x = || Tensor::full(0.5, [3], Device::Cpu).variable();
        let [mut here, mut there, gradient] = [x(), x(), x()];
        begun.step(RATE, vec![&mut here], std::slice::from_ref(&gradient));
        resumed().step(RATE, vec![&mut there], std::slice::from_ref(&gradient));
        assert_eq!(here.to_vec::<f32>(), there.to_vec::<f32>());
    };
    let x = Tensor::full(1.0, [3], Device::Cpu);
    let options = SgdOptions { momentum: 0.9, ..SgdOptions::default() };
    let mut sgd = Sgd::new(options);
    sgd.step(RATE, vec![&mut x.variable()], std::slice::from_ref(&x));
    let velocities = sgd.velocities().to_vec();
    go_on(&mut sgd, &mut || Box::new(Sgd::resume(options, velocities.clone())));
    let options = RmsPropOptions { momentum: 0.9, centered: true, ..RmsPropOptions::default() };
    let mut rms_prop = RmsProp::new(options);
    rms_prop.step(RATE, vec![&mut x.variable()], std::slice::from_ref(&x));
    let averages = rms_prop.averages().to_vec();
    go_on(&mut rms_prop, &mut || Box::new(RmsProp::resume(options, averages.clone())));
}

#[test]
fn gradients_are_clipped_by_their_common_norm() {
    let gradients = || [[3.0, 0.0], [0.0, -4.0]].map(|g| Tensor::from_vec(g.to_vec(), [2], Device::Reference));
    let numbers = |gradients: &[Tensor]| gradients.iter().flat_map(Tensor::to_vec::<f64>).collect::<Vec<_>>();
    let mut small = gradients();
    assert_eq!(clip_grad_norm(&mut small, 5.1).item(), 5.0);
    assert_eq!(numbers(&small), [3.0, 0.0, 0.0, -4.0]);
    let mut clipped = gradients();
    assert_eq!(clip_grad_norm(&mut clipped, 1.0).item(), 5.0);
    for (actual, expected) in numbers(&clipped).into_iter().zip([3.0, 0.0, 0.0, -4.0]) {
        assert_abs_diff_eq!(actual, expected / (5.0 + 1e-6), epsilon = 1e-12);
    }
}

#[test]
fn gradients_are_clipped_number_by_number() {
    let mut gradients = [Tensor::from_vec(vec![3.0, -0.5, -4.0], [3], Device::Reference)];
    clip_grad_value(&mut gradients, 1.0);
    assert_eq!(gradients[0].to_vec::<f64>(), [1.0, -0.5, -1.0]);
}

#[test]
#[should_panic(expected = "Sgd was begun with another number of parameters")]
fn other_parameters_are_refused() {
    let [mut a, mut b] = [1.0, 2.0].map(|number| Tensor::full(number, [2], Device::Cpu).variable());
    let gradients = [a.detach(), b.detach()];
    let mut sgd = Sgd::default();
    sgd.step(RATE, vec![&mut a], &gradients[..1]);
    sgd.step(RATE, vec![&mut a, &mut b], &gradients);
}
