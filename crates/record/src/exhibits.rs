//! The results of a run other than its scores, if they were measured: the position of its images among real ones.

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::seal::{self, Seal};
use crate::{Error, Layout};

/// A t-SNE map of real and generated images in the plane, based on a classifier's features.
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
    /// The class of a real image, or the class requested of the generator.
    pub class: usize,
    /// Whether the image is real.
    pub real: bool,
    /// The horizontal coordinate, to the right.
    pub x: f32,
    /// The vertical coordinate, upwards.
    pub y: f32,
}

/// The distance of images to the nearest training image of their class, as the root mean square of pixel differences;
/// pixels range from -1 to 1. If a generator repeats training images, its images are nearer to them than other real
/// images are.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Neighbours {
    /// The most generated images of each class, and the most test images.
    pub images: usize,
    /// The classes, in the order they were learned.
    pub classes: Vec<ClassNeighbours>,
}

/// The means of one class.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct ClassNeighbours {
    /// The class.
    pub class: usize,
    /// The mean for generated images; null if there are none.
    pub generated: Option<f64>,
    /// The mean for real test images; null if there are none.
    pub test: Option<f64>,
}

impl Embedding {
    /// Reads the embedding of a task (from 1); returns `None` if it was not measured.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Scores`].
    pub fn read(run: &Layout, task: usize) -> Result<Option<Self>, Error> {
        read(&run.embedding(task))
    }
}

impl Neighbours {
    /// Reads the neighbours of a task (from 1); returns `None` if they were not searched for.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Scores`].
    pub fn read(run: &Layout, task: usize) -> Result<Option<Self>, Error> {
        read(&run.neighbours(task))
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(path).map_err(Error::reading(path))?;
    if seal::check(&text, seal::JSON) == Seal::Broken {
        return Err(Error::broken(path.into()));
    }
    let parsed = serde_json::from_str(&text);
    parsed.map(Some).map_err(|error| Error::Scores { path: path.into(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_is_read_and_what_was_not_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let run = Layout::new(folder.path());
        assert_eq!((Embedding::read(&run, 1).unwrap(), Neighbours::read(&run, 1).unwrap()), (None, None));

        fs::create_dir_all(run.task(1)).unwrap();
        let points = vec![Point { class: 4, real: true, x: 0.5, y: -1.0 }];
        let embedding = Embedding { network: "digit-mlp".into(), perplexity: 20.0, points };
        fs::write(run.embedding(1), serde_json::to_string(&embedding).unwrap()).unwrap();
        assert_eq!(Embedding::read(&run, 1).unwrap(), Some(embedding));
        let classes = vec![ClassNeighbours { class: 4, generated: None, test: Some(0.25) }];
        let neighbours = Neighbours { images: 50, classes };
        fs::write(run.neighbours(1), serde_json::to_string(&neighbours).unwrap()).unwrap();
        assert_eq!(Neighbours::read(&run, 1).unwrap(), Some(neighbours));

        fs::write(run.embedding(1), "{").unwrap();
        let message = Embedding::read(&run, 1).unwrap_err().to_string();
        assert!(message.contains("embedding.json") && message.contains("mergan evaluate --task T --save"), "{message}");
    }
}
