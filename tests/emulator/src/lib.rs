//! The project's CUDA kernels where there is no GPU.
//!
//! The same `.cu` files are checked on tiers, each of which sees something that the others do not:
//!
//! | tier | what runs | module |
//! |---|---|---|
//! | T0 | NVRTC compiles to the PTX that ships and to machine code; registers, spills, launch limits | [`nvrtc`] |
//! | T1 | g++ compiles for the host, threads are fibers; a fast and a checked build | [`host`] |
//! | T2 | an interpreter runs the very PTX that ships, with the same checks | [`ptx`] |
//! | T3 | a GPU | `cargo xtask gpu` |
//!
//! The executors know nothing of tensors: they are given memory, a kernel's name and arguments as `cuLaunchKernel` takes
//! them. The tests put each behind `mergan_tensor::cuda::Driver`, so that the whole backend runs on it, and write into
//! the [`ledger`] which kernel was compared on which tier.

pub mod artifacts;
pub mod findings;
pub mod host;
pub mod launch;
pub mod ledger;
mod memory;
pub mod nvrtc;
pub mod ptx;
mod shadow;
pub mod sources;
