//! The checkpoints of a run: the newest two are kept, so that one that was damaged costs minutes and not the run.

use std::fs;
use std::path::{Path, PathBuf};

use mergan_datasets::Labelled;
use mergan_models::WeightsError;
use mergan_strategies::{Config, Error as TrainingError, Strategies, Trainer};

use crate::dir::RunDir;
use crate::error::{At, Error};
use crate::observer::{Happening, Observer};

/// Where a training stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Tasks learned.
    pub tasks: usize,
    /// Iterations done of the next one.
    pub iterations: usize,
}

impl Position {
    /// The end of a task, counted from 1.
    pub fn end_of(task: usize) -> Self {
        Position { tasks: task, iterations: 0 }
    }

    /// The position of a training.
    pub fn of(trainer: &Trainer) -> Self {
        Position { tasks: trainer.tasks_learned(), iterations: trainer.iterations_done() }
    }

    /// `task02-000400.safetensors`, or `task02-end.safetensors` when the task is learned.
    fn file_name(self) -> String {
        match self {
            Position { tasks: task @ 1.., iterations: 0 } => format!("task{task:02}-end.safetensors"),
            Position { tasks, iterations } => format!("task{:02}-{iterations:06}.safetensors", tasks + 1),
        }
    }

    fn parse(file_name: &str) -> Option<Self> {
        let (task, iterations) = file_name.strip_prefix("task")?.strip_suffix(".safetensors")?.split_once('-')?;
        let task: usize = task.parse().ok()?;
        if iterations == "end" {
            return Some(Position::end_of(task));
        }
        Some(Position { tasks: task.checked_sub(1)?, iterations: iterations.parse().ok()? })
    }
}

/// The checkpoint of a run at a position.
pub fn path(run: &RunDir, position: Position) -> PathBuf {
    run.checkpoints().join(position.file_name())
}

/// Saves a checkpoint, and of the others keeps only the newest that is older.
pub fn save(run: &RunDir, trainer: &Trainer) -> Result<(), Error> {
    let position = Position::of(trainer);
    trainer.save(&path(run, position))?;
    let older = positions(&run.checkpoints())?.into_iter().find(|&other| other < position);
    let kept = [Some(position), older].map(|position| position.map(Position::file_name));
    let directory = run.checkpoints();
    for entry in read(&directory)? {
        // What remains besides the two is older, damaged, or left of a process that was killed while it wrote.
        if !kept.contains(&Some(entry.clone())) {
            let path = directory.join(entry);
            fs::remove_file(&path).at("removing", &path)?;
        }
    }
    Ok(())
}

/// The training that goes on from the newest checkpoint that can be read.
pub fn resume<'d>(
    run: &RunDir,
    config: &Config,
    strategies: &Strategies,
    classes: usize,
    train: &'d Labelled,
    observer: &dyn Observer,
) -> Result<Trainer<'d>, Error> {
    for position in positions(&run.checkpoints())? {
        let path = path(run, position);
        match Trainer::resume(config.clone(), strategies, classes, train, &path) {
            Ok(trainer) => {
                observer.happened(&Happening::Resumed { checkpoint: &path });
                return Ok(trainer);
            }
            Err(error @ TrainingError::Weights(WeightsError::Format { .. })) => {
                observer.happened(&Happening::Warning(&format!("{error}; trying an older checkpoint")));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let folder = run.checkpoints();
    Err(Error::run(run.root(), format!("{} holds no checkpoint that can be read; start a new run", folder.display())))
}

/// The positions that have a checkpoint, newest first.
fn positions(directory: &Path) -> Result<Vec<Position>, Error> {
    let mut positions: Vec<_> = read(directory)?.iter().filter_map(|name| Position::parse(name)).collect();
    positions.sort_unstable_by(|a, b| b.cmp(a));
    Ok(positions)
}

fn read(directory: &Path) -> Result<Vec<String>, Error> {
    let entries = fs::read_dir(directory).at("reading", directory)?;
    entries.map(|entry| Ok(entry.at("reading", directory)?.file_name().to_string_lossy().into_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_say_the_position_and_sort_as_it_does() {
        let positions = [(0, 0), (0, 400), (1, 0), (1, 50), (9, 0), (9, 1_000_000)];
        let positions = positions.map(|(tasks, iterations)| Position { tasks, iterations });
        let names = positions.map(Position::file_name);
        assert_eq!(names[..3], ["task01-000000.safetensors", "task01-000400.safetensors", "task01-end.safetensors"]);
        assert_eq!(names.each_ref().map(|name| Position::parse(name).unwrap()), positions);
        assert!(positions.is_sorted());
        for other in ["task01-000400.tmp77", "notes.txt", "task00-000001.safetensors"] {
            assert_eq!(Position::parse(other), None);
        }
    }
}
