//! Images that are compared with others: those of files, and those that a run's generator makes.

use std::path::Path;
use std::{fs, iter};

use mergan_datasets::FetchOptions;
use mergan_metrics::{Images, ImagesError, Input};

use crate::dir::RunDir;
use crate::error::{At, Error};
use crate::trained::Trained;

/// Opens what [`Input::open_with`] opens, or a run directory: `samples` images of each class from its newest generator,
/// by default as many as the run was configured for. They are drawn when they are first read.
///
/// # Errors
/// When the path is none of these, or the run holds no generator yet.
pub fn open_images(path: &Path, samples: Option<usize>, options: &FetchOptions<'_>) -> Result<Input, Error> {
    fs::metadata(path).at("reading", path)?;
    let run = RunDir::new(path);
    if run.config().is_file() {
        let config = run.read_config()?;
        let trained = Trained::load(&run.generator(run.newest_task()?))?;
        let samples = samples.unwrap_or(config.evaluation.samples);
        let count = samples * trained.usage.classes.len();
        let images = iter::once_with(move || trained.draw_all(samples, config.seed)).flatten();
        return Ok(Images::new(count, images.map(Ok)).into());
    }
    Input::open_with(path, options).map_err(|error| match error {
        ImagesError::UnknownKind { path } => Error::Request(format!(
            "{} is no set of images; give a folder of pictures, an array .npy or .npz, a prepared file .h5, \
             statistics .npz, or a run directory",
            path.display()
        )),
        error => error.into(),
    })
}
