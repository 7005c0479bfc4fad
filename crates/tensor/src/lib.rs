//! Arrays with derivatives of any order, and the kernels of a GAN's training step.
//!
//! A [`Tensor`] is an immutable array of images or a matrix. Gradients are made of the same operations as everything
//! else, so they can be differentiated again; that is what a gradient penalty needs and what most tensor libraries for
//! Rust cannot do.
//!
//! ```
//! use mergan_tensor::{Adam, Address, Conv2d, Device, Random, Tensor};
//!
//! // Train a small critic to have input gradients of norm one: a derivative of a derivative.
//! let random = Random::new(0);
//! let draw = |step, shape: [usize; 4]| random.normal(Address { step, ..Address::default() }, shape, Device::Cpu);
//! let mut kernel = draw(0, [4, 1, 3, 3]).variable();
//! let mut adam = Adam::default();
//! let mut penalties = Vec::new();
//! for iteration in 1..200 {
//!     let images = draw(iteration, [16, 1, 8, 8]).variable();
//!     let score = images.conv2d(&kernel, Conv2d::square(2, 1)).leaky_relu(0.2).sum();
//!     let slopes = score.differentiable_gradients(&[&images]).remove(0);
//!     let norms = slopes.square().sum_axes(&[1, 2, 3]).sqrt();
//!     let penalty = (norms - 1.0).square().mean();
//!     let gradient = penalty.gradients(&[&kernel]);
//!     adam.step(0.02, vec![&mut kernel], &gradient);
//!     penalties.push(penalty.item());
//! }
//! assert!(penalties[198] < 0.1 * penalties[0]);
//! ```
//!
//! Modules: `tensor` the handle, `autograd` differentiation, `ops` one room per operation, `cpu` what the fast kernels
//! are built from, [`cuda`] GPUs, `pool` memory that is used again.

mod adam;
mod autograd;
pub mod conformance;
mod cpu;
pub mod cuda;
mod layout;
mod ops;
mod optim;
mod pool;
mod random;
mod shape;
mod storage;
mod tensor;

pub use adam::{Adam, AdamOptions, Moments};
pub use autograd::no_grad;
pub use cpu::simd::{SimdError, microkernel};
pub use ops::{Conv2d, FrozenConv2d, Pool2d, conv2d_flops};
pub use optim::{
    AdamW, Averages, Optimizer, RmsProp, RmsPropOptions, Sgd, SgdOptions, clip_grad_norm, clip_grad_value,
};
pub use random::{Address, Random};
pub use shape::Shape;
pub use storage::{Device, Element};
pub use tensor::Tensor;
