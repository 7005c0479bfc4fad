//! The building blocks of every kernel of the CPU device.
//!
//! - [`simd`]: which vector instructions this machine has, chosen once at run time;
//! - [`lanes`]: sixteen `f32` in the registers of each of them;
//! - [`microkernel`]: the one register tile behind the convolutions and the matrix products;
//! - [`pack`]: copies of a matrix in the order in which the microkernel reads it.
//!
//! *Invariant*: what a kernel computes depends on the shapes and the choice of vector instructions, never on the
//! number of threads.

#![allow(unsafe_code, reason = "vector instructions, and kernels that write one array from many threads")]

mod lanes;
pub(crate) mod microkernel;
pub(crate) mod pack;
pub(crate) mod simd;

pub(crate) use lanes::{Lanes, Vector};
pub(crate) use simd::{Routine, Simd, vectorised};
