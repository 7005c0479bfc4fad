//! Benchmarks.
//!
//! - `cargo bench -p mergan-benches --bench conv2d` times the convolutions of the digit networks, `--bench iteration` whole
//!   training iterations.
//! - `cargo xtask bench step` times whole iterations beside the same ones in PyTorch, alternating in one run: `src/bin/step.rs`
//!   is our side, `peers/torch_step.py` the other.
//! - `cargo xtask bench conv2d` does so with each map of each convolution: `src/bin/conv2d.rs` and `peers/torch_conv2d.py`.
//!   `convolutions` has the list of them.
//! - `results/` holds what was measured, with command, date and machine.

pub mod convolutions;
pub mod server;
