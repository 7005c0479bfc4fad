//! Images that are compared with others: those of files, and those that a run's generator makes.

use std::fs;
use std::path::Path;

use mergan_metrics::{Images, ImagesError, Input};

use crate::dir::RunDir;
use crate::error::{At, Error};
use crate::trained::Trained;

/// Opens what [`Input::open`] opens, or a run directory: `samples` images of each class from its newest generator, by
/// default as many as the run was configured for.
///
/// # Errors
/// When the path is none of these, or the run holds no generator yet.
pub fn open_images(path: &Path, samples: Option<usize>) -> Result<Input, Error> {
    fs::metadata(path).at("reading", path)?;
    let run = RunDir::new(path);
    if run.config().is_file() {
        let config = run.read_config()?;
        let trained = Trained::load(&run.generator(run.newest_task()?))?;
        let images = trained.draw_all(samples.unwrap_or(config.evaluation.samples), config.seed);
        let count = images.iter().map(|images| images.dim().0).sum();
        return Ok(Images::new(count, images.into_iter().map(Ok)).into());
    }
    Input::open(path).map_err(|error| match error {
        ImagesError::UnknownKind { path } => Error::Request(format!(
            "{} is no set of images; give a folder of pictures, an array .npy or .npz, a prepared file .h5, \
                 statistics .npz, or a run directory",
            path.display()
        )),
        error => error.into(),
    })
}
