//! Our side of `cargo xtask bench conv2d`: single maps of convolutions.
//!
//! `conv2d layers BATCH NETWORK` lists the layers of a network (`lsun`, or a width of the digit networks): name,
//! summary, sizes, and the additions and multiplications of a map, separated by tabs. `conv2d serve THREADS` waits
//! for lines. A line `MAP SIZES N` computes that map (`conv2d`, `input_grad` or `weight_grad`) of a convolution of
//! those sizes N times.

use std::num::NonZeroUsize;

use anyhow::{Context, Result, bail};
use mergan_benches::convolutions::{Convolution, Layer, Map, digits, lsun};
use mergan_benches::server::{serve, timed, with_threads};
use mergan_tensor::Device;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["layers", batch, network] => list(network, batch.parse().context("the batch")?),
        ["serve", threads] => with_threads(threads, run),
        _ => bail!("usage: conv2d layers BATCH NETWORK, or conv2d serve THREADS"),
    }
}

fn list(network: &str, batch: NonZeroUsize) -> Result<()> {
    let layers = match network {
        "lsun" => lsun(batch.get()),
        width => {
            let width: NonZeroUsize =
                width.parse().with_context(|| format!("`{width}` is neither lsun nor a width"))?;
            digits(width.get(), batch.get())
        }
    };
    for Layer { name, convolution } in layers {
        println!("{name}\t{convolution}\t{}\t{}", convolution.sizes(), convolution.flops());
    }
    Ok(())
}

fn run() -> Result<()> {
    // The same map is requested several times in a row, so its numbers are made once.
    let mut current = None;
    serve("ready", |what, count| {
        if current.as_ref().is_none_or(|(of, _)| of != what) {
            let (map, sizes) = what.split_once(' ').context("a line is `MAP SIZES N`")?;
            current = Some((what.to_string(), sizes.parse::<Convolution>()?.map(map.parse::<Map>()?, Device::Cpu)));
        }
        let (_, map) = current.as_ref().context("a map was just made")?;
        timed(count, || Ok(map()))
    })
}
