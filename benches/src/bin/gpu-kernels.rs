//! Times the convolutions of the networks on a GPU. `gpu-kernels WIDTH BATCH` prints, for each map of each layer of
//! the digit networks and each precision, its microseconds and the fraction of the GPU's limit that it reaches. The
//! limit is the longer of two times: that of the arithmetic at the GPU's peak, and that of reading and writing the
//! numbers once.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use mergan_benches::convolutions::{Convolution, Layer, Map, digits};
use mergan_tensor::cuda::{self, DeviceError, Graph, Peak, Precision};
use mergan_tensor::{Device, Shape, Tensor};

/// The number of launches timed together, so that what starts and ends a graph hardly counts.
const LAUNCHES: usize = 200;

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
        let peak = cuda::peak(device);
        let at_best = peak.map_or("its peak is unknown".into(), |peak| peak.to_string());
        println!("{device}, width {width}, batch {batch}: {at_best}");
        for Layer { name, convolution } in &layers {
            for map in [Map::Conv2d, Map::InputGrad, Map::WeightGrad] {
                let seconds = seconds(device, convolution.map(map, device))?;
                let share =
                    peak.map(|peak| format!(", {:.0} % of the peak", 100.0 * floor(convolution, &peak) / seconds));
                println!("{name}, {map:?}: {:.1} us{}", seconds * 1e6, share.unwrap_or_default());
            }
        }
    }
    Ok(())
}

/// Returns the seconds of one launch. All are in one graph, because a launch takes the host longer than a small kernel
/// takes the device.
fn seconds(device: Device, map: impl Fn() -> Tensor) -> Result<f64> {
    // These calls are not timed: they load the kernels and fill the pool.
    (0..3).for_each(|_| drop(map()));
    let operand = Tensor::zeros(Shape::SCALAR, device);
    let (_, graph) = Graph::capture(&[], &[&operand], |operand| {
        (0..LAUNCHES).for_each(|_| drop(map()));
        vec![operand[0].clone()]
    });
    let mut graph = graph.context("the GPU records no graph")?;
    // Reading the result waits for all earlier work.
    let mut launch = || graph.launch(&[], &[&operand])[0].item();
    launch();
    let start = Instant::now();
    launch();
    Ok(start.elapsed().as_secs_f64() / LAUNCHES as f64)
}

/// Returns the fewest seconds that any map could take.
fn floor(convolution: &Convolution, peak: &Peak) -> f64 {
    let bytes = convolution.shapes().iter().map(|shape| shape.len() * size_of::<f32>()).sum::<usize>();
    (convolution.flops() as f64 / peak.flops).max(bytes as f64 / peak.bytes)
}
