//! The executors, on small kernels of their own and on the project's.

mod bugs;
mod driver;
mod samples;
mod support;
mod training;
