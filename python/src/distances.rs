//! FID and the other distances between two sets of images or features.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use mergan_datasets::{FetchOptions, ImageOptions, default_cache};
use mergan_metrics::{
    Distance, Family, FeatureError, FeatureNetwork, FeatureSet, Input, Subsets, cached_weights, metric_name,
};
use mergan_models::{Inception, Resize};
use mergan_runs::export::npy::read_matrix;
use mergan_runs::open_images;
use mergan_tensor::{Device, Random};
use ndarray::{Array2, Array4};
use numpy::PyReadonlyArray2;
use pyo3::prelude::*;

use crate::arrays::{self, Images};
use crate::compute::{Watch, compute};
use crate::errors::{refuse, to_python};

/// One side of a distance, as Python gives it.
#[derive(FromPyObject)]
pub enum Given<'py> {
    /// A file, a folder or a run directory.
    Path(PathBuf),
    /// Images.
    Images(Images<'py>),
    /// Features, one row a sample.
    Features(PyReadonlyArray2<'py, f64>),
}

/// One side of a distance.
enum Side {
    Path(PathBuf),
    Images(Array4<u8>),
    Features(Array2<f64>),
}

impl Given<'_> {
    fn copy(self) -> PyResult<Side> {
        Ok(match self {
            Given::Path(path) => Side::Path(path),
            Given::Images(images) => Side::Images(arrays::images(&images)?),
            Given::Features(features) => Side::Features(features.as_array().to_owned()),
        })
    }
}

/// How images become features.
#[derive(FromPyObject)]
pub struct Reading {
    /// Whether they are features already.
    #[pyo3(item)]
    features: bool,
    /// The number of images of each class that are drawn from a run's generator.
    #[pyo3(item)]
    samples: Option<NonZeroUsize>,
    /// Whether pictures of a folder that cannot be read are left out, and links that lead out of it followed.
    #[pyo3(item)]
    pictures: (bool, bool),
    #[pyo3(item)]
    weights: Option<PathBuf>,
    #[pyo3(item)]
    network: Option<String>,
    #[pyo3(item)]
    resize: String,
    #[pyo3(item)]
    cache: Option<PathBuf>,
    #[pyo3(item)]
    device: String,
    #[pyo3(item)]
    precision: String,
}

impl Reading {
    /// Opens the network, if there has to be one.
    fn open(&self, name: Option<&str>, resize: Resize) -> Result<Option<FeatureNetwork>> {
        if self.features {
            return Ok(None);
        }
        let device = mergan_cli::open_device(&self.device, &self.precision)?;
        let cached = || cached_weights(&self.cache.clone().unwrap_or_else(default_cache));
        let weights = self.weights.clone().map_or_else(cached, Ok)?;
        Ok(Some(match name {
            Some(name) => FeatureNetwork::open_as(name, &weights, resize, device)?,
            None => FeatureNetwork::open(&weights, resize, device)?,
        }))
    }

    fn name(&self) -> PyResult<Option<String>> {
        let name = self.network.as_deref().map(mergan_cli::network_name);
        name.transpose().map_err(|reason| refuse(format!("network: {reason}")))
    }

    fn resize(&self) -> PyResult<Resize> {
        one_of("resize", &self.resize, Resize::ALL)
    }
}

/// The numbers measured, each with its name, its estimator and its warning.
type Numbers = Vec<(String, f64, String, Option<String>)>;

/// Measures how far `generated` is from `real`.
#[pyfunction]
pub fn distances(
    py: Python<'_>,
    real: Given<'_>,
    generated: Given<'_>,
    metrics: Vec<String>,
    subsets: (NonZeroUsize, NonZeroUsize, u64),
    reading: Reading,
) -> PyResult<Numbers> {
    let families = Family::ALL.map(|family| (family.name(), family));
    let families = metrics.iter().map(|name| one_of("metrics", name, families)).collect::<PyResult<Vec<_>>>()?;
    if families.is_empty() {
        return Err(refuse("metrics: choose at least one of: fid, kid, prdc"));
    }
    let (count, size, seed) = (subsets.0.get(), subsets.1.get(), subsets.2);
    let (name, resize, sides) = (reading.name()?, reading.resize()?, [real.copy()?, generated.copy()?]);
    let found = compute(py, None, |watch| {
        let network = reading.open(name.as_deref(), resize)?;
        let [real, generated] = sides.map(|side| gather(side, &families, network.as_ref(), &reading, watch));
        Ok(mergan_metrics::distances(&families, &real?, &generated?, Subsets { count, size, seed })?)
    })?;
    let row = |Distance { metric, value, estimator, warning }: Distance| {
        (metric_name(&metric, name.as_deref()), value, estimator, warning)
    };
    Ok(found.into_iter().map(row).collect())
}

/// Writes the mean and the covariance of the features of images, in pytorch-fid's format.
#[pyfunction]
pub fn save_statistics(py: Python<'_>, images: Given<'_>, out: PathBuf, reading: Reading) -> PyResult<()> {
    let (name, resize, side) = (reading.name()?, reading.resize()?, images.copy()?);
    compute(py, None, |watch| {
        let network = reading.open(name.as_deref(), resize)?;
        Ok(gather(side, &[Family::Fid], network.as_ref(), &reading, watch)?.statistics.save(&out)?)
    })
}

/// Computes the features of one side, or takes them as they are if there is no network.
fn gather(
    side: Side,
    families: &[Family],
    network: Option<&FeatureNetwork>,
    reading: &Reading,
    watch: &Watch,
) -> Result<FeatureSet> {
    let Some(network) = network else {
        let (features, what) = match side {
            Side::Path(path) => (read_matrix(&path)?, format!("the features in {}", path.display())),
            Side::Features(features) => (features, "the features".to_owned()),
            Side::Images(_) => anyhow::bail!(mergan_runs::Error::Request(
                "features are matrices of numbers, one row a sample; leave features=True out to compare images".into()
            )),
        };
        return FeatureSet::gather(features.ncols(), families, [Ok::<_, FeatureError>(features)]).context(what);
    };
    let (input, what) = match side {
        Side::Path(path) => {
            let (skip_bad, follow_links) = reading.pictures;
            let images = ImageOptions { skip_bad, follow_links, ..ImageOptions::default() };
            let options = FetchOptions { images, ..FetchOptions::default() };
            let input = open_images(&path, reading.samples.map(usize::from), &options)?;
            (input, format!("the images in {}", path.display()))
        }
        Side::Images(images) => (Input::from(images), "the images".to_owned()),
        Side::Features(_) => anyhow::bail!(mergan_runs::Error::Request(
            "images are arrays of uint8; to compare features, say features=True".into()
        )),
    };
    network.features(input, families, |_, _| watch.leave_if_interrupted()).context(what)
}

/// Finds the value of a name.
fn one_of<T, const N: usize>(argument: &str, name: &str, known: [(&str, T); N]) -> PyResult<T> {
    let names = known.each_ref().map(|(name, _)| *name).join(", ");
    let found = known.into_iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| value).ok_or_else(|| refuse(format!("{argument} `{name}`: choose one of: {names}")))
}

/// Writes a network with random weights, whose distances mean nothing. Tests use it in place of the real one.
#[pyfunction]
pub fn noise_network(path: PathBuf, seed: u64) -> PyResult<()> {
    let save = |path: &Path| Inception::noise(Random::new(seed), Device::Cpu).save(path);
    save(&path).map_err(|error| to_python(error.into()))
}
