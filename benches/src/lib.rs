//! Benchmarks.
//!
//! - `cargo bench -p mergan-benches --bench conv2d` times the convolutions of the digit networks, and
//!   `--bench iteration` times whole training iterations.
//! - `cargo xtask bench step` times whole iterations against the same ones in PyTorch, alternating in one run:
//!   `src/bin/step.rs` is our side, `peers/torch_step.py` the other.
//! - `cargo xtask bench conv2d` does the same for each map of each convolution, with `src/bin/conv2d.rs` and
//!   `peers/torch_conv2d.py`. `convolutions` lists them.
//! - `cargo xtask bench tensors` does so for one convolution and an iteration of the digit networks beside burn and candle,
//!   with `peers/tensors`.
//! - `results/` holds the measurements, with command, date and machine.

pub mod convolutions;
pub mod server;
pub mod training;
