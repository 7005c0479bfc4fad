//! What the operations of a computation cost: their arithmetic, their traffic and their time.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::mem;
use std::time::{Duration, Instant};

use crate::shape::Shape;
use crate::tensor::Tensor;

thread_local! {
    static FLOPS: Cell<u64> = const { Cell::new(0) };
    static RECORDING: RefCell<Option<Recording>> = const { RefCell::new(None) };
}

/// Runs `f` and counts the additions and multiplications of all convolutions and matrix products that this thread asks for
/// meanwhile, tap by tap and without those with the padding. Direct kernels need at least as many; Winograd's path takes
/// fewer.
pub fn count_conv2d_flops<R>(f: impl FnOnce() -> R) -> (R, u64) {
    let before = FLOPS.get();
    let result = f();
    (result, FLOPS.get() - before)
}

/// Counts the additions and multiplications of a convolution or a matrix product.
pub(crate) fn count(flops: usize) {
    let flops = flops as u64;
    FLOPS.set(FLOPS.get() + flops);
    RECORDING.with_borrow_mut(|recording| {
        if let Some(recording) = recording {
            recording.counted += flops;
        }
    });
}

/// An operation on operands of certain shapes. Gradients have the name of the operation that they belong to, and are told
/// from it by their shapes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operation {
    /// The operation, as its panic messages name it.
    pub name: String,
    /// The shapes of the operands.
    pub operands: Vec<Shape>,
    /// The shape of the result, or of the first of several.
    pub result: Shape,
}

/// What the calls of one operation have cost together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// The number of calls.
    pub calls: u64,
    /// The time from the check of the operands to the result. A CUDA device computes later.
    pub time: Duration,
    /// The bytes of the operands and of the result, in `f32`.
    pub bytes: u64,
    /// The additions and multiplications, if this is a convolution or a matrix product (see [`count_conv2d_flops`]).
    pub flops: u64,
}

/// Runs `f` and measures every operation that this thread asks for meanwhile. The operations of a call to `profile` inside
/// `f` are left out. The operations that took the longest come first.
pub fn profile<R>(f: impl FnOnce() -> R) -> (R, Vec<(Operation, Cost)>) {
    let outer = RECORDING.replace(Some(Recording::default()));
    let result = f();
    let recording = RECORDING.replace(outer).unwrap_or_default();
    let mut costs: Vec<_> = recording.costs.into_iter().collect();
    costs.sort_by_key(|(_, cost)| Reverse(cost.time));
    (result, costs)
}

#[derive(Default)]
struct Recording {
    costs: HashMap<Operation, Cost>,
    begun: Option<Begun>,
    /// The additions and multiplications of the operation that begins next.
    counted: u64,
}

/// An operation whose result does not exist yet.
struct Begun {
    name: String,
    operands: Vec<Shape>,
    at: Instant,
    flops: u64,
}

/// Notes that an operation begins.
pub(crate) fn begin(name: &str, operands: &[&Tensor]) {
    RECORDING.with_borrow_mut(|recording| {
        if let Some(recording) = recording {
            let operands = operands.iter().map(|operand| operand.shape()).collect();
            let flops = mem::take(&mut recording.counted);
            recording.begun = Some(Begun { name: name.into(), operands, at: Instant::now(), flops });
        }
    });
}

/// Notes that the operation which began last has its result.
pub(crate) fn end(result: Shape) {
    RECORDING.with_borrow_mut(|recording| {
        let Some(recording) = recording else { return };
        let Some(Begun { name, operands, at, flops }) = recording.begun.take() else { return };
        let elements: usize = operands.iter().chain([&result]).map(Shape::len).sum();
        let cost = recording.costs.entry(Operation { name, operands, result }).or_default();
        cost.calls += 1;
        cost.time += at.elapsed();
        cost.bytes += (elements * size_of::<f32>()) as u64;
        cost.flops += flops;
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Device;

    #[test]
    fn calls_arithmetic_and_traffic_are_counted_by_operation_and_shapes() {
        let matrix = |rows, columns| Tensor::full(1.0, [rows, columns], Device::Cpu);
        let (a, b) = (matrix(4, 3), matrix(5, 3));
        let ((), costs) = profile(|| {
            let product = a.linear(&b);
            drop(a.linear(&b) + product);
            let (_, inner) = profile(|| a.square());
            assert_eq!(inner.len(), 1, "the inner call has its own operations");
        });
        let of = |name: &str| {
            costs.iter().find(|(operation, _)| operation.name == name).map(|(of, cost)| (of.clone(), *cost))
        };
        let (operation, cost) = of("linear").expect("the products");
        assert_eq!((operation.operands.as_slice(), operation.result), (&[a.shape(), b.shape()][..], [4, 5].into()));
        assert_eq!((cost.calls, cost.flops, cost.bytes), (2, 2 * 2 * 4 * 5 * 3, 2 * 4 * (12 + 15 + 20)));
        let (_, sum) = of("add").expect("the sum");
        assert_eq!((sum.calls, sum.flops, sum.bytes), (1, 0, 4 * 60));
        assert_eq!(costs.len(), 2, "{costs:?}");
    }
}
