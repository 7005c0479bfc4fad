//! Runs that learn one more class after they have ended, without the earlier data (`mergan extend`).
//!
//! The finished run stays as it is, and a copy of it learns the class. The copy is assembled under another name, so
//! that it never appears incomplete under its own; from then on it is a run like any other. If a classifier has to be
//! trained to score all classes, the generator's images stand in for those of the earlier classes.

use std::fs;
use std::path::{Path, PathBuf};

use mergan_datasets::{Dataset, FetchOptions, ImageOptions, Labelled, hex, load_pictures_of};
use mergan_files::LockFile;
use mergan_metrics::class_accuracy;
use mergan_models::{Generator, Weights};
use mergan_record::{Position, quoted, rename_durably, write_whole};
use mergan_strategies::{Config, Extension, Strategies, Trainer};
use mergan_tensor::Device;
use ndarray::Array4;
use sha2::{Digest, Sha256};

use crate::checkpoints;
use crate::dir::{RunDir, make_folder};
use crate::error::{At, Error};
use crate::evaluation::Evaluation;
use crate::export::image_grid::{self, COLUMNS};
use crate::identity;
use crate::observer::{Happening, Observer};
use crate::run::write_config;
use crate::scorer::Scorer;
use crate::trained::{Trained, Usage};

/// One in this many images of the new class is held out for testing.
const HELD_OUT: usize = 10;

/// A class that a finished run is to learn.
#[derive(Clone, Debug)]
pub struct NewClass<'a> {
    /// Its name. If the dataset has a class of this name that the run has not learned, that class is meant.
    pub name: &'a str,
    /// The folder of its pictures.
    pub images: &'a Path,
    /// At most this many of the pictures, taken from the start.
    pub limit: Option<usize>,
    /// The current location of the run's dataset, if it has moved.
    pub moved: Option<&'a str>,
    /// The directory of the extended run, which must not exist. By default it is the run's directory with the name of
    /// the class appended.
    pub into: Option<&'a Path>,
}

/// Assembles the extended run, ready to be opened and trained, and returns its directory. The run's strategy must be
/// one of `strategies`.
///
/// `fetch` says where the dataset of the run and the cache of scoring classifiers are.
///
/// # Errors
/// When the run has not ended or already knows the class, its strategy is unknown or learns from real images of all
/// classes, the pictures cannot be read, or the new directory cannot be written.
pub fn extend(
    base: &RunDir,
    new: &NewClass,
    strategies: &Strategies,
    fetch: &FetchOptions,
    observer: &dyn Observer,
) -> Result<RunDir, Error> {
    let config = base.read_config()?;
    let (task, root) = (config.tasks, base.root());
    if !base.scores(task).is_file() {
        let (root_, again) = (root.display(), quoted(&root.display()));
        let reason =
            format!("{root_} has not learned its {task} tasks yet; finish it by `mergan train --resume {again}`");
        return Err(Error::run(root, reason));
    }
    let into = new.into.map_or_else(|| beside(root, new.name), |into| Ok(into.into()))?;
    if into.exists() {
        let (into_, again) = (into.display(), quoted(&into.display()));
        let reason = format!(
            "{into_} exists already; go on with it by `mergan train --resume {again}`, or choose another --into"
        );
        return Err(Error::run(&into, reason));
    }

    let trained = Trained::load_with(&base.generator(task), strategies)?;
    if !trained.checked {
        let path = base.generator(task);
        observer.happened(&Happening::Warning(&format!("{} has no checksum and was not checked", path.display())));
    }
    let class = number(base, &trained, &config, new, fetch)?;
    let folder = fs::canonicalize(new.images).at("finding", new.images)?;
    let images = images(&trained.generator, &config, &folder, new.limit, fetch)?;
    let data = dataset(&trained.generator, &trained.usage, &config, class, new.name, &images)?;
    let (name, limit, scorer) = (new.name.to_owned(), new.limit, base.scored_by(task)?);
    let ImageOptions { skip_bad, follow_links, .. } = fetch.images;
    let (images, sha256) = (folder, sha256(&data)?);
    let extension = Extension { name, class, images, limit, skip_bad, follow_links, sha256, scorer: scorer.clone() };
    let checkpoint = base.checkpoint(Position::end_of(task));
    let trainer = Trainer::extend(extension, strategies, data.class_names.len(), &data.train, &checkpoint)
        .map_err(|error| Error::in_training(error, &data.class_names))?;

    let partial = RunDir::new(&hidden(&into)?);
    let mut lock = take_over(&partial, &into)?;
    if let Some(notice) = lock.notice() {
        observer.happened(&Happening::Warning(notice));
    }
    partial.create()?;
    copy_folder(&base.tasks(), &partial.tasks())?;
    copy(&base.events(), &partial.events())?;
    let mut rows = image_grid::read(&base.real(), trained.generator.config().image_shape())?;
    rows.push(data.train.select(&(0..data.train.len().min(COLUMNS)).collect::<Vec<_>>()).images()?.into_owned());
    image_grid::write(&partial.real(), &rows.iter().map(|row| row.view()).collect::<Vec<_>>(), COLUMNS)?;
    let scorer = scorer.and_then(|sha256| Scorer::find(&sha256, base, data.train.image_shape(), &fetch.cache));
    match scorer.filter(|scorer| scorer.knows(class)) {
        Some(scorer) => copy(scorer.file(), &partial.scorer())?,
        None => {
            Scorer::train_on_stand_ins(&partial.scorer(), &trained, &data, trainer.config(), observer)?;
            // The earlier tasks are scored again because one report must not mix the numbers of two classifiers.
            let scorer = Scorer::open(&partial.scorer(), data.train.image_shape())?;
            let evaluation = Evaluation::new(trainer.config(), strategies, &data, scorer, observer)?;
            for measured in evaluation.tasks(&partial, 1..trainer.config().tasks)? {
                measured.save(&partial)?;
            }
        }
    }
    checkpoints::save(&partial, &trainer)?;
    identity::expect(&partial, &data)?;
    write_config(&partial, trainer.config())?;
    rename_durably(partial.root(), &into).at("naming", &into)?;
    let run = RunDir::new(&into);
    lock.moved(&run.lock_file());
    Ok(run)
}

/// Makes the directory in which the run `into` is assembled, locks it and removes what an interrupted process left in
/// it. The lock is a file of the run and gets its final name with the others.
fn take_over(partial: &RunDir, into: &Path) -> Result<LockFile, Error> {
    let root = partial.root();
    make_folder(root)?;
    let path = partial.lock_file();
    let taken =
        |how: &str| Error::run(into, format!("another process {how} {}; choose another --into", into.display()));
    let lock = LockFile::try_lock(&path).at("locking", &path)?.ok_or_else(|| taken("is assembling"))?;
    if into.exists() {
        // The other process has renamed its directory, so this one is empty.
        let _ = fs::remove_dir_all(root);
        return Err(taken("has meanwhile made"));
    }
    for entry in fs::read_dir(root).at("reading", root)? {
        let left = entry.at("reading", root)?.path();
        if left.is_dir() {
            fs::remove_dir_all(&left).at("removing", &left)?;
        } else if !partial.is_lock(&left) {
            fs::remove_file(&left).at("removing", &left)?;
        }
    }
    Ok(lock)
}

/// Loads the dataset of an extended run: the images of its last class, which lie in `folder`, and no others.
pub(crate) fn load(
    run: &RunDir,
    config: &Config,
    extension: &Extension,
    folder: &Path,
    fetch: &FetchOptions,
) -> Result<Dataset, Error> {
    let path = run.generator(config.tasks - 1);
    let (generator, usage) = Usage::of(&path, &Weights::load(&path, Device::Cpu)?)?;
    let &Extension { limit, skip_bad, follow_links, .. } = extension;
    let pictures = ImageOptions { skip_bad, follow_links, ..ImageOptions::default() };
    let fetch = FetchOptions { images: pictures, ..fetch.clone() };
    let images = images(&generator, config, folder, limit, &fetch)?;
    dataset(&generator, &usage, config, extension.class, &extension.name, &images)
}

/// The effect of a run's last extension on the earlier classes; accuracies are from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// The earlier classes, each with its name and its accuracy before and after.
    pub earlier: Vec<(String, f64, f64)>,
    /// The new class and its accuracy.
    pub new: (String, f64),
    /// The number of images of each class that were scored.
    pub samples: usize,
    /// A description of the classifier that scored the earlier classes, for a sentence.
    pub earlier_scorer: String,
    /// A description of the classifier that scored the new class, if it is a different one.
    pub new_scorer: Option<String>,
}

/// Measures the effect of a run's last extension; returns `None` for a run that was not extended. The earlier classes
/// are recognised by the classifier that scored the run before it was extended, if that is still in `cache`.
///
/// # Errors
/// When the generators or the run's classifier cannot be read, or its strategy is not in `strategies`.
pub fn effect(run: &RunDir, config: &Config, strategies: &Strategies, cache: &Path) -> Result<Option<Effect>, Error> {
    let Some(extension) = config.extensions.last() else { return Ok(None) };
    let task = config.tasks;
    let load = |task| Trained::load_with(&run.generator(task), strategies);
    let (before, after) = (load(task - 1)?, load(task)?);
    let shape = before.generator.config().image_shape();
    let own = Scorer::open(&run.scorer(), shape)?;
    let former = extension.scorer.as_ref().and_then(|sha256| Scorer::find(sha256, run, shape, cache));
    let scorer = former.unwrap_or_else(|| own.clone());
    let (classes, samples) = (&before.usage.classes, config.evaluation.samples);
    let accuracies = |trained: &Trained, scorer: &Scorer, classes: &[usize]| -> Vec<f64> {
        let images = trained.usage.sampling(config.seed).images(trained.source(), classes, samples);
        let share = |(images, &class): (&Array4<u8>, &usize)| {
            class_accuracy(&scorer.classifier().predict(images.view()), class).unwrap_or(0.0)
        };
        images.iter().zip(classes).map(share).collect()
    };
    let [then, now] = [&before, &after].map(|trained| accuracies(trained, &scorer, classes));
    let new = accuracies(&after, &own, &[extension.class])[0];
    let names = before.usage.class_names.iter().cloned();
    Ok(Some(Effect {
        earlier: names.zip(then).zip(now).map(|((name, then), now)| (name, then, now)).collect(),
        new: (extension.name.clone(), new),
        samples,
        earlier_scorer: scorer.description(),
        new_scorer: (scorer.sha256() != own.sha256()).then(|| own.description()),
    }))
}

/// Reads the images of a folder into memory, in the format that a run's networks take. `fetch` says which pictures are
/// taken.
fn images(
    generator: &Generator,
    config: &Config,
    folder: &Path,
    limit: Option<usize>,
    fetch: &FetchOptions,
) -> Result<Labelled, Error> {
    let [channels, side, _] = generator.config().image_shape();
    let images = ImageOptions { side, channels, fit: config.images.fit, limit, ..fetch.images };
    Ok(load_pictures_of(folder, &FetchOptions { images, ..fetch.clone() })?)
}

/// Returns the SHA-256 of the images that the dataset of an extended run was made from, in order, in lower-case
/// hexadecimal.
pub(crate) fn sha256(data: &Dataset) -> Result<String, Error> {
    let (train, test) = (data.train.images()?, data.test.images()?);
    let (mut train, mut test) = (train.outer_iter(), test.outer_iter());
    let mut hash = Sha256::new();
    for row in 0..data.train.len() + data.test.len() {
        let image = if is_held_out(row) { test.next() } else { train.next() };
        hash.update(image.iter().flatten().copied().collect::<Vec<u8>>());
    }
    Ok(hex(hash.finalize()))
}

fn is_held_out(row: usize) -> bool {
    row % HELD_OUT == HELD_OUT - 1
}

/// Builds a dataset of the new class's images, every tenth held out for testing, among the classes of the networks.
fn dataset(
    generator: &Generator,
    usage: &Usage,
    config: &Config,
    new: usize,
    new_name: &str,
    images: &Labelled,
) -> Result<Dataset, Error> {
    let name = |class: usize| match usage.classes.iter().position(|&learned| learned == class) {
        Some(position) => usage.class_names[position].clone(),
        None if class == new => new_name.into(),
        None => class.to_string(),
    };
    let images = images.relabelled(vec![new; images.len()])?;
    let (test, train): (Vec<_>, Vec<_>) = (0..images.len()).partition(|&row| is_held_out(row));
    Ok(Dataset {
        name: config.dataset.clone(),
        class_names: (0..generator.config().classes.max(new + 1)).map(name).collect(),
        train: images.select(&train),
        validation: images.select(&[]),
        test: images.select(&test),
    })
}

/// Returns the number of the new class: that of the dataset's class of this name if no task had it, else a new one.
fn number(
    base: &RunDir,
    trained: &Trained,
    config: &Config,
    new: &NewClass,
    fetch: &FetchOptions,
) -> Result<usize, Error> {
    let learned = &trained.usage;
    if learned.class_names.iter().any(|name| name == new.name) {
        return Err(Error::run(base.root(), format!("{} knows {} already", base.root().display(), new.name)));
    }
    let fetch = FetchOptions { images: config.images.clone(), ..fetch.clone() };
    if let Some(moved) = new.moved {
        let data = mergan_datasets::load(moved, &fetch)?;
        if let Some(difference) = identity::difference(base, config, &data)? {
            let root = base.root().display();
            let reason =
                format!("{moved} is not what {root} learned from: {difference}; give its path, or leave --dataset out");
            return Err(Error::run(base.root(), reason));
        }
    }
    // The data may be gone, and then nothing is known about classes that were not learned.
    let known = mergan_datasets::info(new.moved.unwrap_or(&config.dataset), &fetch).ok();
    let known = known.and_then(|manifest| manifest.classes.iter().position(|class| class == new.name));
    let free = known.filter(|class| !learned.classes.contains(class));
    Ok(free.unwrap_or(trained.generator.config().classes))
}

/// Returns the directory beside the run, as in `runs/ra-zebra` for `runs/ra`.
fn beside(root: &Path, name: &str) -> Result<PathBuf, Error> {
    if Path::new(name).file_name() != Some(name.as_ref()) {
        return Err(Error::Request(format!("`{name}` cannot be part of a directory's name; choose one with --into")));
    }
    let root = fs::canonicalize(root).at("finding", root)?;
    let folder = root.file_name();
    let folder =
        folder.ok_or_else(|| Error::Request("the run directory has no name; choose one with --into".into()))?;
    Ok(root.with_file_name(format!("{}-{name}", folder.to_string_lossy())))
}

/// Returns the directory in which a run is assembled.
fn hidden(into: &Path) -> Result<PathBuf, Error> {
    let name = into.file_name();
    let name = name.ok_or_else(|| Error::Request(format!("{} is no name of a directory", into.display())))?;
    Ok(into.with_file_name(format!(".{}.partial", name.to_string_lossy())))
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), Error> {
    make_folder(to)?;
    for entry in fs::read_dir(from).at("reading", from)? {
        let path = entry.at("reading", from)?.path();
        let to = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() { copy_folder(&path, &to)? } else { copy(&path, &to)? }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    write_whole(to, &fs::read(from).at("reading", from)?).at("copying to", to)
}
