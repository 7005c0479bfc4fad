//! The common part of our sides of `cargo xtask bench`. They read lines `WHAT COUNT` on the standard input and answer
//! each with the milliseconds of COUNT repetitions on the standard output. `peers/server.py` does the same for
//! PyTorch.

use std::fmt::Display;
use std::io::stdin;
use std::time::Instant;

use anyhow::{Context, Result};
use mergan_tensor::{Address, Device, Random, Shape, Tensor, microkernel, use_microkernel};

/// Runs `f` with this many threads for the kernels.
pub fn with_threads(threads: &str, f: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    if let Ok(name) = std::env::var("MERGAN_SIMD") {
        use_microkernel(&name)?;
    }
    rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build()?.install(f)
}

/// Prints the vector instructions and the greeting, then answers lines until the input ends. `product` multiplies two 1024 x 1024 matrices;
/// everything else is passed to `times`.
pub fn serve(greeting: impl Display, mut times: impl FnMut(&str, usize) -> Result<Vec<f64>>) -> Result<()> {
    println!("{} {greeting}", microkernel());
    for line in stdin().lines() {
        let line = line.context("reading what to do")?;
        let (what, count) = line.rsplit_once(' ').context("a line is `WHAT COUNT`")?;
        let count: usize = count.parse().with_context(|| format!("`{count}` is no number of repetitions"))?;
        let times = match what {
            "product" => {
                let [a, b] = [0, 1].map(|stream| numbers(stream, [1024, 1024]));
                timed(count, || Ok(a.linear(&b)))?
            }
            _ => times(what, count)?,
        };
        println!("{}", times.iter().map(|time| format!("{time:.4}")).collect::<Vec<_>>().join(" "));
    }
    Ok(())
}

/// Returns the milliseconds of each of `count` calls, including the time to drop their results.
pub fn timed<T>(count: usize, mut f: impl FnMut() -> Result<T>) -> Result<Vec<f64>> {
    let mut once = || {
        let start = Instant::now();
        drop(f()?);
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    (0..count).map(|_| once()).collect()
}

/// Returns numbers between 0 and 1 that differ from stream to stream.
pub fn numbers(stream: u16, shape: impl Into<Shape>) -> Tensor {
    Random::new(0).uniform(Address { stream, ..Address::default() }, shape, Device::Cpu)
}
