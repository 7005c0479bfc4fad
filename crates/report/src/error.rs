//! The errors between run directories and a report, each with its remedy.

use mergan_record::Difference;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why a run could not be read or a report could not be written.
#[derive(Debug, Error)]
pub enum Error {
    /// A file of a run directory cannot be read, or is not what a run writes.
    #[error(transparent)]
    Record(#[from] mergan_record::Error),
    /// A PNG cannot be decoded or does not divide into square cells.
    #[error("{}: {reason}; restore the file, or train the run anew", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// The problem that was found.
        reason: String,
    },
    /// A run has not finished and scored its first task.
    #[error(
        "{} has no scored task yet: let its first task finish",
        path.display()
    )]
    NoTask {
        /// The run directory.
        path: PathBuf,
    },
    /// No run was given.
    #[error("a report needs at least one run directory")]
    NoRuns,
    /// Two runs have the same strategy, seed and class order, so a mean over seeds would count one twice.
    #[error(
        "{} and {} are both of strategy {strategy} and seed {seed}: report one of them, or each apart",
        left.display(),
        right.display()
    )]
    Duplicate {
        /// The first run directory.
        left: PathBuf,
        /// The second run directory.
        right: PathBuf,
        /// Their strategy.
        strategy: String,
        /// Their seed.
        seed: u64,
    },
    /// The numbers of two runs were not measured alike.
    #[error("{} and {} cannot be compared: {}", left.display(), right.display(), remedy(source.field))]
    Incomparable {
        /// The first run directory.
        left: PathBuf,
        /// The second run directory.
        right: PathBuf,
        /// The field that differs.
        source: Difference,
    },
    /// A chart could not be drawn.
    #[error("cannot draw the chart of {chart}: {reason}")]
    Chart {
        /// The subject of the chart.
        chart: String,
        /// The plotting library's error.
        reason: String,
    },
    /// A file of the report cannot be written.
    #[error("cannot write {}: check that its folder exists and that the disk has room", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// Returns the remedy for numbers whose cards differ in `field`.
fn remedy(field: &str) -> &'static str {
    match field {
        "network" | "sha256" => {
            "score both by one classifier, with `mergan evaluate DIR --scorer FILE --save` for every task"
        }
        "samples_per_class" => {
            "score both on as many images, with `mergan evaluate DIR --samples N --save` for every task"
        }
        "real_images" => "score both with this version, with `mergan evaluate DIR --save` for every task",
        "order" => {
            "train every strategy in each of the class orders, as `mergan reproduce --orders N` does, or report each order apart"
        }
        _ => "look at them apart, or train one of them again so that they agree",
    }
}
