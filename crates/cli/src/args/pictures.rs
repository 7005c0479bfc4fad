//! The arguments of the commands that draw from generators or hand them on.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::Args;
use clap::builder::TypedValueParser;

use crate::device::DeviceArguments;

/// Returns the parser of an enlargement, which keeps pictures at sizes that can be seen and written.
fn scale() -> impl TypedValueParser<Value = usize> {
    clap::value_parser!(u64).range(1..=16).map(|scale| scale as usize)
}

/// The arguments of `mergan sample`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  mergan sample --class 3\n  mergan sample runs/ra --out all.png --scale 4\n  mergan sample runs/ra --class 3 -n 6400 \
                        --out pictures/\n  mergan sample runs/ra --class 3,8 --interpolate --out between.png\n  mergan \
                        sample runs/ra --per-task --out tasks/\n  mergan sample \
                        runs/ra/tasks/02/generator.safetensors --class 1 --seed 7 --out ones.npy\n  mergan sample \
                        runs/ra --class 3 --latents z.npy --floats --out threes.npy"
)]
pub struct SampleArguments {
    /// A run directory, whose newest generator is used, or a generator.safetensors [default: a generator of digits that
    /// comes with the program].
    #[arg(value_name = "DIR|FILE")]
    pub source: Option<PathBuf>,
    /// The classes, by name or number, separated by commas, or all of them.
    #[arg(short, long, default_value = "all", value_name = "all|CLASSES")]
    pub class: String,
    /// The number of images of each class [default: 64; 10 in a row of a grid with several rows].
    #[arg(short = 'n', long, value_name = "N")]
    pub count: Option<NonZeroUsize>,
    /// The seed of the latents.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Normalise images with their batch, as in training, instead of by standing statistics, which make each image
    /// independent of the others.
    #[arg(long)]
    pub batch_statistics: bool,
    /// Enlarge pictures: each pixel becomes N x N.
    #[arg(long, default_value = "1", value_name = "N", value_parser = scale())]
    pub scale: usize,
    /// Draw what is between two latents, a row for each class, and what is between two classes, a row for each class
    /// and the next one.
    #[arg(long, conflicts_with_all = ["latents", "batch_statistics", "per_task"])]
    pub interpolate: bool,
    /// Draw a grid for each task of a run, from the generator as that task left it.
    #[arg(long, requires = "source", conflicts_with = "latents")]
    pub per_task: bool,
    /// The latents themselves: FILE.npy, a matrix of f32 or f64 numbers with one row per image.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["count", "seed"])]
    pub latents: Option<PathBuf>,
    /// Write the numbers that the generator produces, f32 from -1 to 1, instead of bytes.
    // clap waives `requires` if an argument that conflicts with `latents` is given, so the conflicts are repeated
    // here.
    #[arg(long, requires = "latents", conflicts_with_all = ["count", "seed"])]
    pub floats: bool,
    /// The output: FILE.png is a grid, FILE.npy an array N x C x H x W of bytes, class by class, and DIR/ a folder of
    /// pictures DIR/CLASS/0000.png: a dataset for `--dataset`, and each DIR/CLASS a folder for `mergan fid`.
    #[arg(short, long, default_value = "samples.png", value_name = "FILE|DIR/")]
    pub out: PathBuf,
    /// The options for the device.
    #[command(flatten)]
    pub device: DeviceArguments,
}

/// The arguments of `mergan export`.
#[derive(Args)]
#[command(after_help = "Examples:\n  mergan export runs/ra --out generator.onnx\n  mergan export \
                        runs/ra/tasks/02/generator.safetensors --out two-classes.onnx")]
pub struct ExportArguments {
    /// A run directory, whose newest generator is used, or a generator.safetensors.
    #[arg(value_name = "DIR|FILE")]
    pub source: PathBuf,
    /// FILE.onnx takes `latent` (N x latent, f32) and `class` (N, i64) and returns `image` (N x C x H x W, from -1 to
    /// 1); FILE.safetensors holds the weights under PyTorch's names and the standing statistics as
    /// `standing.LAYER.mean` and `.variance`.
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
}

/// The arguments of `mergan animate`.
#[derive(Args)]
#[command(after_help = "Example:\n  mergan animate runs/ra --out learning.gif --columns 5")]
pub struct AnimateArguments {
    /// The run directory.
    #[arg(value_name = "DIR")]
    pub run: PathBuf,
    /// The file to write, FILE.gif.
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// Number of latents to show, out of the ten in every sample grid.
    #[arg(long, default_value = "10", value_name = "N")]
    pub columns: NonZeroU32,
    /// Enlarge the pictures: each pixel becomes N x N.
    #[arg(long, default_value = "3", value_name = "N", value_parser = scale())]
    pub scale: usize,
}
