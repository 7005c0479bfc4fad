//! `mergan fid`: how far one set of images is from another.

use std::path::Path;

use anyhow::{Context, Result};
use mergan_metrics::FeatureError;
use ndarray::Array2;
use serde::Serialize;

use crate::args::FidArguments;
use crate::console::Console;
use mergan_runs::export::npy::read_matrix;
use mergan_runs::fid::{
    FeatureNetwork, Found, ImageSet, Input, Sample, Subsets, distances, named, open, save_statistics,
};

/// One number as `--json` prints it.
#[derive(Serialize)]
struct Row {
    metric: String,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
    card: Card,
}

/// How a number was measured, and of what.
#[derive(Clone, Serialize)]
struct Card {
    /// The network's name, or `given features`.
    network: String,
    /// The SHA-256 of its weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// How many features a sample has.
    features: usize,
    /// The convention by which images came to the network's size.
    #[serde(skip_serializing_if = "Option::is_none")]
    resize: Option<&'static str>,
    /// How the number was computed from the features.
    estimator: String,
    real: Side,
    generated: Side,
    /// The commit of the code, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'static str>,
}

/// One of the two sets.
#[derive(Clone, Serialize)]
struct Side {
    source: String,
    /// Unknown of statistics that do not say.
    samples: Option<usize>,
}

/// Answers `mergan fid`.
pub fn run(arguments: &FidArguments, console: &Console) -> Result<()> {
    let network = if arguments.features {
        None
    } else {
        let device = arguments.device.open(console)?;
        Some(FeatureNetwork::obtain(&arguments.inception, &arguments.data.cache(), device, console)?)
    };
    let real = sample(arguments, &arguments.real, network.as_ref(), console)?;
    if arguments.save_statistics {
        save_statistics(&arguments.generated, &real.statistics)?;
        console.note(format!("wrote {}", arguments.generated.display()));
        return Ok(());
    }
    let generated = sample(arguments, &arguments.generated, network.as_ref(), console)?;
    let subsets = Subsets { count: arguments.subsets.get(), size: arguments.subset_size.get(), seed: arguments.seed };
    let found = distances(&arguments.metrics, &real, &generated, subsets)
        .with_context(|| format!("comparing {} with {}", arguments.real.display(), arguments.generated.display()))?;
    let card = card(arguments, network.as_ref(), &real, &generated);
    let other = arguments.inception.network.as_deref();
    let rows: Vec<_> = found.into_iter().map(|found| row(found, other, &card)).collect();
    if arguments.json {
        return console.print(serde_json::to_string_pretty(&rows).expect("rows of numbers and text are JSON"));
    }
    for row in &rows {
        console.print(format!("{:<24} {:.12}", row.metric, row.value))?;
    }
    rows.iter().filter_map(|row| row.warning.as_ref()).for_each(|warning| console.warn(warning));
    Ok(())
}

/// One side of the distance.
fn sample(
    arguments: &FidArguments,
    path: &Path,
    network: Option<&FeatureNetwork>,
    console: &Console,
) -> Result<Sample> {
    let keep = arguments.metrics.iter().any(|family| family.needs_features()) && !arguments.save_statistics;
    let of = |path: &Path| format!("the images in {}", path.display());
    let Some(network) = network else {
        let features = read_matrix(path)?;
        return Sample::gather(features.ncols(), keep, [Ok(features)])
            .with_context(|| format!("the features in {}", path.display()));
    };
    match open(path, arguments.samples.map(usize::from))? {
        Input::Statistics(sample) => Ok(sample),
        Input::Images(ImageSet { count, .. }) if count < 2 => {
            Err(FeatureError::TooFewSamples { count, least: 2 }).with_context(|| of(path))
        }
        Input::Images(ImageSet { count, batches }) => {
            let mut progress = console.progress(format!("looking at {}", of(path)), count as u64);
            let mut done = 0;
            let features = batches.map(|images| -> Result<Array2<f32>> {
                let features = network.read(images?.view());
                done += features.nrows();
                console.update(&mut progress, done as u64, || format!("{done} of {count}"));
                Ok(features)
            });
            Sample::gather(network.dimension(), keep, features).with_context(|| of(path))
        }
    }
}

fn card(arguments: &FidArguments, network: Option<&FeatureNetwork>, real: &Sample, generated: &Sample) -> Card {
    let side =
        |path: &Path, sample: &Sample| Side { source: path.display().to_string(), samples: sample.statistics.count };
    let given = || arguments.inception.network.clone().unwrap_or("given features".into());
    Card {
        network: network.map_or_else(given, |network| network.name().into()),
        sha256: network.map(|network| network.sha256().into()),
        features: real.statistics.mean.len(),
        resize: network.map(FeatureNetwork::resize),
        estimator: String::new(),
        real: side(&arguments.real, real),
        generated: side(&arguments.generated, generated),
        commit: option_env!("MERGAN_COMMIT"),
    }
}

fn row(found: Found, network: Option<&str>, card: &Card) -> Row {
    let Found { metric, value, estimator, warning } = found;
    Row { metric: named(metric, network), value, warning, card: Card { estimator, ..card.clone() } }
}
