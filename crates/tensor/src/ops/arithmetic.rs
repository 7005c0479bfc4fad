//! Elementwise sums, differences, products and quotients of tensors and numbers, as methods and operators.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::elementwise::{cuda, map, zip};
use crate::pool::Buffer;
use crate::storage::{Element, dispatch, operands};
use crate::tensor::Tensor;

impl Tensor {
    /// Multiplies every element by a number: `x * factor`.
    pub fn mul_scalar(&self, factor: f64) -> Tensor {
        fn scaled<T: Element>(x: &[T], factor: f64) -> Buffer<T> {
            let factor = T::from_f64(factor);
            map(x, move |x| x * factor)
        }
        let x = operands("mul_scalar", [self]);
        let storage = dispatch!(x, |[x]| scaled(x, factor), |[x]| cuda::map("mul_scalar_f32", x, &[factor as f32]));
        Tensor::from_operation(self.shape(), storage, &[self], move |back| vec![Some(back.upstream * factor)])
    }

    /// Adds a number to every element: `x + offset`.
    pub fn add_scalar(&self, offset: f64) -> Tensor {
        fn shifted<T: Element>(x: &[T], offset: f64) -> Buffer<T> {
            let offset = T::from_f64(offset);
            map(x, move |x| x + offset)
        }
        let x = operands("add_scalar", [self]);
        let storage = dispatch!(x, |[x]| shifted(x, offset), |[x]| cuda::map("add_scalar_f32", x, &[offset as f32]));
        Tensor::from_operation(self.shape(), storage, &[self], |back| vec![Some(back.upstream.clone())])
    }

    /// Multiplies every element by itself.
    pub fn square(&self) -> Tensor {
        self * self
    }

    /// Returns the maximum of each pair of elements. If they are equal, each receives half of the gradient.
    ///
    /// # Panics
    /// Panics if the shapes cannot be broadcast together.
    #[track_caller]
    pub fn maximum(&self, other: &Tensor) -> Tensor {
        let [a, b] = broadcast("maximum", self, other);
        let storage = dispatch!(
            operands("maximum", [&a, &b]),
            |[a, b]| zip(a, b, |a, b| if a > b || a.is_nan() { a } else { b }),
            |[a, b]| cuda::zip("maximum_f32", a, b, &[])
        );
        let (first, second) = (a.detach(), b.detach());
        Tensor::from_operation(a.shape(), storage, &[&a, &b], move |back| {
            let share = (&first - &second).sign() * 0.5 + 0.5;
            vec![back.when(0, || back.upstream * &share), back.when(1, || back.upstream * (1.0 - &share))]
        })
    }

    /// Returns the minimum of each pair of elements. If they are equal, each receives half of the gradient.
    ///
    /// # Panics
    /// Panics if the shapes cannot be broadcast together.
    #[track_caller]
    pub fn minimum(&self, other: &Tensor) -> Tensor {
        let [a, b] = broadcast("minimum", self, other);
        -(-a).maximum(&-b)
    }

    #[track_caller]
    fn plus(&self, other: &Tensor) -> Tensor {
        let [a, b] = broadcast("add", self, other);
        let storage = dispatch!(operands("add", [&a, &b]), |[a, b]| zip(a, b, |a, b| a + b), |[a, b]| cuda::zip(
            "add_f32",
            a,
            b,
            &[]
        ));
        Tensor::from_operation(a.shape(), storage, &[&a, &b], |back| {
            vec![Some(back.upstream.clone()), Some(back.upstream.clone())]
        })
    }

    #[track_caller]
    fn minus(&self, other: &Tensor) -> Tensor {
        let [a, b] = broadcast("subtract", self, other);
        let storage = dispatch!(operands("subtract", [&a, &b]), |[a, b]| zip(a, b, |a, b| a - b), |[a, b]| cuda::zip(
            "subtract_f32",
            a,
            b,
            &[]
        ));
        Tensor::from_operation(a.shape(), storage, &[&a, &b], |back| {
            vec![Some(back.upstream.clone()), back.when(1, || -back.upstream)]
        })
    }

    #[track_caller]
    fn times(&self, other: &Tensor) -> Tensor {
        let [a, b] = broadcast("multiply", self, other);
        let storage = dispatch!(operands("multiply", [&a, &b]), |[a, b]| zip(a, b, |a, b| a * b), |[a, b]| cuda::zip(
            "multiply_f32",
            a,
            b,
            &[]
        ));
        let saved = (a.clone(), b.clone());
        Tensor::from_operation(a.shape(), storage, &[&a, &b], move |back| {
            vec![back.when(0, || back.upstream * &saved.1), back.when(1, || back.upstream * &saved.0)]
        })
    }

    #[track_caller]
    fn over(&self, other: &Tensor) -> Tensor {
        let [a, b] = broadcast("divide", self, other);
        let storage = dispatch!(operands("divide", [&a, &b]), |[a, b]| zip(a, b, |a, b| a / b), |[a, b]| cuda::zip(
            "divide_f32",
            a,
            b,
            &[]
        ));
        let divisor = b.clone();
        Tensor::with_saved_output(a.shape(), storage, &[&a, &b], |y| {
            move |back| {
                let to_a = back.upstream / &divisor;
                let to_b = back.when(1, || -(&to_a * back.output(&y)));
                vec![Some(to_a), to_b]
            }
        })
    }
}

/// Broadcasts both operands of an operation to their common shape by NumPy's rule.
#[track_caller]
fn broadcast(operation: &str, a: &Tensor, b: &Tensor) -> [Tensor; 2] {
    let (left, right) = (a.shape(), b.shape());
    let Some(shape) = left.broadcast(&right) else {
        panic!(
            "{operation}: the shapes {left:?} and {right:?} cannot be broadcast together: counted from the last axis, lengths \
             must be equal or one of them 1 (for a number per channel of images, reshape [c] to [c, 1, 1])"
        )
    };
    [a, b].map(|operand| operand.repeat_to(shape))
}

/// Implements an operator for owned and borrowed tensors, and for a tensor and a number in either order.
macro_rules! operator {
    ($trait:ident, $name:ident, $both:ident, |$x:ident, $number:ident| $right:expr, |$y:ident, $first:ident| $left:expr) => {
        operator!(@tensors $trait, $name, $both, &Tensor, &Tensor);
        operator!(@tensors $trait, $name, $both, &Tensor, Tensor);
        operator!(@tensors $trait, $name, $both, Tensor, &Tensor);
        operator!(@tensors $trait, $name, $both, Tensor, Tensor);
        operator!(@number $trait, $name, &Tensor, |$x, $number| $right, |$y, $first| $left);
        operator!(@number $trait, $name, Tensor, |$x, $number| $right, |$y, $first| $left);
    };
    (@tensors $trait:ident, $name:ident, $both:ident, $left:ty, $right:ty) => {
        /// Operates element by element; shapes are broadcast by NumPy's rule.
        ///
        /// # Panics
        /// Panics if the shapes cannot be broadcast together, or the tensors are on different devices.
        impl $trait<$right> for $left {
            type Output = Tensor;
            #[track_caller]
            fn $name(self, other: $right) -> Tensor {
                Tensor::$both(&self, &other)
            }
        }
    };
    (@number $trait:ident, $name:ident, $tensor:ty, |$x:ident, $number:ident| $right:expr, |$y:ident, $first:ident| $left:expr) => {
        /// Operates element by element.
        impl $trait<f64> for $tensor {
            type Output = Tensor;
            fn $name(self, $number: f64) -> Tensor {
                let $x = &self;
                $right
            }
        }
        /// Operates element by element.
        impl $trait<$tensor> for f64 {
            type Output = Tensor;
            fn $name(self, other: $tensor) -> Tensor {
                let ($first, $y) = (self, &other);
                $left
            }
        }
    };
}

operator!(Add, add, plus, |x, number| x.add_scalar(number), |x, number| x.add_scalar(number));
operator!(Sub, sub, minus, |x, number| x.add_scalar(-number), |x, number| x.neg().add_scalar(number));
operator!(Mul, mul, times, |x, number| x.mul_scalar(number), |x, number| x.mul_scalar(number));
operator!(Div, div, over, |x, number| x.mul_scalar(1.0 / number), |x, number| x.recip().mul_scalar(number));

impl Neg for &Tensor {
    type Output = Tensor;
    fn neg(self) -> Tensor {
        self.mul_scalar(-1.0)
    }
}

impl Neg for Tensor {
    type Output = Tensor;
    fn neg(self) -> Tensor {
        -&self
    }
}
