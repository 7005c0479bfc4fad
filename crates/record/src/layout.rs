//! Where the files of a run are.

use std::path::{Path, PathBuf};

use crate::Position;

/// The places of a run's files. Nothing need be there yet.
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
    /// The places in the run directory `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Layout { root: root.into() }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Everything that decides the result: see [`Config`](crate::Config). It is written last when a run starts: a directory
    /// without it has not started.
    pub fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// The fingerprint of the data that the run learns from.
    pub fn data(&self) -> PathBuf {
        self.root.join("data.json")
    }

    /// One line an [`Event`](crate::Event).
    pub fn events(&self) -> PathBuf {
        self.root.join("events.jsonl")
    }

    /// Real images, one row a class.
    pub fn real(&self) -> PathBuf {
        self.root.join("real.png")
    }

    /// The classifier that scores a run which was extended.
    pub fn scorer(&self) -> PathBuf {
        self.root.join("scorer.safetensors")
    }

    /// The file whose lock keeps a second process out.
    pub fn lock_file(&self) -> PathBuf {
        self.root.join(".lock")
    }

    /// TensorBoard's log, where one was asked for.
    pub fn tensorboard(&self) -> PathBuf {
        self.root.join("tensorboard")
    }

    /// The directory of checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoint")
    }

    /// One of them.
    pub fn checkpoint(&self, position: Position) -> PathBuf {
        self.checkpoints().join(position.file_name())
    }

    /// The sample grids on the way.
    pub fn frames(&self) -> PathBuf {
        self.root.join("frames")
    }

    /// One of them; tasks and iterations are counted from 1.
    pub fn frame(&self, task: usize, iteration: usize) -> PathBuf {
        self.frames().join(format!("{task:02}-{iteration:06}.png"))
    }

    /// The directory of what is left of the tasks.
    pub fn tasks(&self) -> PathBuf {
        self.root.join("tasks")
    }

    /// What is left of a task (counted from 1) when it is learned.
    pub fn task(&self, task: usize) -> PathBuf {
        self.tasks().join(format!("{task:02}"))
    }

    /// The generator after a task.
    pub fn generator(&self, task: usize) -> PathBuf {
        self.task(task).join("generator.safetensors")
    }

    /// Samples of that generator, one row a class.
    pub fn samples(&self, task: usize) -> PathBuf {
        self.task(task).join("samples.png")
    }

    /// Its [`TaskScores`](crate::TaskScores), written last: a task with scores is finished.
    pub fn scores(&self, task: usize) -> PathBuf {
        self.task(task).join("scores.json")
    }

    /// The [`Embedding`](crate::Embedding) of its images, where that was measured.
    pub fn embedding(&self, task: usize) -> PathBuf {
        self.task(task).join("embedding.json")
    }

    /// The [`Neighbours`](crate::Neighbours) of its images, where they were looked for.
    pub fn neighbours(&self, task: usize) -> PathBuf {
        self.task(task).join("neighbours.json")
    }

    /// The grid beside them: a row for each class, generated images each followed by its nearest training image.
    pub fn neighbours_grid(&self, task: usize) -> PathBuf {
        self.task(task).join("neighbours.png")
    }
}
