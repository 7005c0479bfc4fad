//! Metrics computed from images: their distances in the feature space of Inception (FID, KID, precision, recall,
//! density, coverage), and how many of them a classifier recognises.

mod distances;
mod error;
mod inputs;
mod network;
mod pictures;
mod recognition;
mod statistics;

pub use distances::{Distance, Family, FeatureSet, Subsets, distances, metric_name};
pub use error::ImagesError;
pub use inputs::{Images, Input};
pub use network::{FeatureNetwork, cached_weights};
pub use recognition::accuracy;

/// The number of images read and processed at a time. Results do not depend on it.
const BATCH: usize = 16;
