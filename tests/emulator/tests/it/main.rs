//! Tests the executors, on small kernels of their own and on the project's.

#![allow(unsafe_code, reason = "it calls kernels as the driver does")]

mod bugs;
mod convolutions;
mod driver;
mod gpu;
mod inception;
mod planted;
mod samples;
mod support;
mod trainer;
mod training;
