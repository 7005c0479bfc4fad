//! Sums, differences and products, element by element, with broadcasting.

use std::ops::{Add, Mul, Neg, Sub};

use super::elementwise::{cuda, map, zip};
use crate::shape::Shape;
use crate::storage::{Element, dispatch};
use crate::tensor::Tensor;

impl Tensor {
    /// Every element times a number.
    pub fn scale(&self, factor: f64) -> Tensor {
        let storage = dispatch!(self, |x| scaled(x, factor), |x| cuda::map("scale_f32", x, &[factor as f32]));
        Tensor::from_operation(self.shape(), storage, &[self], move |back| vec![Some(back.upstream.scale(factor))])
    }

    /// Every element plus a number.
    pub fn shift(&self, offset: f64) -> Tensor {
        let storage = dispatch!(self, |x| shifted(x, offset), |x| cuda::map("shift_f32", x, &[offset as f32]));
        Tensor::from_operation(self.shape(), storage, &[self], |back| vec![Some(back.upstream.clone())])
    }

    /// Every element times itself.
    pub fn square(&self) -> Tensor {
        self * self
    }
}

fn scaled<T: Element>(x: &[T], factor: f64) -> crate::pool::Buffer<T> {
    let factor = T::from_f64(factor);
    map(x, move |x| x * factor)
}

fn shifted<T: Element>(x: &[T], offset: f64) -> crate::pool::Buffer<T> {
    let offset = T::from_f64(offset);
    map(x, move |x| x + offset)
}

/// The shape that both operands are broadcast to.
fn common_shape(name: &str, a: Shape, b: Shape) -> Shape {
    if a.broadcasts_to(b) {
        b
    } else if b.broadcasts_to(a) {
        a
    } else {
        panic!("{name} of tensors whose shapes do not fit: {a:?} and {b:?}")
    }
}

/// Element by element; an operand of a smaller shape is [broadcast](Tensor::broadcast_to) to the other's.
impl Add for &Tensor {
    type Output = Tensor;
    fn add(self, other: &Tensor) -> Tensor {
        let shape = common_shape("sum", self.shape(), other.shape());
        let (a, b) = (self.broadcast_to(shape), other.broadcast_to(shape));
        let storage = dispatch!(a, b, |a, b| zip(a, b, |a, b| a + b), |a, b| cuda::zip("add_f32", a, b, &[]));
        Tensor::from_operation(shape, storage, &[&a, &b], |back| {
            vec![Some(back.upstream.clone()), Some(back.upstream.clone())]
        })
    }
}

/// Element by element; an operand of a smaller shape is [broadcast](Tensor::broadcast_to) to the other's.
impl Sub for &Tensor {
    type Output = Tensor;
    fn sub(self, other: &Tensor) -> Tensor {
        let shape = common_shape("difference", self.shape(), other.shape());
        let (a, b) = (self.broadcast_to(shape), other.broadcast_to(shape));
        let storage = dispatch!(a, b, |a, b| zip(a, b, |a, b| a - b), |a, b| cuda::zip("subtract_f32", a, b, &[]));
        Tensor::from_operation(shape, storage, &[&a, &b], |back| {
            vec![Some(back.upstream.clone()), back.when(1, || -back.upstream)]
        })
    }
}

/// Element by element; an operand of a smaller shape is [broadcast](Tensor::broadcast_to) to the other's.
impl Mul for &Tensor {
    type Output = Tensor;
    fn mul(self, other: &Tensor) -> Tensor {
        let shape = common_shape("product", self.shape(), other.shape());
        let (a, b) = (self.broadcast_to(shape), other.broadcast_to(shape));
        let storage = dispatch!(a, b, |a, b| zip(a, b, |a, b| a * b), |a, b| cuda::zip("multiply_f32", a, b, &[]));
        let saved = (a.clone(), b.clone());
        Tensor::from_operation(shape, storage, &[&a, &b], move |back| {
            vec![back.when(0, || back.upstream * &saved.1), back.when(1, || back.upstream * &saved.0)]
        })
    }
}

impl Neg for &Tensor {
    type Output = Tensor;
    fn neg(self) -> Tensor {
        self.scale(-1.0)
    }
}
