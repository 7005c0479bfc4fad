//! Elementwise functions of one variable.

use super::elementwise::{cuda, map};
use crate::storage::{Element, dispatch, operands};
use crate::tensor::Tensor;

impl Tensor {
    /// Returns the exponential of every element.
    pub fn exp(&self) -> Tensor {
        let storage = dispatch!(operands("exp", [self]), |[x]| map(x, |x| x.exp()), |[x]| cuda::map("exp_f32", x, &[]));
        Tensor::with_saved_output(self.shape(), storage, &[self], |y| {
            move |back| vec![Some(back.upstream * back.output(&y))]
        })
    }

    /// Returns the natural logarithm of every element.
    pub fn log(&self) -> Tensor {
        let storage = dispatch!(operands("log", [self]), |[x]| map(x, |x| x.ln()), |[x]| cuda::map("log_f32", x, &[]));
        let x = self.clone();
        Tensor::from_operation(self.shape(), storage, &[self], move |back| {
            vec![Some(back.upstream * x.reciprocal_or_zero())]
        })
    }

    /// Returns the hyperbolic tangent of every element.
    pub fn tanh(&self) -> Tensor {
        let x = operands("tanh", [self]);
        let storage = dispatch!(x, |[x]| map(x, |x| x.hyperbolic_tangent()), |[x]| cuda::map("tanh_f32", x, &[]));
        Tensor::with_saved_output(self.shape(), storage, &[self], |y| {
            move |back| vec![Some(back.upstream * (back.output(&y).square() * -1.0 + 1.0))]
        })
    }

    /// Returns the logistic function `1 / (1 + exp(-x))` of every element.
    pub fn sigmoid(&self) -> Tensor {
        let x = operands("sigmoid", [self]);
        let storage = dispatch!(x, |[x]| map(x, logistic), |[x]| cuda::map("sigmoid_f32", x, &[]));
        Tensor::with_saved_output(self.shape(), storage, &[self], |y| {
            move |back| {
                let y = back.output(&y);
                vec![Some(back.upstream * (&y - y.square()))]
            }
        })
    }

    /// Returns `log(1 + exp(x))` of every element, without overflow.
    pub fn softplus(&self) -> Tensor {
        let x = operands("softplus", [self]);
        let storage = dispatch!(x, |[x]| map(x, softplus), |[x]| cuda::map("softplus_f32", x, &[]));
        let x = self.clone();
        Tensor::from_operation(self.shape(), storage, &[self], move |back| vec![Some(back.upstream * x.sigmoid())])
    }

    /// Returns the square root of every element. The derivative at 0 is defined as 0, so that the norm of a vanishing
    /// gradient has a gradient of zeros and does not fill the training step with NaN.
    pub fn sqrt(&self) -> Tensor {
        let x = operands("sqrt", [self]);
        let storage = dispatch!(x, |[x]| map(x, |x| x.sqrt()), |[x]| cuda::map("sqrt_f32", x, &[]));
        Tensor::with_saved_output(self.shape(), storage, &[self], |y| {
            move |back| vec![Some(back.upstream * (back.output(&y).reciprocal_or_zero() * 0.5))]
        })
    }

    /// Returns the reciprocal of every element.
    pub fn recip(&self) -> Tensor {
        let x = operands("recip", [self]);
        let storage = dispatch!(x, |[x]| map(x, |x| x.recip()), |[x]| cuda::map("recip_f32", x, &[]));
        Tensor::with_saved_output(self.shape(), storage, &[self], |y| {
            move |back| vec![Some(-(back.upstream * back.output(&y).square()))]
        })
    }

    /// Returns the reciprocal of every element, and 0 for an element that is 0. The derivative at 0 is 0 as well.
    pub(crate) fn reciprocal_or_zero(&self) -> Tensor {
        fn reciprocal_or_zero<T: Element>(x: T) -> T {
            if x == T::zero() { T::zero() } else { x.recip() }
        }
        let x = operands("reciprocal_or_zero", [self]);
        let storage = dispatch!(x, |[x]| map(x, reciprocal_or_zero), |[x]| cuda::map("reciprocal_or_zero_f32", x, &[]));
        Tensor::with_saved_output(self.shape(), storage, &[self], |y| {
            move |back| vec![Some(-(back.upstream * back.output(&y).square()))]
        })
    }

    /// Raises every element to the power `exponent`. A negative element gives NaN unless `exponent` is an integer.
    pub fn pow(&self, exponent: f64) -> Tensor {
        if exponent == 0.0 {
            return Tensor::full(1.0, self.shape(), self.device());
        }
        if exponent == 1.0 {
            return self.clone();
        }
        fn power<T: Element>(x: &[T], exponent: f64) -> crate::pool::Buffer<T> {
            let exponent = T::from_f64(exponent);
            map(x, move |x| x.powf(exponent))
        }
        let x = operands("pow", [self]);
        let storage = dispatch!(x, |[x]| power(x, exponent), |[x]| cuda::map("pow_f32", x, &[exponent as f32]));
        let x = self.clone();
        Tensor::from_operation(self.shape(), storage, &[self], move |back| {
            vec![Some(back.upstream * (x.pow(exponent - 1.0) * exponent))]
        })
    }

    /// Returns the absolute value of every element. The derivative at 0 is defined as 0.
    pub fn abs(&self) -> Tensor {
        let storage = dispatch!(operands("abs", [self]), |[x]| map(x, |x| x.abs()), |[x]| cuda::map("abs_f32", x, &[]));
        let x = self.detach();
        Tensor::from_operation(self.shape(), storage, &[self], move |back| vec![Some(back.upstream * x.sign())])
    }

    /// Returns 1 for every element above 0, -1 for every element below 0, and 0 for the others. The result is a
    /// constant, because its derivative is 0 wherever it exists.
    pub fn sign(&self) -> Tensor {
        fn sign<T: Element>(x: T) -> T {
            let is = |condition: bool| if condition { T::one() } else { T::zero() };
            is(x > T::zero()) - is(x < T::zero())
        }
        let storage = dispatch!(operands("sign", [self]), |[x]| map(x, sign), |[x]| cuda::map("sign_f32", x, &[]));
        Tensor::constant(self.shape(), storage)
    }

    /// Limits every element to the range from `low` to `high`. The derivative is 0 outside of the range and 1
    /// elsewhere.
    ///
    /// # Panics
    /// Panics if `low` is above `high`, or one of them is NaN.
    #[track_caller]
    pub fn clamp(&self, low: f64, high: f64) -> Tensor {
        assert!(low <= high, "clamp between {low} and {high}: the first must be the lower one");
        fn clamped<T: Element>(x: &[T], low: f64, high: f64) -> crate::pool::Buffer<T> {
            let [low, high] = [low, high].map(T::from_f64);
            // NaN is returned unchanged.
            map(x, move |x| {
                if x < low {
                    low
                } else if x > high {
                    high
                } else {
                    x
                }
            })
        }
        let x = operands("clamp", [self]);
        let numbers = [low as f32, high as f32];
        let storage = dispatch!(x, |[x]| clamped(x, low, high), |[x]| cuda::map("clamp_f32", x, &numbers));
        let x = self.detach();
        Tensor::with_saved_output(self.shape(), storage, &[self], |y| {
            move |back| {
                let moved = (&x - back.output(&y).detach()).sign().abs();
                vec![Some(back.upstream * (1.0 - moved))]
            }
        })
    }

    /// Returns every element that is above 0, and 0 in place of the others.
    pub fn relu(&self) -> Tensor {
        self.leaky_relu(0.0)
    }
}

#[inline(always)]
fn softplus<T: Element>(x: T) -> T {
    x.max(T::zero()) + (-x.abs()).exp().ln_1p()
}

#[inline(always)]
fn logistic<T: Element>(x: T) -> T {
    let half = T::from_f64(0.5);
    half + half * (half * x).hyperbolic_tangent()
}

#[cfg(test)]
mod tests {
    use crate::storage::Device;
    use crate::tensor::Tensor;

    #[test]
    fn the_fast_hyperbolic_tangent_is_accurate() {
        let x: Vec<f64> = (-60_000..=60_000).map(|i| f64::from(i) * 2e-4).collect();
        let fast: Vec<f64> = Tensor::from_vec(x.clone(), [x.len()], Device::Cpu).tanh().to_vec();
        for (x, fast) in x.iter().zip(fast) {
            approx::assert_relative_eq!(fast, f64::from(*x as f32).tanh(), max_relative = 5e-7, epsilon = 1e-30);
            assert!(fast.abs() <= 1.0);
        }
    }

    #[test]
    fn functions_hold_at_their_edges() {
        let at = |x: &[f64], function: fn(&Tensor) -> Tensor| {
            let x = Tensor::from_vec(x.to_vec(), [x.len()], Device::Reference).variable();
            let y = function(&x);
            (y.to_vec::<f64>(), y.sum().gradients(&[&x])[0].to_vec::<f64>())
        };
        assert_eq!(at(&[-2.0, 0.0, 3.0], Tensor::abs), (vec![2.0, 0.0, 3.0], vec![-1.0, 0.0, 1.0]));
        assert_eq!(
            at(&[-1.0, 0.5, 1.0, 2.0], |x| x.clamp(-0.5, 1.0)),
            (vec![-0.5, 0.5, 1.0, 1.0], vec![0.0, 1.0, 1.0, 0.0])
        );
        assert_eq!(at(&[-800.0, 800.0], Tensor::softplus), (vec![0.0, 800.0], vec![0.0, 1.0]));
        assert_eq!(at(&[0.0, -3.0], |x| x.pow(3.0)), (vec![0.0, -27.0], vec![0.0, 27.0]));
        assert_eq!(at(&[0.0], Tensor::sqrt), (vec![0.0], vec![0.0]));
        assert_eq!(at(&[0.0], |x| 1.0 / x).0, [f64::INFINITY]);
        assert_eq!(at(&[2.0, 2.0], |x| x.maximum(&Tensor::full(2.0, [2], Device::Reference))).1, [0.5, 0.5]);
    }
}
