//! The CUDA kernels of the three maps. `conv2d.cu` and `conv2d_tf32.cu` describe how they compute; here the shapes
//! determine which of them is used.

use super::geometry::Geometry;
use crate::cuda::{Argument, Buffer, Context, Precision};
use crate::ops::broadcast::cuda::{add_parts, add_parts_leaky_relu, part_length};

/// A side with at most this many channels has dedicated kernels.
const NARROW: usize = 4;
/// The number of blocks that fills a large GPU.
const FULL: usize = 128;
/// Summing up to this many partial results stays cheap.
const MOST_PARTS: usize = 16;

/// The kernels that compute tiles of one size.
struct Tile {
    rows: usize,
    columns: usize,
    threads: usize,
    conv2d: &'static str,
    input_grad: &'static str,
    weight_grad: &'static str,
}

macro_rules! tile {
    ($precision:literal, $rows:literal x $columns:literal, $threads:literal threads) => {
        Tile {
            rows: $rows,
            columns: $columns,
            threads: $threads,
            conv2d: concat!("conv2d_", $rows, "x", $columns, "_", $precision),
            input_grad: concat!("conv2d_input_grad_", $rows, "x", $columns, "_", $precision),
            weight_grad: concat!("conv2d_weight_grad_", $rows, "x", $columns, "_", $precision),
        }
    };
}

/// The tiles, from the largest, which reads its operands least often, to the smallest, which is useful for the smallest
/// results.
type Tiles = [Tile; 3];

const F32: Tiles =
    [tile!("f32", 128 x 64, 256 threads), tile!("f32", 64 x 64, 256 threads), tile!("f32", 32 x 32, 64 threads)];

const TF32: Tiles =
    [tile!("tf32", 128 x 64, 256 threads), tile!("tf32", 64 x 64, 128 threads), tile!("tf32", 32 x 32, 64 threads)];

/// Returns the tiles in the precision of a device.
fn tiles(context: &Context) -> &'static Tiles {
    match context.precision() {
        Precision::F32 => &F32,
        Precision::Tf32 => &TF32,
    }
}

/// A bias for each channel and the slope of the rectifier.
pub(super) type Epilogue<'a> = Option<(&'a Buffer, f64)>;

/// The parameters in which the convolution and its input gradient differ.
struct Map {
    inputs: usize,
    outputs: usize,
    /// The number of rows of the result in the largest class of pixels, and the number of classes.
    rows: usize,
    classes: usize,
    /// The number of taps of the class that has the most.
    taps: usize,
    /// The number of elements of the result.
    len: usize,
    short: &'static str,
    narrow: &'static str,
    tile: fn(&Tile) -> &'static str,
}

/// Computes the convolution; see `cpu::conv2d`.
pub(super) fn conv2d(g: &Geometry, x: &Buffer, w: &Buffer, epilogue: Epilogue) -> Buffer {
    conv2d_map(g).run(g, x, w, epilogue)
}

fn conv2d_map(g: &Geometry) -> Map {
    Map {
        inputs: g.ci,
        outputs: g.co,
        rows: g.output_pixels() * g.n,
        classes: 1,
        taps: g.kh * g.kw,
        len: g.output_len(),
        short: "conv2d_short_f32",
        narrow: "conv2d_narrow_f32",
        tile: |tile| tile.conv2d,
    }
}

/// Computes the gradient of [`conv2d`] with respect to `x`; see `cpu::input_grad`.
pub(super) fn input_grad(g: &Geometry, dy: &Buffer, w: &Buffer, epilogue: Epilogue) -> Buffer {
    input_grad_map(g).run(g, dy, w, epilogue)
}

fn input_grad_map(g: &Geometry) -> Map {
    let [sy, sx] = g.stride;
    // Along each axis, this is the distance between the taps that reach the same class of pixels.
    let [every_y, every_x] = [0, 1].map(|axis| g.stride[axis] / gcd(g.stride[axis], g.dilation[axis]));
    Map {
        inputs: g.co,
        outputs: g.ci,
        rows: g.h.div_ceil(sy) * g.w.div_ceil(sx) * g.n,
        classes: sy * sx,
        taps: g.kh.div_ceil(every_y) * g.kw.div_ceil(every_x),
        len: g.input_len(),
        short: "conv2d_input_grad_short_f32",
        narrow: "conv2d_input_grad_narrow_f32",
        tile: |tile| tile.input_grad,
    }
}

/// Returns the greatest common divisor.
fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Computes the gradient of [`conv2d`] with respect to `w`; see `cpu::weight_grad`.
pub(super) fn weight_grad(g: &Geometry, x: &Buffer, dy: &Buffer) -> Buffer {
    let columns = g.kh * g.kw * g.ci;
    let fits = |tile: &&Tile| g.co >= tile.rows && columns >= tile.columns;
    let tiles = tiles(x.context());
    weight_grad_by(tiles.iter().find(fits).unwrap_or(&tiles[tiles.len() - 1]), g, x, dy)
}

/// Computes the weight gradient with the kernel of this tile.
fn weight_grad_by(tile: &Tile, g: &Geometry, x: &Buffer, dy: &Buffer) -> Buffer {
    let (columns, rows) = (g.kh * g.kw * g.ci, g.output_pixels() * g.n);
    let [across, down] = [g.co.div_ceil(tile.rows), columns.div_ceil(tile.columns)];
    let count = part_length(rows, across * down, 64);
    let parts = Buffer::stale(x.context(), rows.div_ceil(count) * g.weight_len());
    let arguments: [&dyn Argument; 5] = [x, dy, &parts, &g.sizes(), &(count as i32)];
    x.context().launch(tile.weight_grad, [across, down, rows.div_ceil(count)], [tile.threads, 1, 1], &arguments);
    add_parts(parts, g.weight_len())
}

/// Computes the three maps with each tile's kernels, with the taps in one part and in three. Tests use it because some
/// of these kernels are otherwise used only for large shapes.
pub(crate) fn by_every_tile(g: &Geometry, [x, w, dy]: [&Buffer; 3]) -> Vec<[Buffer; 3]> {
    let tiles = tiles(x.context()).iter().flat_map(|tile| [(tile, 1), (tile, 3)]);
    let maps = tiles.map(|(tile, parts)| {
        let y = conv2d_map(g).run_tile(tile, parts, g, x, w, None);
        let dx = input_grad_map(g).run_tile(tile, parts, g, dy, w, None);
        [y, dx, weight_grad_by(tile, g, x, dy)]
    });
    maps.collect()
}

impl Map {
    fn run(&self, g: &Geometry, x: &Buffer, w: &Buffer, epilogue: Epilogue) -> Buffer {
        let (bias, slope) = epilogue.map_or((None, 1.0), |(bias, slope)| (Some(bias), slope as f32));
        let (context, geometry) = (x.context(), g.sizes());
        let direct = |kernel, blocks| {
            let y = Buffer::stale(context, self.len);
            context.launch(kernel, [blocks, 1, self.classes], [256, 1, 1], &[x, w, &bias, &y, &geometry, &slope]);
            y
        };
        if self.inputs <= NARROW {
            return direct(self.short, (self.rows * self.outputs).div_ceil(256));
        }
        if self.outputs <= NARROW {
            return direct(self.narrow, self.rows.div_ceil(8));
        }
        let all = |tile: &Tile| self.blocks(tile).into_iter().product::<usize>() * self.classes;
        let tiles = tiles(context);
        let tile = tiles.iter().find(|tile| all(tile) >= FULL).unwrap_or(&tiles[tiles.len() - 1]);
        let parts = (FULL / all(tile)).clamp(1, MOST_PARTS.min(self.taps));
        self.run_tile(tile, parts, g, x, w, epilogue)
    }

    /// Returns the number of blocks along the rows and along the channels of one class.
    fn blocks(&self, tile: &Tile) -> [usize; 2] {
        [self.rows.div_ceil(tile.rows), self.outputs.div_ceil(tile.columns)]
    }

    /// Runs the kernel of this tile, with the taps in this many parts.
    fn run_tile(&self, tile: &Tile, parts: usize, g: &Geometry, x: &Buffer, w: &Buffer, epilogue: Epilogue) -> Buffer {
        let (bias, slope) = epilogue.map_or((None, 1.0), |(bias, slope)| (Some(bias), slope as f32));
        let (context, geometry) = (x.context(), g.sizes());
        let y = Buffer::stale(context, parts * self.len);
        let launch = |bias: Option<&Buffer>, slope: f32| {
            let ([count, len], [rows, columns]) = ([parts, self.len].map(|number| number as i32), self.blocks(tile));
            let arguments: [&dyn Argument; 8] = [x, w, &bias, &y, &geometry, &count, &len, &slope];
            let grid = [rows, columns, self.classes * parts];
            context.launch((self.tile)(tile), grid, [tile.threads, 1, 1], &arguments);
        };
        if parts == 1 {
            launch(bias, slope);
            return y;
        }
        launch(None, 1.0);
        add_parts_leaky_relu(&y, self.len, bias, self.outputs, slope)
    }
}
