//! Distances between sets of images in the feature space of Inception: FID, KID, precision, recall, density, coverage.

mod arguments;
mod distances;
mod network;
mod pictures;
mod sets;
mod statistics;

pub use arguments::InceptionArguments;
pub use distances::{Family, Found, Sample, Subsets, distances, enough};
pub use network::{FeatureNetwork, named};
pub use sets::{ImageSet, Input, open};
pub use statistics::save_statistics;
