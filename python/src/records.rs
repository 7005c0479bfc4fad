//! What a run has left on disk, as rows and tables of Python.

use std::path::PathBuf;

use mergan_record::{TaskScores, events};
use mergan_runs::RunDir;
use pyo3::prelude::*;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::errors::to_python;

fn convert<'py>(py: Python<'py>, value: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    Ok(pythonize::pythonize(py, value)?)
}

/// Returns the configuration.
#[pyfunction]
pub fn read_config(py: Python<'_>, run: PathBuf) -> PyResult<Bound<'_, PyAny>> {
    let config = RunDir::new(&run).read_config().map_err(|error| to_python(error.into()))?;
    convert(py, &config)
}

/// Returns the events of the log, one dict a line.
#[pyfunction]
pub fn read_events(py: Python<'_>, run: PathBuf) -> PyResult<Bound<'_, PyAny>> {
    let rows = events::read_as::<Map<String, Value>>(&RunDir::new(&run).events());
    convert(py, &rows.map_err(|error| to_python(error.into()))?)
}

/// Returns the scores of all tasks that have some, one dict for each number.
#[pyfunction]
pub fn read_scores(py: Python<'_>, run: PathBuf) -> PyResult<Bound<'_, PyAny>> {
    let dir = RunDir::new(&run);
    let rows = || -> anyhow::Result<Vec<Value>> {
        let mut rows = Vec::new();
        for task in (1..=dir.read_config()?.tasks).filter(|&task| dir.scores(task).is_file()) {
            let TaskScores { classes, class_names, scores, .. } = TaskScores::read(&dir, task)?;
            for score in scores {
                let name = score.class.and_then(|class| classes.iter().position(|&known| known == class));
                let mut row = Map::from_iter([
                    ("task".to_owned(), task.into()),
                    ("class_name".to_owned(), name.map(|at| class_names[at].clone()).into()),
                ]);
                if let Value::Object(score) = serde_json::to_value(score)? {
                    row.extend(score);
                }
                rows.push(row.into());
            }
        }
        Ok(rows)
    };
    convert(py, &rows().map_err(to_python)?)
}
