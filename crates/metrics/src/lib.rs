//! Scores of continual image generation: how well a generator still draws every class it ever learned.
//!
//! The crate takes predictions, labels and score matrices and knows neither datasets, tensors nor strategies:
//!
//! * [`class_accuracy`] - the share of generated images that a classifier trained on real data recognises,
//! * [`AccuracyMatrix`] - scores by task and class, and the continual metrics read from it,
//! * [`frechet_distance`], [`kernel_distance`], [`Neighbourhoods`] - between features of generated and of real images; the
//!   first from their [`FeatureStatistics`], gathered by a [`FeatureStream`],
//! * [`PairedDifference`] - two strategies over the same seeds.
//!
//! # Example
//!
//! ```
//! use mergan_metrics::{AccuracyMatrix, class_accuracy};
//!
//! // Three of four images drawn as a "7" are recognised as one.
//! assert_eq!(class_accuracy(&[7, 7, 1, 7], 7), Some(0.75));
//!
//! // Two tasks: the first class falls from 0.9 to 0.6 while the second is learned.
//! let mut scores = AccuracyMatrix::new(2);
//! scores.set(0, 0, 0.9);
//! scores.set(1, 0, 0.6);
//! scores.set(1, 1, 0.8);
//! assert!((scores.average_accuracy()? - 0.7).abs() < 1e-12);
//! assert!((scores.forgetting()? - 0.3).abs() < 1e-12);
//!
//! // Forward transfer needs the score of a class before it was learned, which nobody measured here.
//! assert!(scores.forward_transfer(&[0.1, 0.1]).is_err());
//! # Ok::<(), mergan_metrics::MatrixError>(())
//! ```

mod accuracy;
mod features;
mod frechet;
mod kernel;
mod matrix;
mod neighbours;
mod paired;
mod products;
mod spectrum;

pub use accuracy::class_accuracy;
pub use features::{FeatureError, FeatureStatistics, FeatureStream};
pub use frechet::frechet_distance;
pub use kernel::{KernelDistance, kernel_distance};
pub use matrix::{AccuracyMatrix, MatrixError};
pub use neighbours::{DENSITY_NEIGHBOURS, MANIFOLD_NEIGHBOURS, Neighbourhoods};
pub use paired::PairedDifference;
