//! Storage of a tensor's numbers on a device, and their layout.
//!
//! The layout is H, W, N, C on every device: at each pixel the whole batch is one contiguous matrix of N rows and C
//! columns, which is what the convolution kernels multiply (see `ops/conv2d`). For a matrix (H = W = 1) this is plain
//! row-major order.

use std::fmt;

use num_traits::Float;
use rayon::prelude::*;

use crate::cuda;
use crate::layout::Nchw;
use crate::ops::elementwise;
use crate::pool::{Buffer, Pooled};
use crate::profile;
use crate::tensor::Tensor;

/// The device that holds a tensor and computes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// The CPU, in `f32`, with the fast kernels.
    Cpu,
    /// The CPU, in `f64`, with plain loops: the reference that every other device is checked against.
    Reference,
    /// A CUDA device, in `f32` or, if requested, TF32, by its index among those that [`cuda::open`] and
    /// [`cuda::install`] have opened.
    Cuda(usize),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Device::Cpu => f.write_str("cpu"),
            Device::Reference => f.write_str("reference"),
            Device::Cuda(index) => {
                let context = cuda::context(index);
                write!(f, "{} in {}", context.name(), context.precision())
            }
        }
    }
}

/// A floating-point type that some device computes in: `f32` or `f64`.
pub trait Element: Float + Pooled + std::iter::Sum + std::ops::AddAssign {
    /// Converts to the nearest value of this type.
    fn from_f64(value: f64) -> Self;
    /// Converts to `f64`, without loss.
    fn to_f64(self) -> f64;
    /// Computes the hyperbolic tangent. For `f32` it is accurate to four units in the last place and has no branches,
    /// so that loops vectorise.
    fn hyperbolic_tangent(self) -> Self;
}

impl Element for f32 {
    fn from_f64(value: f64) -> Self {
        value as f32
    }
    fn to_f64(self) -> f64 {
        self.into()
    }
    #[inline(always)]
    fn hyperbolic_tangent(self) -> Self {
        // Lambert's continued fraction, four levels deep, is exact up to rounding for a quarter of the argument. Two
        // doublings, tanh 2x = 2 tanh x / (1 + tanh^2 x), undo the division. Beyond 9.2 the result is 1.
        let x = 0.25 * self.clamp(-9.2, 9.2);
        let s = x * x;
        let quarter = x * (135_135.0 + s * (17_325.0 + s * (378.0 + s)))
            / (135_135.0 + s * (62_370.0 + s * (3_150.0 + s * 28.0)));
        let double = |t: f32| (t + t) / (1.0 + t * t);
        double(double(quarter))
    }
}

impl Element for f64 {
    fn from_f64(value: f64) -> Self {
        value
    }
    fn to_f64(self) -> f64 {
        self
    }
    fn hyperbolic_tangent(self) -> Self {
        self.tanh()
    }
}

/// The numbers of a tensor, in H, W, N, C order.
pub(crate) enum Storage {
    F32(Buffer<f32>),
    F64(Buffer<f64>),
    Cuda(cuda::Buffer),
}

impl Storage {
    /// Returns the numbers of a tensor on the CPU device.
    fn f32(tensor: &Tensor) -> &[f32] {
        let Storage::F32(numbers) = tensor.storage() else { unreachable!("the operands are on one device") };
        numbers
    }

    /// Returns the numbers of a tensor on the reference device.
    fn f64(tensor: &Tensor) -> &[f64] {
        let Storage::F64(numbers) = tensor.storage() else { unreachable!("the operands are on one device") };
        numbers
    }

    /// Returns the numbers of a tensor on a CUDA device.
    fn cuda(tensor: &Tensor) -> &cuda::Buffer {
        let Storage::Cuda(buffer) = tensor.storage() else { unreachable!("the operands are on one device") };
        buffer
    }

    /// Returns the device that holds the numbers.
    pub(crate) fn device(&self) -> Device {
        match self {
            Storage::F32(_) => Device::Cpu,
            Storage::F64(_) => Device::Reference,
            Storage::Cuda(buffer) => Device::Cuda(buffer.context().index()),
        }
    }

    /// Creates `len` copies of one number.
    pub(crate) fn filled(device: Device, len: usize, value: f64) -> Storage {
        fn filled<T: Element>(len: usize, value: f64) -> Buffer<T> {
            let mut buffer = Buffer::stale(len);
            buffer.fill(T::from_f64(value));
            buffer
        }
        match device {
            Device::Cpu => Storage::F32(filled(len, value)),
            Device::Reference => Storage::F64(filled(len, value)),
            Device::Cuda(index) => Storage::Cuda(elementwise::cuda::filled(cuda::context(index), len, value as f32)),
        }
    }

    /// Creates a storage from numbers in the logical order N, C, H, W.
    pub(crate) fn from_nchw<T: Element>(device: Device, shape: Nchw, values: &[T]) -> Storage {
        fn place<T: Element, U: Element>(shape: Nchw, values: &[T]) -> Buffer<U> {
            let mut buffer = Buffer::stale(shape.len());
            transpose(values, shape.pixels(), &mut buffer, |value| U::from_f64(value.to_f64()));
            buffer
        }
        match device {
            Device::Cpu => Storage::F32(place(shape, values)),
            Device::Reference => Storage::F64(place(shape, values)),
            Device::Cuda(index) => {
                Storage::Cuda(cuda::Buffer::upload(cuda::context(index), &place::<T, f32>(shape, values)))
            }
        }
    }

    /// Returns the numbers in the logical order N, C, H, W.
    pub(crate) fn to_nchw<T: Element>(&self, shape: Nchw) -> Vec<T> {
        fn read<T: Element, U: Element>(values: &[T], shape: Nchw) -> Vec<U> {
            let mut numbers = vec![U::zero(); shape.len()];
            transpose(values, shape.plane(), &mut numbers, |value| U::from_f64(value.to_f64()));
            numbers
        }
        match self {
            Storage::F32(values) => read(values, shape),
            Storage::F64(values) => read(values, shape),
            Storage::Cuda(values) => read(&values.download(), shape),
        }
    }
}

/// Transposes a matrix with this many columns. A tensor is a matrix of N * C rows and H * W columns, and its storage is
/// the transpose. Each job reads one cache line of every row, in square blocks, so that it also writes whole cache
/// lines.
pub(crate) fn transpose<T: Copy + Sync, U: Send>(
    x: &[T],
    columns: usize,
    out: &mut [U],
    convert: impl Fn(T) -> U + Sync,
) {
    const LINE: usize = 16;
    let rows = x.len() / columns.max(1);
    if rows == 1 || columns == 1 {
        return out.iter_mut().zip(x).for_each(|(out, &x)| *out = convert(x));
    }
    out.par_chunks_mut(LINE * rows.max(1)).enumerate().for_each(|(job, out)| {
        for (block, x) in x.chunks(LINE * columns).enumerate() {
            for (column, out) in out.chunks_exact_mut(rows).enumerate() {
                let x = x[job * LINE + column..].iter().step_by(columns);
                out[block * LINE..].iter_mut().zip(x).for_each(|(out, &x)| *out = convert(x));
            }
        }
    });
}

/// The numbers of an operation's operands, all on one device. `F`, `D` and `C` are collections with one reference per
/// operand.
pub(crate) enum Operands<F, D, C> {
    F32(F),
    F64(D),
    Cuda(C),
}

/// The operands of an operation with a fixed number of them.
pub(crate) type Fixed<'t, const N: usize> = Operands<[&'t [f32]; N], [&'t [f64]; N], [&'t cuda::Buffer; N]>;

/// The operands of an operation with any number of them.
pub(crate) type Many<'t> = Operands<Vec<&'t [f32]>, Vec<&'t [f64]>, Vec<&'t cuda::Buffer>>;

/// Returns the numbers of an operation's operands. `operation` is the name for panic messages.
///
/// # Panics
/// Panics if the operands are on different devices.
#[track_caller]
pub(crate) fn operands<'t, const N: usize>(operation: &str, tensors: [&'t Tensor; N]) -> Fixed<'t, N> {
    match one_device(operation, &tensors) {
        Device::Cpu => Operands::F32(tensors.map(Storage::f32)),
        Device::Reference => Operands::F64(tensors.map(Storage::f64)),
        Device::Cuda(_) => Operands::Cuda(tensors.map(Storage::cuda)),
    }
}

/// Returns the same as [`operands`] for any number of operands, at least one.
#[track_caller]
pub(crate) fn many_operands<'t>(operation: &str, tensors: &[&'t Tensor]) -> Many<'t> {
    let device = one_device(operation, tensors);
    let tensors = tensors.iter().copied();
    match device {
        Device::Cpu => Operands::F32(tensors.map(Storage::f32).collect()),
        Device::Reference => Operands::F64(tensors.map(Storage::f64).collect()),
        Device::Cuda(_) => Operands::Cuda(tensors.map(Storage::cuda).collect()),
    }
}

/// Returns the device of all operands of an operation, which then begins. It uses a loop, because a panic in a closure
/// would not be reported at the operation's caller.
#[track_caller]
fn one_device(operation: &str, tensors: &[&Tensor]) -> Device {
    let first = tensors[0].device();
    for tensor in tensors {
        let device = tensor.device();
        assert!(
            device == first,
            "{operation}: the first operand is on {first}, another on {device}; see Tensor::to_device"
        );
    }
    profile::begin(operation, tensors);
    first
}

/// Converts the results of a kernel to storage: a buffer, an array of buffers or a vector of buffers.
pub(crate) trait IntoStorage {
    type Storage;
    fn into_storage(self) -> Self::Storage;
}

macro_rules! into_storage {
    ($buffer:ty, $variant:ident) => {
        impl IntoStorage for $buffer {
            type Storage = Storage;
            fn into_storage(self) -> Storage {
                Storage::$variant(self)
            }
        }
    };
}
into_storage!(Buffer<f32>, F32);
into_storage!(Buffer<f64>, F64);
into_storage!(cuda::Buffer, Cuda);

impl<B: IntoStorage, const N: usize> IntoStorage for [B; N] {
    type Storage = [B::Storage; N];
    fn into_storage(self) -> Self::Storage {
        self.map(B::into_storage)
    }
}

impl<B: IntoStorage> IntoStorage for Vec<B> {
    type Storage = Vec<B::Storage>;
    fn into_storage(self) -> Self::Storage {
        self.into_iter().map(B::into_storage).collect()
    }
}

/// Runs an operation on the device of its [`operands`]: with one kernel for each kind of device, or with one that is
/// generic over the element type for the CPU and one for CUDA devices. A kernel returns one buffer, or an array or a
/// vector of them.
macro_rules! dispatch {
    ($operands:expr, |$x:pat_param| $kernel:expr, |$dx:pat_param| $launch:expr) => {
        $crate::storage::dispatch!($operands, |$x| $kernel, |$x| $kernel, |$dx| $launch)
    };
    ($operands:expr, |$x:pat_param| $fast:expr, |$y:pat_param| $plain:expr, |$dx:pat_param| $launch:expr) => {
        match $operands {
            $crate::storage::Operands::F32($x) => $crate::storage::IntoStorage::into_storage($fast),
            $crate::storage::Operands::F64($y) => $crate::storage::IntoStorage::into_storage($plain),
            $crate::storage::Operands::Cuda($dx) => $crate::storage::IntoStorage::into_storage($launch),
        }
    };
}
pub(crate) use dispatch;
