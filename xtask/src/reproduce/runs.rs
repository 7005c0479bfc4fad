//! One run of a reproduction: whether it is finished, training it, and the time it took.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cargo::root;

/// A run to be made.
pub struct Run {
    /// What its progress lines begin with.
    pub name: String,
    /// The run directory.
    pub directory: PathBuf,
    /// What `mergan train` is given for a new run, besides the directory.
    pub options: Vec<OsString>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has not started.
    New,
    /// It was stopped.
    Begun,
    /// All its tasks are scored.
    Finished,
}

impl Run {
    /// How far it is.
    pub fn state(&self) -> State {
        let Ok(config) = fs::read_to_string(self.directory.join("config.toml")) else {
            return State::New;
        };
        let tasks = config.lines().find_map(|line| line.strip_prefix("tasks = ")?.trim().parse::<usize>().ok());
        let scored = |task: usize| self.directory.join(format!("tasks/{task:02}/scores.json")).is_file();
        if tasks.is_some_and(scored) { State::Finished } else { State::Begun }
    }

    /// Trains it to the end with this many threads, and relays what the training says.
    pub fn train(&self, mergan: &Path, threads: usize) -> Result<()> {
        let mut train = Command::new(mergan);
        // The data's cache is in the clone.
        train.current_dir(root()).args(["train", "--threads", &threads.to_string()]);
        match self.state() {
            State::New => train.args(&self.options).arg("--run").arg(&self.directory),
            State::Begun | State::Finished => train.arg("--resume").arg(&self.directory),
        };
        // Not a terminal for the child: it writes plain lines, which take a name in front.
        let mut child = train.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().context("starting mergan train")?;
        let lines = child.stderr.take().map(|stderr| BufReader::new(stderr).lines());
        for line in lines.into_iter().flatten() {
            println!("[{}] {}", self.name, line.context("reading what mergan train says")?);
        }
        let status = child.wait().context("waiting for mergan train")?;
        ensure!(status.success(), "training of {} ended with {status}; call again and it goes on", self.name);
        Ok(())
    }

    /// Seconds of training in the tasks from `first` (counted from 1) on.
    pub fn seconds(&self, first: u64) -> Result<f64> {
        let path = self.directory.join("events.jsonl");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let ends = events.filter(|event| event["event"] == "task_end" && event["task"].as_u64() >= Some(first));
        // A task that was resumed at its end may have ended twice; the later line counts.
        let seconds = ends.filter_map(|end| Some((end["task"].as_u64()?, end["seconds"].as_f64()?)));
        Ok(seconds.collect::<std::collections::BTreeMap<_, _>>().values().sum())
    }
}
