//! The operations. Each module holds an operation's computation, its gradient in terms of other operations, its kernels
//! and its tests.

mod arithmetic;
mod batch_norm;
mod broadcast;
pub(crate) mod cases;
mod conv2d;
mod cross_entropy;
mod distances;
pub(crate) mod elementwise;
mod functions;
mod indexing;
mod interpolate;
mod layer_norm;
mod leaky_relu;
mod pool2d;
mod reductions;
mod reshape;
mod tables;
mod upsample;

pub(crate) use conv2d::conv2d_by_every_tile;
pub use conv2d::{Conv2d, FrozenConv2d};
pub use interpolate::Interpolation;
pub use pool2d::Pool2d;

#[cfg(test)]
mod tests;
