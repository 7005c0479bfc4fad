//! Benchmarks. `cargo bench -p mergan-benches --bench conv2d` times the convolutions of the digit networks, `--bench
//! iteration` whole training iterations. `results/` holds what was measured, with command, date and machine.
