#![doc = include_str!("../README.md")]
//!
//! ## Where to begin
//!
//! [`Tensor`] has all operations, [`Tensor::gradients`] and [`Tensor::differentiable_gradients`] among them; [`no_grad`]
//! computes without a history. [`Shape`], [`Device`], [`Conv2d`] and [`Pool2d`] are what operations are told. [`Adam`]
//! moves variables against their gradients, [`Random`] draws numbers, [`FrozenConv2d`] is a layer that is no longer
//! trained. [`cuda`] opens GPUs and records graphs for them, and [`conformance`] checks a device.

// The modules: `tensor` is the handle, `autograd` differentiates, `ops` has a folder or a file for each kind of
// operation, `cpu` has what the fast kernels are built from, `cuda` has GPUs, `pool` has memory that is used again, and
// `profile` measures operations.

mod adam;
mod autograd;
pub mod conformance;
mod cpu;
pub mod cuda;
mod layout;
mod ops;
mod optim;
mod pool;
mod profile;
mod random;
mod shape;
mod storage;
mod tensor;

pub use adam::{Adam, AdamOptions, Moments};
pub use autograd::no_grad;
pub use cpu::simd::{SimdError, microkernel, use_microkernel};
pub use ops::{Conv2d, FrozenConv2d, Interpolation, Pool2d};
pub use optim::{
    AdamW, Averages, Optimizer, RmsProp, RmsPropOptions, Sgd, SgdOptions, clip_grad_norm, clip_grad_value,
};
pub use profile::{Cost, Operation, count_conv2d_flops, profile};
pub use random::{Address, Random};
pub use shape::Shape;
pub use storage::{Device, Element};
pub use tensor::Tensor;
