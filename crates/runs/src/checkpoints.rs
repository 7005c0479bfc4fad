//! The checkpoints of a run. The newest two are kept, so that a damaged one costs minutes and not the whole run.

use std::fs;
use std::path::{Path, PathBuf};

use mergan_datasets::Labelled;
use mergan_models::WeightsError;
use mergan_record::{Owner, Position};
use mergan_strategies::{Config, Error as TrainingError, Strategies, Trainer};

use crate::dir::RunDir;
use crate::error::{At, Error};
use crate::observer::{Happening, Observer};

/// Returns how far a training has come.
pub fn position(trainer: &Trainer) -> Position {
    Position { tasks: trainer.tasks_learned(), iterations: trainer.iterations_done() }
}

/// Saves a checkpoint and removes all others except the newest older one.
pub fn save(run: &RunDir, trainer: &Trainer) -> Result<(), Error> {
    let position = position(trainer);
    trainer.save(&run.checkpoint(position))?;
    let directory = run.checkpoints();
    let older = positions(&directory)?.into_iter().find(|&other| other < position);
    let kept = [Some(position), older].map(|position| position.map(|position| run.checkpoint(position)));
    for path in read(&directory)? {
        // Any other file of the run is older, damaged, or left by a process that was killed while writing.
        if run.owner(&path) != Owner::Other && !kept.contains(&Some(path.clone())) {
            fs::remove_file(&path).at("removing", &path)?;
        }
    }
    Ok(())
}

/// Resumes training from the newest checkpoint that can be read.
pub fn resume(
    run: &RunDir,
    config: &Config,
    strategies: &Strategies,
    classes: usize,
    train: &Labelled,
    observer: &dyn Observer,
) -> Result<Trainer, Error> {
    for position in positions(&run.checkpoints())? {
        let path = run.checkpoint(position);
        match Trainer::resume(config.clone(), strategies, classes, train, &path) {
            Ok(trainer) => {
                observer.happened(&Happening::Resumed { checkpoint: &path });
                return Ok(trainer);
            }
            Err(error @ TrainingError::Weights(WeightsError::Format { .. } | WeightsError::File { .. })) => {
                observer.happened(&Happening::Warning(&format!("{error}; trying an older checkpoint")));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let folder = run.checkpoints();
    Err(Error::run(run.root(), format!("{} holds no checkpoint that can be read; start a new run", folder.display())))
}

/// Returns the positions that have a checkpoint, newest first.
fn positions(directory: &Path) -> Result<Vec<Position>, Error> {
    let paths = read(directory)?;
    let names = paths.iter().filter_map(|path| path.file_name()?.to_str());
    let mut positions: Vec<_> = names.filter_map(Position::parse).collect();
    positions.sort_unstable_by(|a, b| b.cmp(a));
    Ok(positions)
}

fn read(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(directory).at("reading", directory)?;
    entries.map(|entry| Ok(entry.at("reading", directory)?.path())).collect()
}
