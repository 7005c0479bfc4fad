//! Tests each kernel of the convolutions' three maps on ragged sizes. The backend chooses among them by shape, and
//! testing the tiles for large shapes through it would take long.

use mergan_emulator::launch::{Executor, LaunchError, Schedule};
use mergan_emulator::ledger;
use mergan_emulator::sources::{self, Module};

use crate::support::{TIERS, Value, download, executor, launch, numbers, rows, upload};

/// The sizes of a convolution, in the form that its kernels take.
#[derive(Clone, Copy)]
struct Sizes {
    n: usize,
    ci: usize,
    h: usize,
    w: usize,
    co: usize,
    k: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
}

/// One case in which vectors of four do not divide the channels, one in which they do, and one with dilation.
const RAGGED: [Sizes; 3] = [
    Sizes { n: 3, ci: 21, h: 7, w: 6, co: 37, k: 5, stride: 2, padding: 2, dilation: 1 },
    Sizes { n: 2, ci: 20, h: 6, w: 5, co: 36, k: 3, stride: 1, padding: 1, dilation: 1 },
    Sizes { n: 2, ci: 20, h: 9, w: 8, co: 36, k: 3, stride: 2, padding: 2, dilation: 3 },
];

impl Sizes {
    fn out(&self, side: usize) -> usize {
        (side + 2 * self.padding - self.dilation * (self.k - 1) - 1) / self.stride + 1
    }

    fn value(&self) -> Value {
        let Sizes { n, ci, h, w, co, k, stride, padding, dilation } = *self;
        let (oh, ow) = (self.out(h), self.out(w));
        let sizes = [n, ci, h, w, co, k, k, oh, ow, stride, stride, padding, padding, dilation, dilation];
        Value::Sizes(sizes.map(|size| size as i32))
    }

    /// Returns the number of values in the image, the kernel and the result.
    fn lengths(&self) -> [usize; 3] {
        let Sizes { n, ci, h, w, co, k, .. } = *self;
        [h * w * n * ci, k * k * co * ci, self.out(h) * self.out(w) * n * co]
    }

    /// Calls `each` with the indices in the image, the kernel and the result of every product that the convolution
    /// sums.
    fn products(&self, mut each: impl FnMut([usize; 3])) {
        let Sizes { n, ci, h, w, co, k, stride, padding, dilation } = *self;
        let (oh, ow) = (self.out(h), self.out(w));
        for (pixel, tap) in (0..oh * ow).flat_map(|pixel| (0..k * k).map(move |tap| (pixel, tap))) {
            let (y, x) = (pixel / ow * stride + tap / k * dilation, pixel % ow * stride + tap % k * dilation);
            let inside = (padding..h + padding).contains(&y) && (padding..w + padding).contains(&x);
            for (image, output) in (0..n * co).filter(|_| inside).map(|i| (i / co, i % co)) {
                let source = ((y - padding) * w + x - padding) * n + image;
                for input in 0..ci {
                    each([source * ci + input, (tap * co + output) * ci + input, (pixel * n + image) * co + output]);
                }
            }
        }
    }
}

/// A run of a kernel, and the number of parts in which its results come.
struct Run<'a> {
    kernel: &'static str,
    tile: [usize; 2],
    threads: u32,
    parts: usize,
    sizes: &'a Sizes,
}

impl Run<'_> {
    /// Launches the kernel and returns its error, as a multiple of what rounding explains.
    fn error(&self, device: &dyn Executor) -> Result<f64, LaunchError> {
        let Run { kernel, tile, threads, parts, sizes } = *self;
        let lengths = sizes.lengths();
        let operands = [0, 1, 2].map(|which| numbers(lengths[which], 11 + which as u64));
        // The index of the tensor that the map computes from the other two: image, kernel or result.
        let result = if kernel.contains("input_grad") {
            0
        } else if kernel.contains("weight_grad") {
            1
        } else {
            2
        };
        let mut expected = vec![0.0; lengths[result]];
        let mut summands = vec![0.0; lengths[result]];
        sizes.products(|places| {
            let [a, b] = [(result + 1) % 3, (result + 2) % 3].map(|which| f64::from(operands[which][places[which]]));
            expected[places[result]] += a * b;
            summands[places[result]] += 1.0;
        });
        let buffers = [0, 1, 2].map(|which| match which == result {
            true => Value::Address(device.allocate(4 * parts * lengths[which])),
            false => upload(device, &operands[which]),
        });
        let [pixels, columns, z] = match result {
            0 => {
                let [h, w] = [sizes.h, sizes.w].map(|side| side.div_ceil(sizes.stride));
                [h * w * sizes.n, sizes.ci, sizes.stride * sizes.stride * parts]
            }
            1 => [sizes.co, sizes.k * sizes.k * sizes.ci, parts],
            _ => [sizes.out(sizes.h) * sizes.out(sizes.w) * sizes.n, sizes.co, parts],
        };
        let blocks = match tile {
            [0, 256] => [(pixels * columns).div_ceil(256), 1],
            [rows, 0] => [pixels.div_ceil(rows), 1],
            [rows, wide] => [pixels.div_ceil(rows), columns.div_ceil(wide)],
        };
        let grid = [blocks[0] as u32, blocks[1] as u32, z as u32];
        let [image, weights, out] = buffers;
        let (source, target) = if result == 0 { (out, image) } else { (image, out) };
        let null = Value::Address(0);
        let values = match (result, tile) {
            (1, _) => {
                let count = (sizes.lengths()[2] / sizes.co).div_ceil(parts) as i32;
                vec![image, out, weights, sizes.value(), Value::Int(count)]
            }
            (_, [0, 256] | [_, 0]) => vec![source, weights, null, target, sizes.value(), Value::Float(1.0)],
            _ => {
                let counts = [parts, lengths[result]].map(|number| Value::Int(number as i32));
                vec![source, weights, null, target, sizes.value(), counts[0], counts[1], Value::Float(1.0)]
            }
        };
        launch(device, kernel, [grid, [threads, 1, 1]], 0, &values)?;
        let computed = download(device, buffers[result], parts * lengths[result]);
        // This is the relative error of a product; tensor cores round both operands to eleven bits.
        let operands = if kernel.ends_with("_tf32") { 2.0 * 0.5f64.powi(11) } else { 0.0 };
        let largest = expected.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        let errors = (0..lengths[result]).map(|i| {
            let sum: f64 = computed.iter().skip(i).step_by(lengths[result]).copied().map(f64::from).sum();
            let tolerance = 4.0 * (operands + f64::from(f32::EPSILON) * (2.0 + f64::sqrt(summands[i]))) * largest;
            (sum - expected[i]).abs() / tolerance
        });
        // NaN counts as the largest error.
        Ok(errors.fold(0.0, |worst, error| if error <= worst { worst } else { error }))
    }
}

/// Every kernel with its tile, threads and parts. A tile without rows means a thread per number; a tile without
/// columns means a warp per row.
const KERNELS: [(&str, [usize; 2], u32, usize); 22] = [
    ("conv2d_128x64_f32", [128, 64], 256, 1),
    ("conv2d_64x64_f32", [64, 64], 256, 1),
    ("conv2d_32x32_f32", [32, 32], 64, 3),
    ("conv2d_input_grad_128x64_f32", [128, 64], 256, 1),
    ("conv2d_input_grad_64x64_f32", [64, 64], 256, 1),
    ("conv2d_input_grad_32x32_f32", [32, 32], 64, 2),
    ("conv2d_short_f32", [0, 256], 256, 1),
    ("conv2d_input_grad_short_f32", [0, 256], 256, 1),
    ("conv2d_narrow_f32", [8, 0], 256, 1),
    ("conv2d_input_grad_narrow_f32", [8, 0], 256, 1),
    ("conv2d_weight_grad_128x64_f32", [128, 64], 256, 2),
    ("conv2d_weight_grad_64x64_f32", [64, 64], 256, 2),
    ("conv2d_weight_grad_32x32_f32", [32, 32], 64, 3),
    ("conv2d_128x64_tf32", [128, 64], 256, 1),
    ("conv2d_64x64_tf32", [64, 64], 128, 1),
    ("conv2d_32x32_tf32", [32, 32], 64, 3),
    ("conv2d_input_grad_128x64_tf32", [128, 64], 256, 1),
    ("conv2d_input_grad_64x64_tf32", [64, 64], 128, 1),
    ("conv2d_input_grad_32x32_tf32", [32, 32], 64, 2),
    ("conv2d_weight_grad_128x64_tf32", [128, 64], 256, 2),
    ("conv2d_weight_grad_64x64_tf32", [64, 64], 128, 2),
    ("conv2d_weight_grad_32x32_tf32", [32, 32], 64, 3),
];

/// Runs every kernel of the module. The error names the first kernel whose error rounding does not explain.
pub fn check(device: &dyn Executor, module: &Module, mut compared: impl FnMut(&'static str)) -> Result<(), String> {
    for (kernel, tile, threads, parts) in KERNELS.into_iter().filter(|(kernel, ..)| module.kernels().contains(kernel)) {
        for sizes in RAGGED {
            // Kernels with a warp per row are meant for results with few channels.
            let sizes = &match tile {
                [_, 0] if kernel.contains("input_grad") => Sizes { ci: 3, ..sizes },
                [_, 0] => Sizes { co: 3, ..sizes },
                _ => sizes,
            };
            let run = Run { kernel, tile, threads, parts, sizes };
            match run.error(device).map_err(|error| error.to_string())? {
                error if error <= 1.0 => {}
                error => return Err(format!("{kernel} is wrong: {error} times the error of rounding")),
            }
        }
        compared(kernel);
    }
    Ok(())
}

#[test]
fn every_kernel_at_ragged_sizes() {
    for module in sources::modules().expect("the project's kernels") {
        if !module.name.starts_with("conv2d") {
            continue;
        }
        for tier in TIERS {
            let device = executor(tier, std::slice::from_ref(&module), Schedule::Shuffled(2));
            let row = |kernel: &str| ledger::compared(&rows(), &module, kernel, tier).expect("the ledger");
            check(device.as_ref(), &module, row).unwrap();
        }
    }
}
