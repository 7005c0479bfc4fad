//! The executors, on small kernels of their own and on the project's.

mod bugs;
mod samples;
mod support;
