//! Hessian-vector products, and Newton's method with them.
//!
//! The Hessian of a function of n variables has n * n entries, which is too many to store for a network. Its product
//! with a vector v has only n, and no Hessian is needed to compute it: the product is the gradient of the number
//! `gradient . v`, with v held constant (Pearlmutter, 1994). That is a gradient of a gradient.
//!
//! Newton's method moves by the solution of `Hessian * step = -gradient`. The method of conjugate gradients finds it
//! from products of the Hessian with vectors alone. Here the two fit a logistic regression whose features are scaled so
//! differently that gradient descent takes tens of thousands of steps.

use mergan_tensor::{Address, Device, Random, Tensor};

const ROWS: usize = 400;
const FEATURES: usize = 20;

/// The objective: the mean logistic loss of labels 1 and -1, and a small multiple of the weights' squares.
struct Regression {
    features: Tensor,
    labels: Tensor,
}

impl Regression {
    fn loss(&self, weights: &Tensor) -> Tensor {
        let margins = &self.labels * self.features.matmul(weights);
        (-margins).softplus().mean() + weights.square().sum() * 5e-4
    }

    fn gradient(&self, weights: &Tensor) -> Tensor {
        let weights = weights.variable();
        self.loss(&weights).gradient(&weights)
    }

    fn hessian_times(&self, weights: &Tensor, vector: &Tensor) -> Tensor {
        let weights = weights.variable();
        let gradient = self.loss(&weights).differentiable_gradient(&weights);
        (gradient * vector).sum().gradient(&weights)
    }

    /// The solution of `Hessian * step = -gradient` by conjugate gradients (Hestenes and Stiefel, 1952).
    fn newton_step(&self, weights: &Tensor, gradient: &Tensor) -> Tensor {
        let (mut step, mut residual) = (Tensor::zeros(gradient.shape(), gradient.device()), -gradient);
        let mut direction = residual.clone();
        let mut squares = dot(&residual, &residual);
        let enough = 1e-16 * squares;
        while squares > enough {
            let image = self.hessian_times(weights, &direction);
            let length = squares / dot(&direction, &image);
            step = step + &direction * length;
            residual = residual - image * length;
            let next = dot(&residual, &residual);
            direction = &residual + direction * (next / squares);
            squares = next;
        }
        step
    }
}

fn dot(a: &Tensor, b: &Tensor) -> f64 {
    (a * b).sum().item()
}

fn main() {
    // The reference device computes in f64, so that finite differences have digits to spare.
    let random = Random::new(0);
    let normal =
        |step, shape: [usize; 2]| random.normal(Address { step, ..Address::default() }, shape, Device::Reference);
    let scales = (0..FEATURES).map(|i| 10f64.powf(2.0 * i as f64 / FEATURES as f64 - 1.0)).collect();
    let features = normal(0, [ROWS, FEATURES]) * Tensor::from_vec::<f64>(scales, [FEATURES], Device::Reference);
    let labels = (features.matmul(&normal(1, [FEATURES, 1])) + normal(2, [ROWS, 1])).sign();
    let problem = Regression { features, labels };

    let (mut weights, vector) = (normal(3, [FEATURES, 1]) * 0.1, normal(4, [FEATURES, 1]));
    let product = problem.hessian_times(&weights, &vector);
    let moved = |by: f64| problem.gradient(&(&weights + &vector * by));
    let differences = (moved(1e-5) - moved(-1e-5)) / 2e-5;
    let error = dot(&(&product - &differences), &(&product - &differences)).sqrt() / dot(&product, &product).sqrt();
    println!("Hessian times vector: relative difference from finite differences {error:.1e}");
    assert!(error < 1e-7);

    for iteration in 0..20 {
        let gradient = problem.gradient(&weights);
        let norm = dot(&gradient, &gradient).sqrt();
        println!("step {iteration}: loss {:.9}, norm of the gradient {norm:.1e}", problem.loss(&weights).item());
        if norm < 1e-8 {
            return;
        }
        // Far from the minimum a whole step may lead too far; half of it, or half of that, does not.
        let (loss, step) = (problem.loss(&weights).item(), problem.newton_step(&weights, &gradient));
        let candidates = (0..30).map(|halvings| &weights + &step * 0.5f64.powi(halvings));
        let lower = candidates.into_iter().find(|candidate| problem.loss(candidate).item() <= loss);
        weights = lower.expect("a Newton step of a convex function leads downwards");
    }
    panic!("twenty steps did not find the minimum");
}
