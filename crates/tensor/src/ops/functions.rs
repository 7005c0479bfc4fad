//! Functions of one variable, element by element.

use super::elementwise::{cuda, map};
use crate::storage::{Element, dispatch};
use crate::tensor::Tensor;

impl Tensor {
    /// The exponential of every element.
    pub fn exp(&self) -> Tensor {
        let storage = dispatch!(self, |x| map(x, |x| x.exp()), |x| cuda::map("exp_f32", x, &[]));
        Tensor::with_saved_output(self.shape(), storage, &[self], |y| {
            move |back| vec![Some(back.upstream * &back.output(&y))]
        })
    }

    /// The natural logarithm of every element.
    pub fn ln(&self) -> Tensor {
        let storage = dispatch!(self, |x| map(x, |x| x.ln()), |x| cuda::map("ln_f32", x, &[]));
        let x = self.clone();
        Tensor::from_operation(self.shape(), storage, &[self], move |back| vec![Some(back.upstream * &x.reciprocal())])
    }

    /// The hyperbolic tangent of every element.
    pub fn tanh(&self) -> Tensor {
        let storage = dispatch!(self, |x| map(x, |x| x.hyperbolic_tangent()), |x| cuda::map("tanh_f32", x, &[]));
        Tensor::with_saved_output(self.shape(), storage, &[self], |y| {
            move |back| vec![Some(back.upstream * &back.output(&y).square().scale(-1.0).shift(1.0))]
        })
    }

    /// The square root of every element. Its derivative at 0 is taken to be 0, so that the norm of a vanishing gradient
    /// has a gradient (of zeros) and does not poison the training step with NaN.
    pub fn sqrt(&self) -> Tensor {
        let storage = dispatch!(self, |x| map(x, |x| x.sqrt()), |x| cuda::map("sqrt_f32", x, &[]));
        Tensor::with_saved_output(self.shape(), storage, &[self], |y| {
            move |back| vec![Some(back.upstream * &back.output(&y).reciprocal().scale(0.5))]
        })
    }

    /// One over every element, and 0 for an element that is 0.
    pub fn reciprocal(&self) -> Tensor {
        let storage = dispatch!(self, |x| map(x, reciprocal_or_zero), |x| cuda::map("reciprocal_f32", x, &[]));
        Tensor::with_saved_output(self.shape(), storage, &[self], |y| {
            move |back| vec![Some(-&(back.upstream * &back.output(&y).square()))]
        })
    }
}

fn reciprocal_or_zero<T: Element>(x: T) -> T {
    if x == T::zero() { T::zero() } else { x.recip() }
}

#[cfg(test)]
mod tests {
    use crate::storage::Device;
    use crate::tensor::Tensor;

    #[test]
    fn the_fast_hyperbolic_tangent_is_accurate() {
        let x: Vec<f64> = (-60_000..=60_000).map(|i| f64::from(i) * 2e-4).collect();
        let fast: Vec<f64> = Tensor::from_vec(x.clone(), [1, x.len(), 1, 1], Device::Cpu).tanh().to_vec();
        for (x, fast) in x.iter().zip(fast) {
            approx::assert_relative_eq!(fast, f64::from(*x as f32).tanh(), max_relative = 5e-7, epsilon = 1e-30);
            assert!(fast.abs() <= 1.0);
        }
    }
}
