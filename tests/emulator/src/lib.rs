//! Runs and checks the project's CUDA kernels without a GPU.
//!
//! The same `.cu` files are checked on several tiers, each of which detects something that the others do not:
//!
//! | tier | what runs | module |
//! |---|---|---|
//! | T0 | NVRTC compiles to the PTX that ships and to machine code; registers, spills, launch limits | [`nvrtc`] |
//! | T1 | g++ compiles for the host, threads are fibers; a fast and a checked build | [`host`] |
//! | T2 | an interpreter runs the shipped PTX itself, with the same checks | [`ptx`] |
//! | T3 | a GPU | `cargo xtask gpu` |
//!
//! The executors know nothing of tensors: they take memory, a kernel's name and its arguments in the form of
//! `cuLaunchKernel`. The tests put each behind `mergan_tensor::cuda::Driver`, so that the whole backend runs on it,
//! and record in the [`ledger`] which kernel was compared on which tier.

#![allow(unsafe_code, reason = "it stands for a C library, and for the memory of a device")]

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
