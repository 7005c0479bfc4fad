//! The arguments of the commands that measure and compare.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use crate::config::{PictureArguments, presets, strategies};
use crate::data::DataArguments;
use crate::device::DeviceArguments;
use crate::inception::{FamilyName, InceptionArguments};

/// The arguments of `mergan evaluate`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  mergan evaluate runs/ra --samples 6400 --json\n  mergan evaluate runs/ra --metrics \
                        fid,kid,prdc --save"
)]
pub struct EvaluateArguments {
    /// The run directory.
    #[arg(value_name = "DIR")]
    pub run: PathBuf,
    /// The generator after this task, counted from 1 [default: the newest].
    #[arg(long, value_name = "T")]
    pub task: Option<usize>,
    /// Number of images of each class [default: as the run was configured].
    #[arg(short = 'n', long, value_name = "N")]
    pub samples: Option<NonZeroUsize>,
    /// The seed of the latents [default: the run's].
    #[arg(long, conflicts_with = "save")]
    pub seed: Option<u64>,
    /// The new location of data that have moved.
    #[arg(long, value_name = "NAME|PATH")]
    pub dataset: Option<String>,
    /// Score although the data differ from those that the run learned from.
    #[arg(long, conflicts_with = "save")]
    pub accept_changed_data: bool,
    /// The classifier that scores [default: the one that scored the run so far].
    #[arg(long, value_name = "FILE")]
    pub scorer: Option<PathBuf>,
    /// Metrics to measure on the features of Inception in addition to the usual scores.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "METRICS")]
    pub metrics: Vec<FamilyName>,
    /// Replace the run's own scores of this task by these. With a different classifier, the scores of all tasks are
    /// replaced, because one classifier scores all tasks of a run.
    #[arg(long)]
    pub save: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// The options for the feature network.
    #[command(flatten)]
    pub inception: InceptionArguments,
    /// The options for the device.
    #[command(flatten)]
    pub device: DeviceArguments,
    /// The options for data locations.
    #[command(flatten)]
    pub data: DataArguments,
}

/// The arguments of `mergan fid`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  mergan fid photos/ samples/ --metrics fid,kid,prdc\n  mergan fid photos/ runs/ra \
                        --samples 1000 --resize torch\n  mergan fid photos/ photos.npz --save-statistics\n  mergan fid \
                        real.npy generated.npy --features --json"
)]
pub struct FidArguments {
    /// Real images: a folder of pictures, an array .npy or .npz of bytes, a prepared file .h5, pytorch-fid's .npz of
    /// statistics, or a run directory.
    #[arg(value_name = "REAL")]
    pub real: PathBuf,
    /// Generated images, in any of these forms.
    #[arg(value_name = "GENERATED")]
    pub generated: PathBuf,
    /// The metrics to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "fid", value_name = "METRICS")]
    pub metrics: Vec<FamilyName>,
    /// Both files already hold features: matrices .npy, one row per sample.
    #[arg(long, conflicts_with_all = ["weights", "resize", "save_statistics", "samples"])]
    pub features: bool,
    /// Measure nothing, but write the statistics of REAL to the second path, in pytorch-fid's format.
    #[arg(long, conflicts_with_all = ["metrics", "json"])]
    pub save_statistics: bool,
    /// Number of images of each class drawn from a run's generator [default: as the run was configured].
    #[arg(short = 'n', long, value_name = "N")]
    pub samples: Option<NonZeroUsize>,
    /// Number of subsets over which KID is averaged.
    #[arg(long, default_value = "100", value_name = "N")]
    pub subsets: NonZeroUsize,
    /// Number of samples in each subset, unless a set has fewer.
    #[arg(long, default_value = "1000", value_name = "N")]
    pub subset_size: NonZeroUsize,
    /// The seed for choosing the subsets.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print JSON: a list of {metric, value, card}.
    #[arg(long)]
    pub json: bool,
    /// The options for which pictures of a folder are taken.
    #[command(flatten)]
    pub pictures: PictureArguments,
    /// The options for the feature network.
    #[command(flatten)]
    pub inception: InceptionArguments,
    /// The options for the device.
    #[command(flatten)]
    pub device: DeviceArguments,
    /// The options for data locations.
    #[command(flatten)]
    pub data: DataArguments,
}

/// The arguments of `mergan compare`.
#[derive(Args)]
#[command(after_help = "Example:\n  mergan compare runs/sft runs/ra")]
pub struct CompareArguments {
    /// The run directories.
    #[arg(required = true, value_name = "DIR")]
    pub runs: Vec<PathBuf>,
    /// Print JSON: an object for each number, with its run and its card.
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `mergan report`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  mergan report runs/sft runs/ra --out runs/report.html\n  mergan report runs/ra --watch"
)]
pub struct ReportArguments {
    /// The run directories.
    #[arg(required = true, value_name = "DIR")]
    pub runs: Vec<PathBuf>,
    /// The page to write; results.json and ledger.md are written beside it.
    #[arg(short, long, default_value = "report.html", value_name = "FILE")]
    pub out: PathBuf,
    /// Print the results as JSON instead of the table.
    #[arg(long)]
    pub json: bool,
    /// Write the page anew whenever the runs have learned more, until all are finished. A browser that shows it loads
    /// it again by itself.
    #[arg(long)]
    pub watch: bool,
}

/// The arguments of `mergan reproduce`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  mergan reproduce mnist\n  mergan reproduce shapes --preset smoke --tasks 2 --out \
                        /tmp/smoke"
)]
pub struct ReproduceArguments {
    /// The dataset: mnist, fashion, svhn or lsun, shapes for a smoke test, or the path of own images.
    #[arg(value_name = "NAME|PATH")]
    pub dataset: String,
    /// The recipe.
    #[arg(long, default_value = "quick", value_name = "NAME", value_parser = presets())]
    pub preset: String,
    /// The strategies, separated by commas.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "sft,ewc,dgr,jtr,ra,jt",
        value_name = "NAMES",
        value_parser = strategies()
    )]
    pub strategies: Vec<String>,
    /// Number of seeds: 0, 1, ...
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=i64::MAX as u64))]
    pub seeds: u64,
    /// Number of orders in which the classes are learned, each with every seed: the dataset's own order, then random ones
    /// of the same classes, which are the same in every call.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000), value_name = "N")]
    pub orders: u16,
    /// Number of tasks, of one class each [default: 10, and 4 of lsun].
    #[arg(long, value_name = "N")]
    pub tasks: Option<usize>,
    /// The output directory [default: runs/reproduce-DATASET, and runs/reproduce-DATASET-PRESET of other presets than
    /// quick].
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The options for data locations.
    #[command(flatten)]
    pub data: DataArguments,
}
