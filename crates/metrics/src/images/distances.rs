//! The distances measured between two sets of features.

use std::fmt::{self, Display, Formatter};

use mergan_tensor::{Address, Random};
use ndarray::{Array2, ArrayView2, Axis};

use super::ImagesError;
use crate::{
    DENSITY_NEIGHBOURS, FeatureError, FeatureStatistics, FeatureStream, KernelDistance, MANIFOLD_NEIGHBOURS,
    Neighbourhoods, frechet_distance, frechet_warning, kernel_distance,
};

/// Metrics that are measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The Frechet distance (Heusel et al. 2017): `fid`.
    Fid,
    /// The kernel distance (Binkowski et al. 2018): `kid`, `kid_deviation` and `kid_full`.
    Kid,
    /// `precision` and `recall` (Kynkäänniemi et al. 2019), `density` and `coverage` (Naeem et al. 2020).
    Prdc,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 3] = [Family::Fid, Family::Kid, Family::Prdc];

    /// Returns its name in options: `fid`, `kid` or `prdc`.
    pub fn name(self) -> &'static str {
        match self {
            Family::Fid => "fid",
            Family::Kid => "kid",
            Family::Prdc => "prdc",
        }
    }

    /// Returns whether a metric needs the features themselves, not just their mean and covariance.
    fn needs_features(self) -> bool {
        self != Family::Fid
    }
}

/// The features of a set of images, as far as they are needed.
#[derive(Clone, Debug)]
pub struct FeatureSet {
    /// Their mean and covariance.
    pub statistics: FeatureStatistics,
    /// The features themselves, one row per image, if a metric needs them.
    pub features: Option<Array2<f64>>,
}

impl FeatureSet {
    /// Gathers features of `dimension` numbers, one row per image, batch by batch. The features are kept if one of
    /// the metrics needs them.
    ///
    /// # Errors
    /// The first error among the batches, and when there are fewer than two images or a feature is not finite.
    ///
    /// # Panics
    /// When a row does not have this dimension.
    pub fn gather<T: Copy + Into<f64>, E: From<FeatureError>>(
        dimension: usize,
        families: &[Family],
        batches: impl IntoIterator<Item = Result<Array2<T>, E>>,
    ) -> Result<Self, E> {
        let keep = families.iter().any(|family| family.needs_features());
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
        Ok(FeatureSet { statistics: stream.finish()?, features })
    }

    /// Combines the images of both sets.
    ///
    /// # Panics
    /// When the features come from different networks, or statistics do not state the number of images.
    pub fn joined(&self, other: &Self) -> Self {
        let features = self.features.as_ref().zip(other.features.as_ref());
        let join = |(here, there): (&Array2<f64>, &Array2<f64>)| {
            ndarray::concatenate(Axis(0), &[here.view(), there.view()]).expect("features of one network")
        };
        FeatureSet { statistics: self.statistics.merged(&other.statistics), features: features.map(join) }
    }

    fn features(&self) -> Result<ArrayView2<'_, f64>, ImagesError> {
        self.features.as_ref().map(|features| features.view()).ok_or(ImagesError::StatisticsOnly)
    }
}

/// Wraps statistics without features, which suffice for a Frechet distance.
impl From<FeatureStatistics> for FeatureSet {
    fn from(statistics: FeatureStatistics) -> Self {
        FeatureSet { statistics, features: None }
    }
}

/// The subsets over which the kernel distance is averaged.
#[derive(Clone, Copy, Debug)]
pub struct Subsets {
    /// The number of subsets.
    pub count: usize,
    /// The number of images in each, unless a set has fewer.
    pub size: usize,
    /// The seed for choosing them.
    pub seed: u64,
}

impl Default for Subsets {
    fn default() -> Self {
        Subsets { count: 100, size: 1000, seed: 0 }
    }
}

/// The stream of random numbers that chooses the subsets of the kernel distance.
const SUBSETS_STREAM: u16 = 0x200;

impl Subsets {
    fn choose(&self, real: usize, generated: usize) -> Vec<[Vec<usize>; 2]> {
        let size = self.size.min(real).min(generated);
        let random = Random::new(self.seed);
        let subset = |i: usize| {
            [(0, real), (1, generated)].map(|(inner, count)| {
                let address = Address { stream: SUBSETS_STREAM, step: i as u32, substep: inner, ..Address::default() };
                let mut order = random.permutation(address, count);
                order.truncate(size);
                order
            })
        };
        (0..self.count).map(subset).collect()
    }
}

/// One number measured between two sets of images.
#[derive(Clone, Debug, PartialEq)]
pub struct Distance {
    /// The metric's name: `fid`, `kid`, `precision`, ..., followed by the network's name if the network is not FID's.
    pub metric: String,
    /// The value.
    pub value: f64,
    /// The method of computing it from the features.
    pub estimator: String,
    /// Why the value is unreliable, if it is.
    pub warning: Option<String>,
}

/// Formats the number with its name and its warning, in one line.
impl Display for Distance {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:.4}", self.metric, self.value)?;
        self.warning.iter().try_for_each(|warning| write!(f, " (warning: {warning})"))
    }
}

/// Computes the distances of `generated` from `real`, named as those of the network that defines FID.
///
/// # Errors
/// When the features of a set are needed but absent, come from different networks, are too few, or are not finite.
pub fn distances(
    families: &[Family],
    real: &FeatureSet,
    generated: &FeatureSet,
    subsets: Subsets,
) -> Result<Vec<Distance>, ImagesError> {
    let mut found = Vec::new();
    let mut add = |metric: &str, value, estimator: &str, warning| {
        found.push(Distance { metric: metric.into(), value, estimator: estimator.into(), warning });
    };
    if families.contains(&Family::Fid) {
        let (real, generated) = (&real.statistics, &generated.statistics);
        let value = frechet_distance(real, generated)?;
        add("fid", value, "covariances divided by N - 1", frechet_warning(real, generated));
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

/// Returns the name of a metric such as `fid` or `kid` on the features of the network that defines FID (`None`) or of
/// another one: `metric_name("fid", Some("dino"))` is `fd_dino`.
pub fn metric_name(metric: &str, network: Option<&str>) -> String {
    match (network, metric.strip_prefix("fid")) {
        (None, _) => metric.into(),
        (Some(network), Some(rest)) => format!("fd{rest}_{network}"),
        (Some(network), None) => format!("{metric}_{network}"),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn only_the_network_of_fid_gives_a_fid() {
        assert_eq!(metric_name("fid", None), "fid");
        assert_eq!(metric_name("fid", Some("dino")), "fd_dino");
        assert_eq!(metric_name("fid_pooled", Some("dino")), "fd_pooled_dino");
        assert_eq!(metric_name("precision", Some("dino")), "precision_dino");
    }

    #[test]
    fn features_are_kept_where_a_metric_needs_them() {
        let batches = [array![[1.0, 2.0]], array![[3.0, 5.0], [2.0, 2.0]]];
        let gather =
            |families: &[Family]| FeatureSet::gather(2, families, batches.clone().map(Ok::<_, FeatureError>)).unwrap();
        let [without, with] = [gather(&[Family::Fid]), gather(&[Family::Fid, Family::Prdc])];
        assert_eq!(without.statistics, with.statistics);
        assert_eq!((without.features, with.features), (None, Some(array![[1.0, 2.0], [3.0, 5.0], [2.0, 2.0]])));
    }

    #[test]
    fn statistics_have_a_frechet_distance_only() {
        let features = Array2::from_shape_fn((7, 2), |(i, j)| ((3 * i + 5 * j) % 7) as f64);
        let set = FeatureSet::gather(2, &[Family::Kid], [Ok::<_, FeatureError>(features)]).unwrap();
        let alone = FeatureSet::from(set.statistics.clone());
        let measure = |family| distances(&[family], &set, &alone, Subsets::default());
        let fid = &measure(Family::Fid).unwrap()[0];
        assert!(fid.value < 1e-12 && fid.to_string().starts_with("fid 0.0000"), "{fid}");
        for family in [Family::Kid, Family::Prdc] {
            assert!(matches!(measure(family), Err(ImagesError::StatisticsOnly)));
        }
    }
}
