//! A single run of a reproduction: its state, its training and the time that took.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::PathBuf;
use std::process::{Output, Stdio};

use anyhow::{Context, Result, bail, ensure};
use mergan_record::{Config, Error, Event, Layout, events, show_order};

use crate::call::this_program;
use crate::console::Console;
use crate::signals::tie;

use super::orders::Order;

/// The options of `mergan train` that decide a run's result; `config.toml` stores them under the same names.
pub type Identity = [(&'static str, String); 5];

/// Returns the options of one run.
pub fn identity(dataset: &str, strategy: &str, preset: &str, seed: u64, tasks: usize) -> Identity {
    [
        ("dataset", dataset.into()),
        ("strategy", strategy.into()),
        ("preset", preset.into()),
        ("seed", seed.to_string()),
        ("tasks", tasks.to_string()),
    ]
}

/// A run to be made.
pub struct Run {
    /// The prefix of its progress lines.
    pub name: String,
    /// The run directory.
    pub directory: PathBuf,
    /// The options that decide its result.
    pub identity: Identity,
    /// The order in which it learns the classes.
    pub order: Order,
    /// The run whose first task it shares.
    pub first_task: Option<PathBuf>,
    /// The options that say where the data are.
    pub data: Vec<OsString>,
}

/// How far a run has got.
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
    /// Returns how far it has got. A different run in its directory is an error.
    pub fn state(&self) -> Result<State> {
        let run = Layout::new(&self.directory);
        let config = match Config::read(&run.config()) {
            Err(Error::Read { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(State::New),
            config => config?,
        };
        let Config { dataset, strategy, preset, seed, tasks, .. } = &config;
        let asked = self.identity.clone().into_iter().chain([("class order", show_order(self.order.as_deref()))]);
        let found = identity(dataset, strategy, preset, *seed, *tasks).into_iter();
        for ((key, asked), (_, found)) in asked.zip(found.chain([("class order", show_order(config.order()))])) {
            ensure!(
                found == asked,
                "{} is a run of {key} {found}, not of {key} {asked}; choose another folder with --out DIR, or remove this one",
                self.directory.display(),
            );
        }
        Ok(if run.scores(*tasks).is_file() { State::Finished } else { State::Begun })
    }

    /// Trains it to the end with this many threads.
    pub fn train(&self, threads: usize, console: &Console) -> Result<()> {
        let status = self.call(threads, &[], console)?.status;
        match status.code() {
            Some(0) => Ok(()),
            Some(130 | 143) => bail!("training of {} was interrupted; call again and it goes on", self.name),
            _ => bail!("training of {} ended with {status}", self.name),
        }
    }

    /// Estimates how many seconds its training and scoring will take with this many threads.
    pub fn expected_seconds(&self, threads: usize, console: &Console) -> Result<f64> {
        let output = self.call(threads, &["--estimate"], console)?;
        ensure!(output.status.success(), "measuring {} ended with {}", self.name, output.status);
        let answer = String::from_utf8_lossy(&output.stdout);
        answer.trim().parse().with_context(|| format!("mergan train --estimate answered `{answer}`"))
    }

    /// Calls `mergan train` for this run, relays its messages and returns its output.
    fn call(&self, threads: usize, flags: &[&str], console: &Console) -> Result<Output> {
        let mut train = this_program();
        train.args(["train", "--threads", &threads.to_string()]).args(flags).args(&self.data);
        if self.state()? == State::New {
            for (key, value) in &self.identity {
                train.arg(format!("--{key}")).arg(value);
            }
            if let Some(order) = &self.order {
                train.arg("--set").arg(format!("sequence.order={order:?}"));
            }
            train.arg("--run").arg(&self.directory);
            if let Some(first_task) = &self.first_task {
                train.arg("--first-task").arg(first_task);
            }
        } else {
            train.arg("--resume").arg(&self.directory);
        }
        // The child does not write to a terminal, so it prints plain lines, which can be prefixed with a name.
        train.stdout(Stdio::piped()).stderr(Stdio::piped());
        tie(&mut train);
        let mut child = train.spawn().context("starting mergan train")?;
        // Waiting for the child would close its standard input.
        let _lifeline = child.stdin.take();
        let lines = child.stderr.take().map(|stderr| BufReader::new(stderr).lines());
        for line in lines.into_iter().flatten() {
            console.note(format!("[{}] {}", self.name, line.context("reading what mergan train says")?));
        }
        child.wait_with_output().context("waiting for mergan train")
    }

    /// Returns the seconds of training in the tasks from `first` (counted from 1) on.
    pub fn seconds(&self, first: usize) -> Result<f64> {
        let ends = events::read(&Layout::new(&self.directory).events())?.into_iter().filter_map(|event| match event {
            Event::TaskEnd { task, seconds, .. } if task >= first => Some((task, seconds)),
            _ => None,
        });
        // A task that was resumed at its end may have two such events; the later one counts.
        Ok(ends.collect::<BTreeMap<_, _>>().values().sum())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn another_run_in_the_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let run = |preset: &str, tasks| Run {
            name: "ra".into(),
            directory: folder.path().into(),
            identity: identity("mnist", "ra", preset, 0, tasks),
            order: None,
            first_task: None,
            data: Vec::new(),
        };
        assert_eq!(run("quick", 5).state().unwrap(), State::New);
        let config = "dataset = 'mnist'\nstrategy = 'ra'\npreset = 'quick'\nseed = 0\ntasks = 5\n[training]\n";
        fs::write(folder.path().join("config.toml"), config).unwrap();
        assert_eq!(run("quick", 5).state().unwrap(), State::Begun);
        fs::create_dir_all(folder.path().join("tasks/05")).unwrap();
        fs::write(folder.path().join("tasks/05/scores.json"), "{}").unwrap();
        assert_eq!(run("quick", 5).state().unwrap(), State::Finished);

        let refusal = |preset, tasks| run(preset, tasks).state().unwrap_err().to_string();
        let reordered = Run { order: Some(vec![1, 0]), ..run("quick", 5) };
        let message = reordered.state().unwrap_err().to_string();
        assert!(
            message.contains("class order the dataset's own, not of class order [1, 0]; choose another"),
            "{message}"
        );
        assert!(refusal("paper", 5).contains("preset quick, not of preset paper; choose another folder with --out"));
        assert!(refusal("quick", 10).contains("tasks 5, not of tasks 10"));
    }
}
