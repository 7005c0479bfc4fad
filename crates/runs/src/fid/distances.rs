//! What is measured between two sets of features.

use anyhow::{Context, Result};
use clap::ValueEnum;
use mergan_metrics::{
    DENSITY_NEIGHBOURS, FeatureError, FeatureStatistics, FeatureStream, KernelDistance, MANIFOLD_NEIGHBOURS,
    Neighbourhoods, frechet_distance, kernel_distance,
};
use mergan_tensor::{Address, Random};
use ndarray::{Array2, ArrayView2, Axis};

/// Metrics that are measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Family {
    /// The Frechet distance.
    Fid,
    /// The kernel distance.
    Kid,
    /// Precision, recall, density and coverage.
    Prdc,
}

impl Family {
    /// Whether a set's mean and covariance are not enough.
    pub fn needs_features(self) -> bool {
        self != Family::Fid
    }
}

/// Features of a set of images, one row an image, as far as they are needed.
pub struct Sample {
    /// Their mean and covariance.
    pub statistics: FeatureStatistics,
    /// The features themselves.
    pub features: Option<Array2<f64>>,
}

impl Sample {
    /// Gathers features batch by batch, and keeps them where they are asked for.
    pub fn gather<T: Copy + Into<f64>>(
        dimension: usize,
        keep: bool,
        batches: impl IntoIterator<Item = Result<Array2<T>>>,
    ) -> Result<Self> {
        let mut stream = FeatureStream::new(dimension);
        let mut kept = Vec::new();
        for batch in batches {
            let batch = batch?;
            stream.extend(batch.view());
            if keep {
                kept.extend(batch.iter().map(|&x| x.into()));
            }
        }
        let features =
            keep.then(|| Array2::from_shape_vec((kept.len() / dimension, dimension), kept).expect("whole rows"));
        Ok(Sample { statistics: stream.finish()?, features })
    }

    /// All samples of both.
    pub fn joined(&self, other: &Self) -> Self {
        let features = self.features.as_ref().zip(other.features.as_ref());
        let join = |(here, there): (&Array2<f64>, &Array2<f64>)| {
            ndarray::concatenate(Axis(0), &[here.view(), there.view()]).expect("features of one network")
        };
        Sample { statistics: self.statistics.merged(&other.statistics), features: features.map(join) }
    }

    fn features(&self) -> Result<ArrayView2<'_, f64>> {
        let features = self.features.as_ref();
        Ok(features
            .context("a file of statistics has a Frechet distance only; give the images or their features")?
            .view())
    }
}

/// The subsets over which the kernel distance is averaged.
#[derive(Clone, Copy, Debug)]
pub struct Subsets {
    /// How many.
    pub count: usize,
    /// Samples in each, unless a set has fewer.
    pub size: usize,
    /// Of their choice.
    pub seed: u64,
}

impl Default for Subsets {
    fn default() -> Self {
        Subsets { count: 100, size: 1000, seed: 0 }
    }
}

/// Of the samples in a subset of the kernel distance.
const SUBSETS_STREAM: u16 = 0x200;

impl Subsets {
    fn choose(&self, real: usize, generated: usize) -> Vec<[Vec<usize>; 2]> {
        let size = self.size.min(real).min(generated);
        let random = Random::new(self.seed);
        let subset = |i: usize| {
            [(0, real), (1, generated)].map(|(inner, count)| {
                let address = Address { stream: SUBSETS_STREAM, iteration: i as u32, inner, ..Address::default() };
                let mut order = random.permutation(address, count);
                order.truncate(size);
                order
            })
        };
        (0..self.count).map(subset).collect()
    }
}

/// One number between two sets.
pub struct Found {
    /// Its name, if the features are those of FID's network.
    pub metric: &'static str,
    /// The number.
    pub value: f64,
    /// How it was computed from the features.
    pub estimator: String,
    /// Why it is not to be relied on, where it is not.
    pub warning: Option<String>,
}

/// The distances of `generated` from `real`.
///
/// # Errors
/// When the features of a set are needed and not there, are of different networks, too few or no finite numbers.
pub fn distances(families: &[Family], real: &Sample, generated: &Sample, subsets: Subsets) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    let mut add = |metric, value, estimator: &str, warning| {
        found.push(Found { metric, value, estimator: estimator.into(), warning });
    };
    if families.contains(&Family::Fid) {
        let value = frechet_distance(&real.statistics, &generated.statistics)?;
        add("fid", value, "covariances divided by N - 1", warning(real, generated));
    }
    if families.contains(&Family::Kid) {
        let (real, generated) = (real.features()?, generated.features()?);
        let chosen = subsets.choose(real.nrows(), generated.nrows());
        let kernel = "unbiased, kernel (x'y / d + 1)^3";
        let size = chosen.first().map_or(0, |[real, _]| real.len());
        let estimator =
            format!("{kernel}, mean over {} subsets of {size} samples, seed {}", subsets.count, subsets.seed);
        let KernelDistance { mean, deviation } = KernelDistance::over_subsets(real, generated, &chosen)?;
        add("kid", mean, &estimator, None);
        add("kid_deviation", deviation, &estimator.replace("mean", "standard deviation"), None);
        add("kid_full", kernel_distance(real, generated)?, &format!("{kernel}, one subset of all samples"), None);
    }
    if families.contains(&Family::Prdc) {
        let found = Neighbourhoods::of(real.features()?, generated.features()?)?;
        let estimator = |k: usize| format!("k = {k} nearest neighbours");
        let (manifold, density) = (estimator(MANIFOLD_NEIGHBOURS), estimator(DENSITY_NEIGHBOURS));
        add("precision", found.precision, &manifold, None);
        add("recall", found.recall, &manifold, None);
        add("density", found.density, &density, None);
        add("coverage", found.coverage, &density, None);
    }
    Ok(found)
}

/// What there is to say against a Frechet distance.
fn warning(real: &Sample, generated: &Sample) -> Option<String> {
    let sides = [("generated", generated), ("real", real)];
    let texts = sides.map(|(side, sample)| sample.statistics.warning().map(|text| format!("{side} images: {text}")));
    let texts: Vec<_> = texts.into_iter().flatten().collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// Statistics of a set that has enough samples for them.
pub fn enough(sample: Result<Sample>) -> Result<Option<Sample>> {
    match sample {
        Err(error) if matches!(error.downcast_ref(), Some(FeatureError::TooFewSamples { .. })) => Ok(None),
        sample => sample.map(Some),
    }
}
