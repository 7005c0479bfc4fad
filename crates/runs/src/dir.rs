//! The layout of a run directory, and the lock that keeps a second process out of it.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use mergan_strategies::Config;

use crate::error::{At, Error};

/// A run directory, which need not exist yet.
#[derive(Clone, Debug)]
pub struct RunDir {
    root: PathBuf,
}

const LOCK: &str = ".lock";
const CHECKPOINTS: &str = "checkpoint";
const EVENTS: &str = "events.jsonl";
const FRAMES: &str = "frames";

impl RunDir {
    /// The run directory at `root`.
    pub fn new(root: &Path) -> Self {
        RunDir { root: root.into() }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Everything that decides the result. It is written last when a run starts: a directory without it has not started.
    pub fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// One line an event.
    pub fn events(&self) -> PathBuf {
        self.root.join(EVENTS)
    }

    /// Real images, one row a class.
    pub fn real(&self) -> PathBuf {
        self.root.join("real.png")
    }

    /// TensorBoard's log, where one was asked for.
    pub fn tensorboard(&self) -> PathBuf {
        self.root.join("tensorboard")
    }

    /// The directory of checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join(CHECKPOINTS)
    }

    /// What is left of a task (counted from 1) when it is learned.
    pub fn task(&self, task: usize) -> PathBuf {
        self.root.join(format!("tasks/{task:02}"))
    }

    /// The sample grids on the way.
    pub fn frames(&self) -> PathBuf {
        self.root.join(FRAMES)
    }

    /// One of them; tasks and iterations are counted from 1.
    pub fn frame(&self, task: usize, iteration: usize) -> PathBuf {
        self.frames().join(format!("{task:02}-{iteration:06}.png"))
    }

    /// The generator after a task.
    pub fn generator(&self, task: usize) -> PathBuf {
        self.task(task).join("generator.safetensors")
    }

    /// Samples of that generator, one row a class.
    pub fn samples(&self, task: usize) -> PathBuf {
        self.task(task).join("samples.png")
    }

    /// Its scores, written last: a task with scores is finished.
    pub fn scores(&self, task: usize) -> PathBuf {
        self.task(task).join("scores.json")
    }

    /// The classifier that scores a run which was extended.
    pub fn scorer(&self) -> PathBuf {
        self.root.join("scorer.safetensors")
    }

    /// The last task that left a generator.
    pub fn newest_task(&self) -> Result<usize, Error> {
        let tasks = fs::read_dir(self.root.join("tasks")).into_iter().flatten().flatten();
        let numbers = tasks.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let newest = numbers.filter(|&task| self.generator(task).is_file()).max();
        newest.ok_or_else(|| {
            let root = self.root.display();
            Error::run(
                &self.root,
                format!("{root} holds no finished task yet; give a run directory that `mergan train` wrote"),
            )
        })
    }

    /// The newest generator, where `source` is a run directory, else `source` itself.
    pub fn generator_of(source: &Path) -> Result<PathBuf, Error> {
        if !source.is_dir() {
            return Ok(source.into());
        }
        let run = RunDir::new(source);
        Ok(run.generator(run.newest_task()?))
    }

    /// Reads the configuration.
    pub fn read_config(&self) -> Result<Config, Error> {
        let path = self.config();
        let text = fs::read_to_string(&path).map_err(|source| Error::NoRun { path: path.clone(), source })?;
        Ok(Config::parse(&text, &path.display().to_string())?)
    }

    /// Refuses a directory in which something else than a start that was cut short lies.
    pub fn require_unused(&self) -> Result<(), Error> {
        if !self.root.exists() {
            return Ok(());
        }
        for entry in fs::read_dir(&self.root).at("reading", &self.root)? {
            let name = entry.at("reading", &self.root)?.file_name();
            // A file that was being written has a temporary name, which starts with a dot as the lock's does.
            let hidden = name.as_encoded_bytes().starts_with(b".");
            if !hidden && ![CHECKPOINTS, EVENTS, FRAMES].iter().any(|start| name == *start) {
                let root = self.root.display();
                let reason = format!(
                    "the run directory {root} exists already; go on with it by `mergan train --resume {root}`, or choose \
                     another one"
                );
                return Err(Error::run(&self.root, reason));
            }
        }
        Ok(())
    }

    /// Makes the directory where there is none.
    pub fn create(&self) -> Result<(), Error> {
        [self.checkpoints(), self.frames()].iter().try_for_each(|path| make_folder(path))
    }

    /// Takes over the sample grids of another run, whose first and only task this one shares.
    pub fn take_frames(&self, other: &RunDir) -> Result<(), Error> {
        for entry in fs::read_dir(other.frames()).into_iter().flatten().flatten() {
            let to = self.frames().join(entry.file_name());
            fs::copy(entry.path(), &to).at("writing", &to)?;
        }
        Ok(())
    }

    /// Removes what processes that were killed while they wrote have left under temporary names.
    pub fn sweep(&self) -> Result<(), Error> {
        let entries = |folder: &Path| -> Result<Vec<PathBuf>, Error> {
            let entries = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
            entries.at("reading", folder)
        };
        let mut folders = vec![self.root.clone(), self.frames()];
        if self.root.join("tasks").is_dir() {
            folders.extend(entries(&self.root.join("tasks"))?);
        }
        for path in folders.iter().map(|folder| entries(folder)).collect::<Result<Vec<_>, _>>()?.concat() {
            let name = path.file_name().unwrap_or_default();
            if name.as_encoded_bytes().starts_with(b".") && name != LOCK {
                fs::remove_file(&path).at("removing", &path)?;
            }
        }
        Ok(())
    }

    /// Keeps other processes from training here until the returned file is dropped, or this process ends.
    pub fn lock(&self) -> Result<File, Error> {
        let path = self.root.join(LOCK);
        let file = File::create(&path).at("writing", &path)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::Error(source)) => Err(source).at("locking", &path),
            Err(TryLockError::WouldBlock) => {
                let root = self.root.display();
                let reason =
                    format!("another process is training in {root}; wait for it, or choose another run directory");
                Err(Error::run(&self.root, reason))
            }
        }
    }
}

/// Makes a folder and those above it, where they are not there.
pub(crate) fn make_folder(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).at("making the directory", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_that_was_cut_short_may_start_again() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::new(folder.path());
        run.create().unwrap();
        for left in [LOCK, EVENTS, ".config.toml.a1b2c3"] {
            fs::write(folder.path().join(left), "").unwrap();
        }
        run.require_unused().unwrap();
        fs::write(run.config(), "").unwrap();
        assert!(run.require_unused().unwrap_err().to_string().contains("exists already"));
    }
}
