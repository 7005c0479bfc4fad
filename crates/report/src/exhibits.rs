//! What a run shows beside its scores where it was measured: how its images lie among real ones.

use crate::Error;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// The file of an [`Embedding`] in a task's folder.
pub const EMBEDDING: &str = "embedding.json";
/// The file of [`Neighbours`] in a task's folder.
pub const NEIGHBOURS: &str = "neighbours.json";
/// The grid beside them: a row for each class, generated images each followed by its nearest training image.
pub const NEIGHBOURS_GRID: &str = "neighbours.png";

/// Where t-SNE puts real and generated images in the plane, by a classifier's features of them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Embedding {
    /// The classifier's name, as on cards.
    pub network: String,
    /// t-SNE's perplexity.
    pub perplexity: f32,
    /// The images.
    pub points: Vec<Point>,
}

/// An image in the plane.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Point {
    /// The class of a real image, or the one asked for.
    pub class: usize,
    /// Whether the image is real.
    pub real: bool,
    /// To the right.
    pub x: f32,
    /// Up.
    pub y: f32,
}

/// How near images are to the nearest training image of their class: the root mean square of the differences of pixels from
/// -1 to 1. A generator that repeats training images is nearer to them than other real images are.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Neighbours {
    /// Generated images, and as many test images, of each class at most.
    pub images: usize,
    /// Class by class, in the order they were learned.
    pub classes: Vec<ClassNeighbours>,
}

/// The means of one class.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct ClassNeighbours {
    /// The class.
    pub class: usize,
    /// Of generated images; null where there are none.
    pub generated: Option<f64>,
    /// Of real test images; null where there are none.
    pub test: Option<f64>,
}

/// Reads one of these files; `None` where there is none.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })?;
    let parsed = serde_json::from_str(&text);
    parsed.map(Some).map_err(|error| Error::Scores { path: path.into(), reason: error.to_string() })
}
