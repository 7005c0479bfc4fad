//! The layout of a run's files.

use std::path::{Path, PathBuf};

use crate::Position;

/// The paths of a run's files. None of them need exist yet.
///
/// ```
/// use mergan_record::Layout;
/// use std::path::Path;
///
/// let run = Layout::new("runs/ra");
/// assert_eq!(run.scores(3), Path::new("runs/ra/tasks/03/scores.json"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Returns the paths in the run directory `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Layout { root: root.into() }
    }

    /// The run directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Everything that decides the result: see [`Config`](crate::Config). This file is written last when a run
    /// starts, so a directory without it has not started.
    pub fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// The fingerprint of the data that the run learns from.
    pub fn data(&self) -> PathBuf {
        self.root.join("data.json")
    }

    /// The log, with one [`Event`](crate::Event) per line.
    pub fn events(&self) -> PathBuf {
        self.root.join("events.jsonl")
    }

    /// Real images, one row per class.
    pub fn real(&self) -> PathBuf {
        self.root.join("real.png")
    }

    /// The classifier that scores a run that was extended.
    pub fn scorer(&self) -> PathBuf {
        self.root.join("scorer.safetensors")
    }

    /// The file whose lock keeps a second process from training the run.
    pub fn lock_file(&self) -> PathBuf {
        self.root.join(".lock")
    }

    /// Returns whether a path is that of the lock file, or of the file that stands for its lock on a file system
    /// without locks.
    pub fn is_lock(&self, path: &Path) -> bool {
        [self.lock_file(), self.root.join(".lock.holder")].iter().any(|lock| lock == path)
    }

    /// TensorBoard's log, if one was requested.
    pub fn tensorboard(&self) -> PathBuf {
        self.root.join("tensorboard")
    }

    /// The directory of checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoint")
    }

    /// The checkpoint of a position.
    pub fn checkpoint(&self, position: Position) -> PathBuf {
        self.checkpoints().join(position.file_name())
    }

    /// The directory of the sample grids drawn during training.
    pub fn frames(&self) -> PathBuf {
        self.root.join("frames")
    }

    /// A sample grid; tasks and iterations are counted from 1.
    pub fn frame(&self, task: usize, iteration: usize) -> PathBuf {
        self.frames().join(format!("{task:02}-{iteration:06}.png"))
    }

    /// The directory of the tasks' results.
    pub fn tasks(&self) -> PathBuf {
        self.root.join("tasks")
    }

    /// The results of a task (counted from 1) that has been learned.
    pub fn task(&self, task: usize) -> PathBuf {
        self.tasks().join(format!("{task:02}"))
    }

    /// The generator after a task.
    pub fn generator(&self, task: usize) -> PathBuf {
        self.task(task).join("generator.safetensors")
    }

    /// Samples of that generator, one row per class.
    pub fn samples(&self, task: usize) -> PathBuf {
        self.task(task).join("samples.png")
    }

    /// The task's [`TaskScores`](crate::TaskScores), written last: a task with scores is finished.
    pub fn scores(&self, task: usize) -> PathBuf {
        self.task(task).join("scores.json")
    }

    /// The [`Embedding`](crate::Embedding) of the task's images, if it was measured.
    pub fn embedding(&self, task: usize) -> PathBuf {
        self.task(task).join("embedding.json")
    }

    /// The [`Neighbours`](crate::Neighbours) of the task's images, if they were searched for.
    pub fn neighbours(&self, task: usize) -> PathBuf {
        self.task(task).join("neighbours.json")
    }

    /// A grid of the neighbours: a row per class, each generated image followed by its nearest training image.
    pub fn neighbours_grid(&self, task: usize) -> PathBuf {
        self.task(task).join("neighbours.png")
    }
}
