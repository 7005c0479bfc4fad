//! Trains a tiny convolution until its slope at one image has norm 1: descent along a gradient of a gradient.
use mergan_tensor::{Adam, AdamOptions, Address, Conv2d, Device, Random};

fn main() {
    let random = Random::new(0);
    let image = random.normal(Address::default(), [1, 1, 8, 8], Device::Cpu).variable();
    let mut kernel = random.uniform(Address { substep: 1, ..Address::default() }, [4, 1, 3, 3], Device::Cpu).variable();
    let mut adam = Adam::new(AdamOptions { beta1: 0.0, beta2: 0.9, epsilon: 1e-8 });
    let mut penalty = f64::INFINITY;
    for _ in 0..300 {
        let score = image.conv2d(&kernel, Conv2d::square(2, 1)).square().sum();
        let slope = score.differentiable_gradient(&image);
        let loss = (slope.square().sum().sqrt() - 1.0).square();
        let gradients = loss.gradients(&[&kernel]);
        adam.step(0.003, vec![&mut kernel], &gradients);
        penalty = loss.item();
    }
    assert!(penalty < 0.01, "the penalty is still {penalty}");
}
