//! `mergan fid`: measures how far one set of images is from another.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use mergan_datasets::{ImageOptions, PICTURE_CONVENTION};
use mergan_metrics::{
    Distance, Family, FeatureError, FeatureNetwork, FeatureSet, Input, Subsets, distances, metric_name,
};
use mergan_runs::export::npy::read_matrix;
use mergan_runs::{RunDir, open_images};
use serde::Serialize;

use crate::args::FidArguments;
use crate::console::Console;

/// The most features of a sample, whose covariance then takes two gigabytes.
const MOST_FEATURES: usize = 1 << 14;

/// One number as `--json` prints it.
#[derive(Serialize)]
struct Row {
    metric: String,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
    card: Card,
}

/// How a number was measured, and on what.
#[derive(Clone, Serialize)]
struct Card {
    /// The network's name, or `given features`.
    network: String,
    /// The SHA-256 of its weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// The number of features of a sample.
    features: usize,
    /// The convention by which images were resized for the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    resize: Option<&'static str>,
    /// How pictures of folders were read, if one of the two sets is such a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pictures: Option<&'static str>,
    /// How the number was computed from the features.
    estimator: String,
    real: Side,
    generated: Side,
    /// The commit of the code, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'static str>,
}

/// One of the two sets.
#[derive(Clone, Serialize)]
struct Side {
    source: String,
    /// The number of samples; `None` for statistics that do not state it.
    samples: Option<usize>,
}

/// One of the two sets, opened but not yet read as a whole.
enum Opened {
    /// Features, one row per sample.
    Features(ndarray::Array2<f64>),
    /// Images or statistics.
    Input(Input),
}

/// Runs `mergan fid`.
pub fn run(arguments: &FidArguments, console: &Console) -> Result<()> {
    // Both are looked at before weights are asked for and before anything takes long.
    let opened = |path: &Path| open(arguments, path, console);
    let real = opened(&arguments.real)?;
    let generated = if arguments.save_statistics { None } else { Some(opened(&arguments.generated)?) };
    let network = if arguments.features {
        None
    } else {
        let device = arguments.device.open(console)?;
        Some(arguments.inception.open(&arguments.data, device, console)?)
    };
    // Only the statistics are saved, and these need no other metrics.
    let families: Vec<Family> = match arguments.save_statistics {
        true => vec![Family::Fid],
        false => arguments.metrics.iter().map(|&name| name.into()).collect(),
    };
    let side = |path: &Path, set| features(path, set, &families, network.as_ref(), console);
    let real = side(&arguments.real, real)?;
    let Some(generated) = generated else {
        real.statistics.save(&arguments.generated)?;
        console.note(format!("wrote {}", arguments.generated.display()));
        return Ok(());
    };
    let generated = side(&arguments.generated, generated)?;
    let subsets = Subsets { count: arguments.subsets.get(), size: arguments.subset_size.get(), seed: arguments.seed };
    let found = distances(&families, &real, &generated, subsets)
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

/// Opens one of the two sets.
fn open(arguments: &FidArguments, path: &Path, console: &Console) -> Result<Opened> {
    if arguments.features {
        let features = read_matrix(path)?;
        ensure!(
            features.ncols() <= MOST_FEATURES,
            "{} has samples of {} features; their covariance takes too much memory beyond {MOST_FEATURES}",
            path.display(),
            features.ncols()
        );
        return Ok(Opened::Features(features));
    }
    let pictures = arguments.pictures.apply(ImageOptions::default());
    let samples = arguments.samples.map(usize::from);
    let input = arguments.data.with_options(&pictures, console, |options| open_images(path, samples, options))?;
    Ok(Opened::Input(input))
}

/// Computes the features of one side of the distance.
fn features(
    path: &Path,
    set: Opened,
    families: &[Family],
    network: Option<&FeatureNetwork>,
    console: &Console,
) -> Result<FeatureSet> {
    let input = match set {
        Opened::Features(features) => {
            return FeatureSet::gather(features.ncols(), families, [Ok::<_, FeatureError>(features)])
                .with_context(|| format!("the features in {}", path.display()));
        }
        Opened::Input(input) => input,
    };
    let network = network.expect("images are read by a network");
    let images = format!("the images in {}", path.display());
    let mut bar = None;
    let progress = |done: usize, total: usize| {
        let bar = bar.get_or_insert_with(|| console.progress(format!("looking at {images}"), total as u64));
        console.update(bar, done as u64, || format!("{done} of {total}"));
    };
    network.features(input, families, progress).context(images)
}

/// Returns whether a path is a folder of pictures, not a run.
fn is_pictures(path: &Path) -> bool {
    path.is_dir() && !RunDir::new(path).config().is_file()
}

fn card(arguments: &FidArguments, network: Option<&FeatureNetwork>, real: &FeatureSet, generated: &FeatureSet) -> Card {
    let side =
        |path: &Path, set: &FeatureSet| Side { source: path.display().to_string(), samples: set.statistics.count };
    let given = || arguments.inception.network.clone().unwrap_or("given features".into());
    Card {
        network: network.map_or_else(given, |network| network.name().into()),
        sha256: network.map(|network| network.sha256().into()),
        features: real.statistics.mean.len(),
        resize: network.map(FeatureNetwork::resize),
        pictures: [&arguments.real, &arguments.generated]
            .into_iter()
            .any(|path| is_pictures(path))
            .then_some(PICTURE_CONVENTION),
        estimator: String::new(),
        real: side(&arguments.real, real),
        generated: side(&arguments.generated, generated),
        commit: option_env!("MERGAN_COMMIT"),
    }
}

fn row(found: Distance, network: Option<&str>, card: &Card) -> Row {
    let Distance { metric, value, estimator, warning } = found;
    Row { metric: metric_name(&metric, network), value, warning, card: Card { estimator, ..card.clone() } }
}
