//! Why a file of a run cannot be read: the file, the place and the remedy.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a file of a run cannot be read.
#[derive(Debug, Error)]
pub enum Error {
    /// The file cannot be opened, or is not text.
    #[error("cannot read {}: give a run directory that `mergan train` wrote", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// `config.toml` is not TOML or lacks one of the keys of [`Config`](crate::Config).
    #[error(
        "{} is no run configuration: the keys strategy, preset, seed, dataset and tasks are needed",
        path.display()
    )]
    Config {
        /// The file.
        path: PathBuf,
        /// The line, the column and what was expected.
        source: Box<toml::de::Error>,
    },
    /// `config.toml` does not fit the checksum in its last line.
    #[error(
        "{} was damaged or changed since it was written: its checksum does not hold; restore it from a copy, or let \
         `mergan train --resume` of this run say which line differs", path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A line of `events.jsonl` is not an event.
    #[error("{} line {line} is no event: remove the line, or resume the run to write it anew", path.display())]
    Event {
        /// The file.
        path: PathBuf,
        /// The number of the line, counted from 1.
        line: usize,
        /// The parser's error.
        source: serde_json::Error,
    },
    /// The scores of a task are not what an evaluation writes, or are incomplete.
    #[error("{}: {reason}; score the task again with `mergan evaluate --task T --save`", path.display())]
    Scores {
        /// The file.
        path: PathBuf,
        /// The problem, with the line if there is one.
        reason: String,
    },
}

impl Error {
    /// Says that the checksum of a file of results does not hold.
    pub(crate) fn broken(path: PathBuf) -> Self {
        Error::Scores { path, reason: "it was damaged since it was written: its checksum does not hold".into() }
    }

    /// Adds the name of the file to an error of the system.
    pub fn reading(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Error::Read { path, source }
    }
}
