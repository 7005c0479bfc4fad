//! `mergan extend`: a finished run learns one more class, without the data before it.
//!
//! The run stays as it is: a copy of it learns the class. The copy is put together under another name, so that it is whole
//! where it has its own, and from then on it is a run like any other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use mergan_datasets::Dataset;
use mergan_models::write_whole;
use mergan_strategies::{Config, Extension, Trainer};

use super::train;
use crate::args::ExtendArguments;
use crate::checkpoints::{self, Position};
use crate::console::Console;
use crate::evaluation::Evaluation;
use crate::extension;
use crate::generator::Trained;
use crate::image_grid::{self, COLUMNS};
use crate::run_dir::RunDir;
use crate::scorer::Scorer;

/// Answers `mergan extend`.
pub fn run(arguments: &ExtendArguments, console: &Console) -> Result<ExitCode> {
    let base = RunDir::new(&arguments.run);
    let config = base.read_config()?;
    let task = config.tasks;
    ensure!(
        base.scores(task).is_file(),
        "{root} has not learned its {task} tasks yet; finish it by `mergan train --resume {root}`",
        root = base.root().display()
    );
    let into = arguments.into.clone().map_or_else(|| beside(base.root(), &arguments.name), Ok)?;
    let run = RunDir::new(&into);
    ensure!(
        !into.exists(),
        "{} exists already; go on with it by `mergan train --resume`, or choose another --into",
        into.display()
    );

    let trained = Trained::load(&base.generator(task))?;
    let class = number(&trained, &config, arguments, console)?;
    let folder =
        fs::canonicalize(&arguments.images).with_context(|| format!("finding {}", arguments.images.display()))?;
    let images = extension::images(&trained, &config, &folder, arguments.limit)?;
    let sha256 = extension::sha256(&images);
    let (name, limit, scorer) = (arguments.name.clone(), arguments.limit, extension::scored_by(&base, task));
    let extension = Extension { name, class, images: folder, limit, sha256, scorer: scorer.clone() };
    let data = extension::dataset(&trained, &config, &extension, &images)?;
    let checkpoint = checkpoints::path(&base, Position::end_of(task));
    let trainer = Trainer::extend(extension, data.class_names.len(), &data.train, &checkpoint)?;

    let partial = RunDir::new(&hidden(&into)?);
    if partial.root().exists() {
        fs::remove_dir_all(partial.root()).with_context(|| format!("removing {}", partial.root().display()))?;
    }
    partial.create()?;
    copy_folder(&base.root().join("tasks"), &partial.root().join("tasks"))?;
    copy(&base.events(), &partial.events())?;
    let mut rows = image_grid::read(&base.real(), trained.generator.config().image_shape())?;
    rows.push(data.train.select(&(0..data.train.len().min(COLUMNS)).collect::<Vec<_>>()).images()?.into_owned());
    image_grid::write(&partial.real(), &rows.iter().map(|row| row.view()).collect::<Vec<_>>(), COLUMNS)?;
    let shape = data.train.image_shape();
    let scorer = scorer.and_then(|sha256| extension::find_scorer(&sha256, &base, shape, &arguments.data.cache()));
    match scorer.filter(|scorer| scorer.knows(class)) {
        Some(scorer) => copy(scorer.file(), &partial.scorer())?,
        None => {
            Scorer::train_on_stand_ins(&partial.scorer(), &trained, &data, trainer.config(), console)?;
            score_again(&partial, &data, trainer.config(), console)?;
        }
    }
    checkpoints::save(&partial, &trainer)?;
    let path = partial.config();
    write_whole(&path, trainer.config().to_toml().as_bytes()).with_context(|| format!("writing {}", path.display()))?;
    fs::rename(partial.root(), &into).with_context(|| format!("naming {}", into.display()))?;
    console.note(format!("{} learns {} in {}", base.root().display(), arguments.name, into.display()));
    drop(trainer);
    train::resume(&run, &arguments.training(), console)
}

/// The number of the new class: that of the dataset's class of this name, where no task had it, else a new one.
fn number(trained: &Trained, config: &Config, arguments: &ExtendArguments, console: &Console) -> Result<usize> {
    let name = &arguments.name;
    let learned = &trained.usage;
    ensure!(!learned.class_names.contains(name), "{} knows {name} already", arguments.run.display());
    // The data may be gone; then nothing is known of classes that were not learned.
    let known = arguments.data.info(&config.dataset, &config.images, console);
    let known = known.ok().and_then(|manifest| manifest.classes.iter().position(|class| class == name));
    let free = known.filter(|class| !learned.classes.contains(class));
    Ok(free.unwrap_or(trained.generator.config().classes))
}

/// Scores the tasks before the extension by the run's own classifier: numbers of two never stand in one report.
fn score_again(run: &RunDir, data: &Dataset, config: &Config, console: &Console) -> Result<()> {
    let scorer = Scorer::open(&run.scorer(), data.train.image_shape())?;
    let evaluation = Evaluation::new(config, data, scorer, console)?;
    (1..config.tasks).try_for_each(|task| {
        let trained = Trained::load(&run.generator(task))?;
        evaluation.task(run, &trained, task, config.evaluation.samples, config.seed)?.save(run)
    })
}

/// `runs/ra-zebra` of `runs/ra`.
fn beside(root: &Path, name: &str) -> Result<PathBuf> {
    let plain = Path::new(name).file_name() == Some(name.as_ref());
    ensure!(plain, "`{name}` cannot be part of a directory's name; choose one with --into");
    let root = fs::canonicalize(root).with_context(|| format!("finding {}", root.display()))?;
    let folder = root.file_name().context("the run directory has no name; choose one with --into")?;
    Ok(root.with_file_name(format!("{}-{name}", folder.to_string_lossy())))
}

/// Where a run is put together.
fn hidden(into: &Path) -> Result<PathBuf> {
    let name = into.file_name().with_context(|| format!("{} is no name of a directory", into.display()))?;
    Ok(into.with_file_name(format!(".{}.partial", name.to_string_lossy())))
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("making the directory {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let path = entry.with_context(|| format!("reading {}", from.display()))?.path();
        let to = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() { copy_folder(&path, &to)? } else { copy(&path, &to)? }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
    Ok(())
}
