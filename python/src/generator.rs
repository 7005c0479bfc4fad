//! Generators, from which images are drawn.

use std::path::PathBuf;

use mergan_runs::{RunDir, Trained};
use ndarray::{Array2, Array4, Ix4};
use numpy::PyReadonlyArray2;
use pyo3::prelude::*;

use crate::arrays::to_python_images;
use crate::compute::compute;

/// A generator that has learned some classes.
#[pyclass(frozen, module = "mergan._mergan")]
pub struct Generator {
    trained: Trained,
    path: PathBuf,
}

#[pymethods]
impl Generator {
    /// Reads a generator, or that of a run directory after a task, by default the newest.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf, task: Option<usize>, device: &str, precision: &str) -> PyResult<Self> {
        compute(py, None, |_| {
            let path =
                task.map_or_else(|| RunDir::generator_of(&path), |task| Ok(RunDir::new(&path).generator(task)))?;
            let device = mergan_cli::open_device(device, precision)?;
            Ok(Generator { trained: Trained::load(&path)?.on(device), path })
        })
    }

    /// The names of the classes, in the order in which they were learned.
    #[getter]
    fn classes(&self) -> Vec<String> {
        self.trained.usage.class_names.clone()
    }

    /// The numbers of the classes in the dataset, in the same order.
    #[getter]
    fn class_numbers(&self) -> Vec<usize> {
        self.trained.usage.classes.clone()
    }

    /// The channels, height and width of an image.
    #[getter]
    fn image_shape(&self) -> [usize; 3] {
        self.trained.generator.config().image_shape()
    }

    /// The length of a latent vector.
    #[getter]
    fn latent(&self) -> usize {
        self.trained.generator.config().latent
    }

    /// The file.
    #[getter]
    fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// Draws images of a class at the latents of a seed.
    fn sample<'py>(
        &self,
        py: Python<'py>,
        class: &str,
        count: usize,
        seed: u64,
        batch_statistics: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let draw = || self.trained.draw_from(self.source(batch_statistics), class, count, seed);
        let images: Array4<u8> = compute(py, None, |_| Ok(draw()?))?;
        Ok(to_python_images(py, images))
    }

    /// Draws images of a class at these latents, from -1 to 1.
    fn sample_at<'py>(
        &self,
        py: Python<'py>,
        class: &str,
        latents: PyReadonlyArray2<'py, f64>,
        batch_statistics: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let latents: Array2<f64> = latents.as_array().to_owned();
        let draw = || self.trained.draw_at(self.source(batch_statistics), class, &latents);
        let images: Array4<f32> = compute(py, None, |_| Ok(draw()?.to_array::<f32, Ix4>()))?;
        Ok(to_python_images(py, images))
    }
}

impl Generator {
    fn source(&self, batch_statistics: bool) -> mergan_strategies::Source<'_> {
        if batch_statistics { self.trained.source() } else { self.trained.standing_source() }
    }
}
