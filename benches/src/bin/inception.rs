//! Our side of `cargo xtask bench inception`: from images to the features that FID compares.
//!
//! Started as `inception THREADS`. A line `images SIZE N COUNT` resizes N images, SIZE pixels wide, for the network
//! and runs them through it, COUNT times. The first line of output is the number of additions and multiplications for
//! one image.

use std::path::Path;

use anyhow::{Context, Result, bail};
use mergan_benches::server::{serve, timed, with_threads};
use mergan_models::{Inception, Resize, Tap};
use mergan_tensor::{Device, Random, count_conv2d_flops};
use ndarray::Array4;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [threads] = arguments.as_slice() else { bail!("usage: inception THREADS") };
    with_threads(threads, run)
}

fn run() -> Result<()> {
    let network = Inception::new(&Inception::noise(Random::new(0), Device::Cpu), Path::new("noise"))?;
    let read = |side: usize, count: usize| {
        let images = Array4::from_shape_fn((count, 3, side, side), |(n, c, y, x)| ((n + c + y * x) % 256) as u8);
        network.read(images.view(), Resize::Torch, Tap::Last)
    };
    let (_, flops) = count_conv2d_flops(|| read(299, 1));
    serve(flops, |what, repetitions| {
        let sizes = what.strip_prefix("images ").and_then(|sizes| sizes.split_once(' '));
        let (side, count) = sizes.with_context(|| format!("`{what}` is nothing to time"))?;
        let (side, count) = (side.parse()?, count.parse()?);
        timed(repetitions, || Ok(read(side, count)))
    })
}
