//! Training on datasets of Python, of a name or of a path.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Result;
use mergan_datasets::{Dataset, Event, FetchOptions, ImageOptions, Manifest, default_cache};
use mergan_runs::{Run, Scorer, configure, load_data, new_trainer, require_startable};
use mergan_strategies::{Choice, Strategies};
use pyo3::prelude::*;
use toml::{Table, Value};

use crate::arrays::{Pairs, labelled};
use crate::compute::{Watch, compute};
use crate::errors::{refuse, to_python};

/// Images that Python gives as arrays.
#[derive(FromPyObject)]
pub struct Arrays<'py> {
    #[pyo3(item)]
    name: String,
    #[pyo3(item)]
    class_names: Vec<String>,
    #[pyo3(item)]
    train: Pairs<'py>,
    #[pyo3(item)]
    test: Option<Pairs<'py>>,
}

impl Arrays<'_> {
    fn copy(self) -> PyResult<Dataset> {
        let test = self.test.as_ref().map(labelled).transpose()?;
        let dataset = Dataset::new(&self.name, self.class_names, labelled(&self.train)?, test);
        dataset.map_err(|error| to_python(error.into()))
    }
}

/// A dataset as Python gives it.
#[derive(FromPyObject)]
pub enum Given<'py> {
    /// A name or a path.
    Named(String),
    /// Images in memory.
    Arrays(Arrays<'py>),
}

/// A dataset that may have to be loaded.
enum Data {
    Named(String),
    Loaded(Box<Dataset>),
}

impl Given<'_> {
    fn copy(self) -> PyResult<Data> {
        Ok(match self {
            Given::Named(name) => Data::Named(mergan_cli::whole_path(&name)),
            Given::Arrays(arrays) => Data::Loaded(Box::new(arrays.copy()?)),
        })
    }
}

impl Data {
    fn name(&self) -> &str {
        match self {
            Data::Named(name) => name,
            Data::Loaded(dataset) => &dataset.name,
        }
    }

    fn manifest(&self, fetch: &FetchOptions) -> Result<Manifest> {
        Ok(match self {
            Data::Named(name) => mergan_datasets::info(name, fetch)?,
            Data::Loaded(dataset) => dataset.manifest(),
        })
    }

    fn load(self, fetch: &FetchOptions) -> Result<Dataset> {
        Ok(match self {
            Data::Named(name) => mergan_datasets::load(&name, fetch)?,
            Data::Loaded(dataset) => *dataset,
        })
    }
}

/// How a run is trained, and where: what does not decide its result.
#[derive(FromPyObject)]
pub struct Way {
    #[pyo3(item)]
    scorer: Option<PathBuf>,
    #[pyo3(item)]
    checkpoint_every: Option<NonZeroUsize>,
    #[pyo3(item)]
    tensorboard: bool,
    #[pyo3(item)]
    device: String,
    #[pyo3(item)]
    precision: String,
    #[pyo3(item)]
    cache: Option<PathBuf>,
    #[pyo3(item)]
    data_dir: Option<PathBuf>,
    #[pyo3(item)]
    offline: bool,
    #[pyo3(item)]
    command: String,
}

impl Way {
    fn cache(&self) -> PathBuf {
        self.cache.clone().unwrap_or_else(default_cache)
    }

    /// Calls `work` with the options that say where data are.
    fn with_options<T>(&self, watch: &Watch, images: ImageOptions, work: impl FnOnce(&FetchOptions) -> T) -> T {
        let observer = |_: Event| watch.leave_if_interrupted();
        work(&FetchOptions {
            cache: self.cache(),
            data_dir: self.data_dir.clone(),
            offline: self.offline,
            images,
            observer: &observer,
            ..FetchOptions::default()
        })
    }

    fn train(&self, run: Run, watch: &Watch) -> Result<()> {
        let run = run.checkpoint_every(self.checkpoint_every.map(usize::from));
        let mut run = run.with_tensorboard(self.tensorboard).commanded_by(&self.command);
        run.train(watch, &|| watch.is_interrupted())?;
        Ok(())
    }
}

/// Starts a run and trains it to the end.
#[pyfunction]
pub fn train(
    py: Python<'_>,
    data: Given<'_>,
    run: PathBuf,
    choice: (String, String, u64, Option<usize>),
    settings: &Bound<'_, PyAny>,
    callback: Option<&Bound<'_, PyAny>>,
    way: Way,
) -> PyResult<()> {
    let changes: Table = pythonize::depythonize(settings)?;
    let data = data.copy()?;
    let (strategy, preset, seed, tasks) = choice;
    if i64::try_from(seed).is_err() {
        return Err(refuse(format!("seed is {seed}; it must be at most {}, the largest integer of TOML", i64::MAX)));
    }
    let choice = Choice { dataset: data.name().into(), strategy, preset, seed, tasks, changes, ..Choice::default() };
    compute(py, callback, |watch| start(&way, &run, choice, data, watch))
}

fn start(way: &Way, directory: &Path, choice: Choice, data: Data, watch: &Watch) -> Result<()> {
    let strategies = Strategies::built_in();
    let images = choice.changes.get("images").cloned().unwrap_or(Value::Table(Table::new()));
    let images: ImageOptions = images.try_into().map_err(|error| mergan_strategies::Error::Config {
        place: "configuration, images".into(),
        reason: error.to_string(),
    })?;
    way.with_options(watch, images, |fetch| {
        let manifest = data.manifest(fetch)?;
        let config = configure(choice, &manifest, &strategies)?;
        require_startable(directory, &config, &strategies, &manifest, None)?;
        let device = mergan_cli::open_device(&way.device, &way.precision)?;
        let data = data.load(fetch)?;
        // What is wrong with the run is said before the classifier that scores is trained, which takes minutes.
        drop(new_trainer(config.clone(), &data, &strategies)?);
        let scorer = Scorer::obtain(way.scorer.as_deref(), &data, &way.cache(), watch)?;
        way.train(Run::start(directory, config, &data, &strategies)?.on(device).scored_by(scorer), watch)
    })
}

/// Continues a run to the end, with the data that it names unless others are given.
#[pyfunction]
pub fn resume(
    py: Python<'_>,
    run: PathBuf,
    data: Option<Given<'_>>,
    accept_changed_data: bool,
    callback: Option<&Bound<'_, PyAny>>,
    way: Way,
) -> PyResult<()> {
    let data = data.map(Given::copy).transpose()?;
    compute(py, callback, |watch| go_on(&way, &run, data, accept_changed_data, watch))
}

fn go_on(way: &Way, directory: &Path, data: Option<Data>, accept_changed_data: bool, watch: &Watch) -> Result<()> {
    let strategies = Strategies::built_in();
    let device = mergan_cli::open_device(&way.device, &way.precision)?;
    let data = way.with_options(watch, ImageOptions::default(), |fetch| match data {
        Some(Data::Loaded(dataset)) => Ok(*dataset),
        Some(Data::Named(moved)) => load_data(directory, Some(&moved), fetch),
        None => load_data(directory, None, fetch),
    });
    let data = data.map_err(|error| match error {
        mergan_runs::Error::Data(mergan_datasets::Error::UnknownDataset { .. }) => anyhow::Error::from(error)
            .context("the run learned from images in memory; give them again: dataset=(images, labels)"),
        error => error.into(),
    })?;
    let open = if accept_changed_data { Run::open_on_any_data } else { Run::open };
    let run = open(directory, &data, &strategies)?.on(device);
    let scorer = run.obtain_scorer(way.scorer.as_deref(), &way.cache(), watch)?;
    way.train(run.scored_by(scorer), watch)
}
