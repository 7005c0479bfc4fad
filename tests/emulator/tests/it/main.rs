//! Tests the executors, on small kernels of their own and on the project's.

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
