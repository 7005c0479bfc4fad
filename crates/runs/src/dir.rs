//! A run directory: whether it may be used, what is cleaned up in it, and the lock that keeps other processes out.

use std::ffi::OsStr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::{fs, io};

use mergan_files::LockFile;
use mergan_record::metric::ACCURACY;
use mergan_record::{Layout, Owner, TaskScores, quoted};
use mergan_strategies::Config;

use crate::error::{At, Error};

/// A run directory, which need not exist yet: a [`Layout`], and the operations of a run on the directory itself.
#[derive(Clone, Debug)]
pub struct RunDir(Layout);

impl Deref for RunDir {
    type Target = Layout;

    fn deref(&self) -> &Layout {
        &self.0
    }
}

impl RunDir {
    /// Refers to the run directory at `root`.
    pub fn new(root: &Path) -> Self {
        RunDir(Layout::new(root))
    }

    /// Returns the sample grids that were written while the run was trained, in that order, without hidden files.
    ///
    /// # Errors
    /// When their folder is missing or cannot be read.
    pub fn frame_grids(&self) -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(self.frames())?.map(|entry| Ok(entry?.path()));
        let mut grids = entries.collect::<io::Result<Vec<_>>>()?;
        let is_grid = |name: &str| name.ends_with(".png") && !name.starts_with('.');
        grids.retain(|path| path.file_name().and_then(OsStr::to_str).is_some_and(is_grid));
        // The names sort in the order of training.
        grids.sort();
        Ok(grids)
    }

    /// Returns the last task that left a generator.
    pub fn newest_task(&self) -> Result<usize, Error> {
        let tasks = fs::read_dir(self.tasks()).into_iter().flatten().flatten();
        let numbers = tasks.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let newest = numbers.filter(|&task| self.generator(task).is_file()).max();
        newest.ok_or_else(|| {
            let root = self.root().display();
            Error::run(
                self.root(),
                format!("{root} holds no finished task yet; give a run directory that `mergan train` wrote"),
            )
        })
    }

    /// Returns the newest generator if `source` is a run directory, else `source` itself.
    pub fn generator_of(source: &Path) -> Result<PathBuf, Error> {
        if !source.is_dir() {
            return Ok(source.into());
        }
        let run = RunDir::new(source);
        Ok(run.generator(run.newest_task()?))
    }

    /// Returns the SHA-256 of the classifier that scored a task; `None` if the task has no scores.
    ///
    /// # Errors
    /// When the scores cannot be read.
    pub fn scored_by(&self, task: usize) -> Result<Option<String>, Error> {
        if !self.scores(task).exists() {
            return Ok(None);
        }
        let scores = TaskScores::read(self, task)?;
        Ok(scores.get(ACCURACY, None).and_then(|score| score.card.sha256.clone()))
    }

    /// Reads the configuration.
    pub fn read_config(&self) -> Result<Config, Error> {
        let path = self.config();
        let text = fs::read_to_string(&path).map_err(|source| Error::NoRun { path: path.clone(), source })?;
        Ok(Config::parse(&text, &path.display().to_string())?)
    }

    /// Refuses a directory that holds more of a run than an interrupted start leaves behind. Files that do not belong
    /// to a run are allowed.
    pub fn require_unused(&self) -> Result<(), Error> {
        let root = self.root();
        if !root.exists() {
            return Ok(());
        }
        // The configuration, which makes it a run, is written last.
        let left = [self.events(), self.checkpoints(), self.frames(), self.data()];
        for entry in fs::read_dir(root).at("reading", root)? {
            let path = entry.at("reading", root)?.path();
            if self.owner(&path) == Owner::Run && !left.contains(&path) && !self.is_lock(&path) {
                let reason = format!(
                    "the run directory {root} exists already; go on with it by `mergan train --resume {again}`, or choose \
                     another one",
                    root = root.display(),
                    again = quoted(&root.display())
                );
                return Err(Error::run(root, reason));
            }
        }
        Ok(())
    }

    /// Creates the directory if it does not exist.
    pub fn create(&self) -> Result<(), Error> {
        [self.checkpoints(), self.frames()].iter().try_for_each(|path| make_folder(path))
    }

    /// Copies the sample grids of another run, whose first and only task this one shares.
    pub fn take_frames(&self, other: &RunDir) -> Result<(), Error> {
        for entry in fs::read_dir(other.frames()).into_iter().flatten().flatten() {
            let to = self.frames().join(entry.file_name());
            fs::copy(entry.path(), &to).at("writing", &to)?;
        }
        Ok(())
    }

    /// Removes temporary files left by processes that were killed while writing.
    pub fn sweep(&self) -> Result<(), Error> {
        self.unfinished()?.iter().try_for_each(|path| fs::remove_file(path).at("removing", path))
    }

    /// Keeps other processes from training here until the returned lock is dropped or this process ends.
    pub fn lock(&self) -> Result<LockFile, Error> {
        let path = self.lock_file();
        LockFile::try_lock(&path).at("locking", &path)?.ok_or_else(|| {
            let root = self.root().display();
            let reason = format!("another process is training in {root}; wait for it, or choose another run directory");
            Error::run(self.root(), reason)
        })
    }
}

/// Creates a folder and its parents if they do not exist.
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
        for left in [run.lock_file(), run.events(), run.data(), folder.path().join(".config.toml.a1b2c3")] {
            fs::write(left, "").unwrap();
        }
        run.require_unused().unwrap();
        fs::write(run.config(), "").unwrap();
        assert!(run.require_unused().unwrap_err().to_string().contains("exists already"));
    }

    #[test]
    fn other_peoples_files_are_neither_in_the_way_nor_removed() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::new(folder.path());
        let write = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            path
        };
        let others =
            [".git/config", ".env", ".gitignore", "notes.txt", ".ipynb_checkpoints/a", "frames/.env"].map(write);
        run.require_unused().unwrap();
        let kept = ["config.toml", ".lock", "tasks/03/.env", "tasks/03/scores.json"].map(write);
        let left = [".config.toml.a1b2c3", "frames/.01-000001.png.a1b2c3", "tasks/03/.scores.json.a1b2c3"].map(write);
        run.sweep().unwrap();
        assert!(others.iter().chain(&kept).all(|path| path.is_file()) && !left.iter().any(|path| path.exists()));
    }
}
