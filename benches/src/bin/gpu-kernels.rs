//! Times the convolutions of the networks on a GPU. `gpu-kernels WIDTH BATCH` prints, for each map of each layer of
//! the digit networks and each precision, its microseconds and the fraction of the GPU's limit that it reaches. The
//! limit is the longer of two times: that of the arithmetic at the GPU's peak, and that of reading and writing the
//! numbers once.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use mergan_benches::convolutions::{Convolution, Layer, Map, digits};
use mergan_tensor::cuda::{self, DeviceError, Peak, Precision};
use mergan_tensor::{Device, Shape, Tensor};

/// The number of launches timed together, so that the device never waits for the host.
const LAUNCHES: usize = 50;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [width, batch] = arguments.as_slice() else { bail!("usage: gpu-kernels WIDTH BATCH") };
    let layers = digits(width.parse()?, batch.parse()?);
    for precision in [Precision::F32, Precision::Tf32] {
        let device = match cuda::open(0, precision) {
            Ok(device) => device,
            Err(reason @ DeviceError::NoTensorCores { .. }) => {
                println!("NOT RUN: {reason}");
                continue;
            }
            Err(reason) => return Err(reason.into()),
        };
        let peak = cuda::peak(device).context("a GPU has a peak")?;
        println!("{device}, width {width}, batch {batch}: {peak}");
        for Layer { name, convolution } in &layers {
            for map in [Map::Conv2d, Map::InputGrad, Map::WeightGrad] {
                let seconds = seconds(device, convolution.map(map, device));
                let floor = floor(convolution, &peak);
                println!("{name}, {map:?}: {:.1} us, {:.0} % of the peak", seconds * 1e6, 100.0 * floor / seconds);
            }
        }
    }
    Ok(())
}

/// Returns the seconds of one launch.
fn seconds(device: Device, map: impl Fn() -> Tensor) -> f64 {
    // Reading any result waits for all earlier work.
    let wait = || Tensor::zeros(Shape::SCALAR, device).item();
    // These calls are not timed: they load the kernels and fill the pool.
    (0..3).for_each(|_| drop(map()));
    wait();
    let start = Instant::now();
    (0..LAUNCHES).for_each(|_| drop(map()));
    wait();
    start.elapsed().as_secs_f64() / LAUNCHES as f64
}

/// Returns the fewest seconds that any map could take.
fn floor(convolution: &Convolution, peak: &Peak) -> f64 {
    let bytes = convolution.shapes().iter().map(|shape| shape.len() * size_of::<f32>()).sum::<usize>();
    (convolution.flops() as f64 / peak.flops).max(bytes as f64 / peak.bytes)
}
