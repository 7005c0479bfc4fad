//! The command line: all commands and options, with an example for each command.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::{ConfigArguments, ImageArguments, PictureArguments, presets, strategies};
use crate::console::Verbosity;
use crate::data::DataArguments;
use crate::device::DeviceArguments;
use crate::exit::ExitCode;
use crate::inception::{FamilyName, InceptionArguments};

/// The exit codes, on which scripts may rely.
const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    an error, which the standard error names; of doctor, something needs a person
  2    the command line was not understood
  130  training was interrupted by Ctrl-C at a checkpoint and can go on
  143  the same by SIGTERM";

/// The variables of the environment that the command reads.
const ENVIRONMENT: &str = "\
Environment variables:
  MERGAN_DATA            the cache of downloads and scoring classifiers, unless --cache is given
  MERGAN_SIMD            the vector instructions: portable, avx2, avx512 or neon
  MERGAN_CUDA_GRAPHS=0   launch a GPU's kernels one by one instead of as CUDA graphs
  NO_COLOR               print no colours

";

/// Memory Replay GANs: generators that learn one category after another without forgetting.
#[derive(Parser)]
#[command(name = "mergan", version, arg_required_else_help = true, after_help = [ENVIRONMENT, EXIT_CODES].concat())]
pub struct Arguments {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
    /// Number of threads, up to 1024 [default: one for each core, not for each hardware thread]. Results do not depend
    /// on it.
    #[arg(short = 'j', long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Print more detail about what is done.
    #[arg(short, long, global = true, action = ArgAction::SetTrue, conflicts_with = "quiet")]
    verbose: bool,
    /// Print nothing but results and errors.
    #[arg(short, long, global = true, action = ArgAction::SetTrue)]
    quiet: bool,
}

impl Arguments {
    /// Returns how much is printed besides results.
    pub fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        }
    }
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// See in a minute what forgetting is: three generators learn three shapes one after another.
    Demo(DemoArguments),
    /// List, fetch and describe datasets.
    Data(DataCommand),
    /// Show the configuration of a run without starting it.
    Config(ConfigCommand),
    /// Train one strategy on a sequence of tasks, or resume a run that was stopped.
    Train(Box<TrainArguments>),
    /// Show runs on the terminal while they are trained: losses, accuracy of the past, samples.
    Watch(WatchArguments),
    /// Teach a finished run one more class, without the earlier data.
    Extend(ExtendArguments),
    /// Draw images from a trained generator.
    Sample(SampleArguments),
    /// Write a trained generator for other programs: as ONNX, or as safetensors that PyTorch reads.
    Export(ExportArguments),
    /// Score a trained generator with a classifier of real images.
    Evaluate(EvaluateArguments),
    /// Measure how far generated images are from real ones: FID, KID, precision, recall, density and coverage.
    Fid(FidArguments),
    /// Print the numbers of runs side by side; numbers that were not measured alike are refused.
    Compare(CompareArguments),
    /// Report on runs: results.json, ledger.md and a page that opens offline.
    Report(ReportArguments),
    /// Train the strategies on a dataset, score them, and compare the results with the paper's.
    Reproduce(ReproduceArguments),
    /// Show how a run learned, as an animated GIF.
    Animate(AnimateArguments),
    /// Compare the results of a device with f64: every operation, at small shapes and at those of the networks.
    Selftest(SelftestArguments),
    /// Show what this machine has: processor, GPU, disk, data and scoring classifiers with their checksums.
    Doctor(DoctorArguments),
    /// Print a script with which a shell completes this command's arguments.
    Completions(CompletionsArguments),
    /// Write manual pages.
    Man(ManArguments),
}

/// The arguments of `mergan demo`.
#[derive(Args)]
#[command(after_help = "Example:\n  mergan demo --out /tmp/demo")]
pub struct DemoArguments {
    /// The output directory. If it holds an unfinished demo, that goes on.
    #[arg(short, long, default_value = "mergan-demo", value_name = "DIR")]
    pub out: PathBuf,
    /// One value that replaces the preset's, such as training.iterations=200; may be given several times.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// The options for the device.
    #[command(flatten)]
    pub device: DeviceArguments,
    /// The options for data locations.
    #[command(flatten)]
    pub data: DataArguments,
}

/// The arguments of `mergan data`.
#[derive(Args)]
#[command(after_help = "Example:\n  mergan data fetch mnist")]
pub struct DataCommand {
    /// The subcommand.
    #[command(subcommand)]
    pub question: DataQuestion,
}

/// The subcommands of `mergan data`.
#[derive(Subcommand)]
pub enum DataQuestion {
    /// List the datasets.
    #[command(after_help = "Example:\n  mergan data list --json")]
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// The options for data locations.
        #[command(flatten)]
        data: DataArguments,
    },
    /// Download and verify a dataset, or the weights of the network that defines FID (inception).
    #[command(after_help = "Examples:\n  mergan data fetch mnist --cache /data/mergan\n  mergan data fetch inception")]
    Fetch {
        /// The dataset.
        name: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// The options for data locations.
        #[command(flatten)]
        data: DataArguments,
    },
    /// Prepare a dataset: decode its images into one HDF5 file, which every command accepts in place of a dataset's
    /// name.
    #[command(
        after_help = "Examples:\n  mergan data convert pets pets.h5 --side 64 --skip-bad\n  mergan data convert lsun \
                            lsun.h5 --limit 100000"
    )]
    Convert {
        /// The dataset: its name or its path.
        #[arg(value_name = "NAME|PATH")]
        name: String,
        /// The file to write.
        #[arg(value_name = "OUT.h5")]
        out: PathBuf,
        /// The options for own images.
        #[command(flatten)]
        images: ImageArguments,
        /// The options for data locations.
        #[command(flatten)]
        data: DataArguments,
    },
    /// Open a prepared file, for the process that started this one: HDF5's library may crash on a damaged file.
    #[command(hide = true)]
    Look {
        /// The file.
        path: PathBuf,
    },
    /// Describe a dataset.
    #[command(after_help = "Examples:\n  mergan data info mnist\n  mergan data info pets --side 64")]
    Info {
        /// The dataset: its name, or the path of a folder with one subfolder of pictures per class, of a folder with
        /// the files of SVHN or LSUN, or of a prepared file.
        #[arg(value_name = "NAME|PATH")]
        name: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// The options for own images.
        #[command(flatten)]
        images: ImageArguments,
        /// The options for data locations.
        #[command(flatten)]
        data: DataArguments,
    },
}

/// The arguments of `mergan train`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  mergan train --dataset mnist --strategy ra --tasks 5 --run runs/ra\n  mergan train \
                        --resume runs/ra"
)]
pub struct TrainArguments {
    /// Resume the run in this directory, to the same bits as if it had never stopped.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["run", "first_task", "ConfigArguments", "ImageArguments"])]
    pub resume: Option<PathBuf>,
    /// The dataset: its name (`mergan data list` shows them), the path of a folder with one subfolder of pictures per
    /// class, or the path of a prepared file (`mergan data convert`). With --resume, the new location of data that
    /// have moved.
    #[arg(long, required_unless_present_any = ["resume", "config"], value_name = "NAME|PATH")]
    pub dataset: Option<String>,
    /// The directory of a new run, which may hold other files, but no run.
    #[arg(long, required_unless_present = "resume", value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// The run whose first task this one shares instead of training it: a run of one task with the same seed.
    #[arg(long, value_name = "DIR")]
    pub first_task: Option<PathBuf>,
    /// Continue although the data differ from those that the run began to learn from; its log and report will say so.
    #[arg(long, requires = "resume")]
    pub accept_changed_data: bool,
    /// Train nothing, but print how many seconds training and scoring will take.
    #[arg(long)]
    pub estimate: bool,
    /// Print the estimate as JSON.
    #[arg(long, requires = "estimate")]
    pub json: bool,
    /// The classifier that scores [default: one trained on the dataset, kept in the cache].
    #[arg(long, value_name = "FILE")]
    pub scorer: Option<PathBuf>,
    /// Save a checkpoint every N iterations, in addition to every minute and at the end of each task.
    #[arg(long, value_name = "N")]
    pub checkpoint_every: Option<NonZeroUsize>,
    /// Also write TensorBoard's event files, into the run's folder `tensorboard`.
    #[arg(long)]
    pub tensorboard: bool,
    /// The options that decide the result.
    #[command(flatten)]
    pub config: ConfigArguments,
    /// The options for own images.
    #[command(flatten)]
    pub images: ImageArguments,
    /// The options for the device.
    #[command(flatten)]
    pub device: DeviceArguments,
    /// The options for data locations.
    #[command(flatten)]
    pub data: DataArguments,
}

/// The arguments of `mergan watch`.
#[derive(Args)]
#[command(after_help = "Examples:\n  mergan watch runs/ra\n  mergan watch runs/sft runs/ra")]
pub struct WatchArguments {
    /// The run directories, which are only read.
    #[arg(required = true, value_name = "DIR")]
    pub runs: Vec<PathBuf>,
}

/// The arguments of `mergan config`.
#[derive(Args)]
#[command(after_help = "Example:\n  mergan config show --dataset mnist --strategy ra")]
pub struct ConfigCommand {
    /// The subcommand.
    #[command(subcommand)]
    pub question: ConfigQuestion,
}

/// The subcommands of `mergan config`.
#[derive(Subcommand)]
pub enum ConfigQuestion {
    /// Print the configuration that `mergan train` would use, as TOML with a comment on each value.
    #[command(
        after_help = "Examples:\n  mergan config show --dataset mnist --strategy ra\n  mergan config show --preset \
                            paper --dataset pets --strategy jtr --set training.batch=32 > pets.toml"
    )]
    Show {
        /// The dataset: its name, or its path.
        #[arg(long, required_unless_present = "config", value_name = "NAME|PATH")]
        dataset: Option<String>,
        /// The options that decide the result.
        #[command(flatten)]
        config: ConfigArguments,
        /// The options for own images.
        #[command(flatten)]
        images: ImageArguments,
        /// The options for data locations.
        #[command(flatten)]
        data: DataArguments,
    },
}

/// The arguments of `mergan extend`.
#[derive(Args)]
#[command(after_help = "Example:\n  mergan extend runs/ra --name zebra --images pictures/zebras")]
pub struct ExtendArguments {
    /// The finished run, which stays as it is.
    #[arg(value_name = "DIR")]
    pub run: PathBuf,
    /// The name of the new class. If the dataset has a class of this name that the run has not learned, that class is
    /// meant.
    #[arg(long)]
    pub name: String,
    /// The folder of its pictures.
    #[arg(long, value_name = "FOLDER")]
    pub images: PathBuf,
    /// The new location of the run's dataset, if it has moved.
    #[arg(long, value_name = "NAME|PATH")]
    pub dataset: Option<String>,
    /// The directory of the extended run, which must not exist [default: DIR-NAME].
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
    /// At most this many pictures, taken from the start.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// The options for which pictures are taken.
    #[command(flatten)]
    pub pictures: PictureArguments,
    /// Save a checkpoint every N iterations, in addition to every minute and at the end.
    #[arg(long, value_name = "N")]
    pub checkpoint_every: Option<NonZeroUsize>,
    /// The options for the device.
    #[command(flatten)]
    pub device: DeviceArguments,
    /// The options for data locations.
    #[command(flatten)]
    pub data: DataArguments,
}

impl ExtendArguments {
    /// Returns the arguments with which the extended run is trained.
    pub fn training(&self) -> TrainArguments {
        let (checkpoint_every, device, data) = (self.checkpoint_every, self.device.clone(), self.data.clone());
        TrainArguments {
            resume: None,
            dataset: None,
            run: None,
            first_task: None,
            config: ConfigArguments::default(),
            images: ImageArguments::default(),
            accept_changed_data: false,
            estimate: false,
            json: false,
            scorer: None,
            checkpoint_every,
            tensorboard: false,
            device,
            data,
        }
    }
}

/// Returns the parser of an enlargement, which keeps pictures at sizes that can be seen and written.
fn scale() -> impl TypedValueParser<Value = usize> {
    clap::value_parser!(u64).range(1..=16).map(|scale| scale as usize)
}

/// Returns clap's error for a missing argument that clap itself cannot know to be required.
pub fn missing(argument: &str) -> clap::Error {
    let text = format!("the following required arguments were not provided:\n  {argument}");
    Arguments::command().error(ErrorKind::MissingRequiredArgument, text)
}

/// Prints what clap answers: what was not understood, or the help or version that was asked for.
pub fn answer(answer: &clap::Error) -> ExitCode {
    // There is nobody to tell if this cannot be printed.
    let _ = answer.print();
    ExitCode(answer.exit_code().try_into().unwrap_or(ExitCode::FAILURE.0))
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

/// The arguments of `mergan selftest`.
#[derive(Args)]
#[command(after_help = "Example:\n  mergan selftest --device cuda:0")]
pub struct SelftestArguments {
    /// The options for the device.
    #[command(flatten)]
    pub device: DeviceArguments,
}

/// The arguments of `mergan doctor`.
#[derive(Args)]
#[command(after_help = "Example:\n  mergan doctor --json")]
pub struct DoctorArguments {
    /// Print JSON: an object for each finding, with its state: fine, absent or fault.
    #[arg(long)]
    pub json: bool,
    /// The options for data locations.
    #[command(flatten)]
    pub data: DataArguments,
}

/// The arguments of `mergan completions`.
#[derive(Args)]
#[command(after_help = "Example:\n  mergan completions bash > ~/.local/share/bash-completion/completions/mergan")]
pub struct CompletionsArguments {
    /// The shell.
    pub shell: Shell,
}

/// The arguments of `mergan man`.
#[derive(Args)]
#[command(after_help = "Example:\n  mergan man --out ~/.local/share/man/man1")]
pub struct ManArguments {
    /// The folder to write the pages to.
    #[arg(short, long, value_name = "DIR")]
    pub out: PathBuf,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Returns the options of a group that several commands have, and their heading.
    fn group<A: Args>() -> BTreeMap<String, String> {
        let command = A::augment_args(clap::Command::new("group"));
        let headed = command
            .get_arguments()
            .filter_map(|argument| Some((argument.get_id().to_string(), argument.get_help_heading()?.to_string())));
        headed.collect()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn no_option_stands_below_the_heading_of_others() {
        let groups = [
            group::<ConfigArguments>(),
            group::<ImageArguments>(),
            group::<InceptionArguments>(),
            group::<DeviceArguments>(),
            group::<DataArguments>(),
        ];
        let known: BTreeMap<_, _> = groups.into_iter().flatten().collect();
        let mut commands = vec![Arguments::command()];
        let mut headed = 0;
        while let Some(command) = commands.pop() {
            for argument in command.get_arguments() {
                if let Some(heading) = argument.get_help_heading() {
                    let name = argument.get_id().to_string();
                    assert_eq!(known.get(&name).map(String::as_str), Some(heading), "{} --{name}", command.get_name());
                    headed += 1;
                }
            }
            commands.extend(command.get_subcommands().cloned());
        }
        assert!(headed > 50, "{headed} options have a heading");
    }

    #[test]
    fn every_command_in_the_documents_is_understood() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
        let documents = ["README.md", "crates/cli/README.md"].map(String::from).into_iter();
        let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().file_name());
        let docs = docs.map(|name| format!("docs/{}", name.to_string_lossy())).filter(|name| name.ends_with(".md"));
        let mut understood = 0;
        for document in documents.chain(docs) {
            let text = read(&document);
            for line in text.lines().map(str::trim).filter(|line| line.starts_with("mergan ")) {
                // What a shell would take away.
                let command = line.split(" > ").next().unwrap_or(line);
                if let Err(error) = Arguments::try_parse_from(command.split_whitespace()) {
                    panic!("{document}: `{line}`: {error}");
                }
                understood += 1;
            }
        }
        assert!(understood > 40, "the documents have only {understood} commands");
    }
}
