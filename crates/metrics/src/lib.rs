#![cfg_attr(feature = "images", doc = include_str!("../README.md"))]
//!
//! # The mathematics
//!
//! These functions work on predictions, labels, features and score matrices, without networks or files:
//!
//! * [`class_accuracy`] - the share of generated images that a classifier trained on real data recognises,
//! * [`AccuracyMatrix`] - scores by task and class, and the continual metrics read from it,
//! * [`frechet_distance`], [`kernel_distance`], [`Neighbourhoods`] - distances between features of generated and of
//!   real images; the first takes their [`FeatureStatistics`], gathered by a [`FeatureStream`],
//! * [`Spread`], [`PairedDifference`], [`holm`] - a score over several seeds with its t interval, two strategies compared
//!   over the same seeds, and the correction for the number of such comparisons.

mod accuracy;
mod features;
mod frechet;
mod holm;
#[cfg(feature = "images")]
mod images;
mod kernel;
mod matrix;
mod neighbours;
mod paired;
mod products;
mod spectrum;
mod spread;
mod student;

pub use accuracy::class_accuracy;
pub use features::{FeatureError, FeatureStatistics, FeatureStream, if_enough};
pub use frechet::{frechet_distance, frechet_warning};
pub use holm::holm;
#[cfg(feature = "images")]
pub use images::{
    Distance, Family, FeatureNetwork, FeatureSet, Images, ImagesError, Input, Subsets, accuracy, cached_weights,
    distances, metric_name,
};
pub use kernel::{KernelDistance, kernel_distance};
pub use matrix::{AccuracyMatrix, MatrixError};
pub use neighbours::{DENSITY_NEIGHBOURS, MANIFOLD_NEIGHBOURS, Neighbourhoods};
pub use paired::PairedDifference;
pub use spread::Spread;

// Crates whose types appear in the functions above.
pub use ndarray;
#[cfg(feature = "images")]
pub use {mergan_datasets as datasets, mergan_models as models, mergan_tensor as tensor};
