//! The command line: all commands and options, with an example for each command.

mod pictures;
mod scores;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::{ConfigArguments, ImageArguments, PictureArguments};
use crate::console::Verbosity;
use crate::data::DataArguments;
use crate::device::DeviceArguments;
use crate::exit::ExitCode;
pub use pictures::{AnimateArguments, ExportArguments, SampleArguments};
pub use scores::{CompareArguments, EvaluateArguments, FidArguments, ReportArguments, ReproduceArguments};

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
mod tests;
