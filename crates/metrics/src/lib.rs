#![cfg_attr(feature = "images", doc = include_str!("../README.md"))]
//!
//! # The mathematics
//!
//! On predictions, labels, features and score matrices, without networks and files:
//!
//! * [`class_accuracy`] - the share of generated images that a classifier trained on real data recognises,
//! * [`AccuracyMatrix`] - scores by task and class, and the continual metrics read from it,
//! * [`frechet_distance`], [`kernel_distance`], [`Neighbourhoods`] - between features of generated and of real images; the
//!   first from their [`FeatureStatistics`], gathered by a [`FeatureStream`],
//! * [`PairedDifference`] - two strategies over the same seeds.

mod accuracy;
mod features;
mod frechet;
#[cfg(feature = "images")]
mod images;
mod kernel;
mod matrix;
mod neighbours;
mod paired;
mod products;
mod spectrum;

pub use accuracy::class_accuracy;
pub use features::{FeatureError, FeatureStatistics, FeatureStream, if_enough};
pub use frechet::{frechet_distance, frechet_warning};
#[cfg(feature = "images")]
pub use images::{
    Distance, Family, FeatureNetwork, FeatureSet, Images, ImagesError, Input, Subsets, accuracy, cached_weights,
    distances, metric_name,
};
pub use kernel::{KernelDistance, kernel_distance};
pub use matrix::{AccuracyMatrix, MatrixError};
pub use neighbours::{DENSITY_NEIGHBOURS, MANIFOLD_NEIGHBOURS, Neighbourhoods};
pub use paired::PairedDifference;

// What the functions above take and give.
pub use ndarray;
#[cfg(feature = "images")]
pub use {mergan_datasets as datasets, mergan_models as models, mergan_tensor as tensor};
