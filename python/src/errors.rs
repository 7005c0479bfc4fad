//! Errors of the library as exceptions of Python, with the text that the command prints.

use std::error::Error;
use std::io::ErrorKind;

use mergan_metrics::ImagesError;
use pyo3::create_exception;
use pyo3::exceptions::{PyFileNotFoundError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

create_exception!(
    mergan,
    MerganError,
    PyRuntimeError,
    "A run, its files or its device are not in the required state; the message names the remedy."
);

/// The exceptions that an error can become.
#[derive(Clone, Copy)]
enum Kind {
    /// `ValueError`: an argument cannot be used.
    Argument,
    /// `FileNotFoundError`.
    Missing,
}

/// Makes the exception for an error.
pub fn to_python(error: anyhow::Error) -> PyErr {
    let text = mergan_cli::explain(error.as_ref());
    match error.chain().find_map(kind) {
        Some(Kind::Argument) => PyValueError::new_err(text),
        Some(Kind::Missing) => PyFileNotFoundError::new_err(text),
        None => MerganError::new_err(text),
    }
}

/// Makes the exception for an argument that cannot be used.
pub fn refuse(text: impl Into<String>) -> PyErr {
    PyValueError::new_err(text.into())
}

fn kind(error: &(dyn Error + 'static)) -> Option<Kind> {
    if let Some(error) = error.downcast_ref::<std::io::Error>() {
        return (error.kind() == ErrorKind::NotFound).then_some(Kind::Missing);
    }
    let of_runs = error.downcast_ref().and_then(of_runs);
    let of_data = || error.downcast_ref().and_then(of_data);
    let of_training = || error.downcast_ref().and_then(of_training);
    let of_images = || error.downcast_ref().and_then(of_images);
    let is_argument = || error.is::<mergan_metrics::FeatureError>().then_some(Kind::Argument);
    of_runs.or_else(of_data).or_else(of_training).or_else(of_images).or_else(is_argument)
}

// An error that only passes on another one is not the other's cause, so each of these looks inside.

fn of_runs(error: &mergan_runs::Error) -> Option<Kind> {
    match error {
        mergan_runs::Error::Request(_) | mergan_runs::Error::Tasks(_) => Some(Kind::Argument),
        mergan_runs::Error::Data(error) => of_data(error),
        mergan_runs::Error::Training(error) => of_training(error),
        mergan_runs::Error::Images(error) => of_images(error),
        mergan_runs::Error::Record(error) => error.source().and_then(kind),
        mergan_runs::Error::Weights(error) => error.source().and_then(kind),
        mergan_runs::Error::Features(error) => kind(error),
        _ => None,
    }
}

fn of_data(error: &mergan_datasets::Error) -> Option<Kind> {
    use mergan_datasets::Error as E;
    match error {
        E::NoSuchPath { .. } => Some(Kind::Missing),
        E::UnknownDataset { .. } | E::ImageOptions { .. } | E::Unpaired { .. } | E::Images { .. } => {
            Some(Kind::Argument)
        }
        E::EmptyClass { .. } | E::NoClasses { .. } | E::Tasks(_) => Some(Kind::Argument),
        _ => error.source().and_then(kind),
    }
}

fn of_training(error: &mergan_strategies::Error) -> Option<Kind> {
    use mergan_strategies::Error as E;
    match error {
        E::UnknownName { .. } | E::Config { .. } | E::Tasks(_) => Some(Kind::Argument),
        E::TooFewImages { .. } | E::ImageSize { .. } => Some(Kind::Argument),
        E::Data(error) => of_data(error),
        E::Weights(error) => error.source().and_then(kind),
        _ => None,
    }
}

fn of_images(error: &ImagesError) -> Option<Kind> {
    match error {
        ImagesError::NoWeights { .. } => Some(Kind::Missing),
        ImagesError::UnknownKind { path } if !path.exists() => Some(Kind::Missing),
        ImagesError::UnknownKind { .. } | ImagesError::NoImages { .. } | ImagesError::Shape { .. } => {
            Some(Kind::Argument)
        }
        ImagesError::MixedSizes { .. } | ImagesError::StatisticsOnly => Some(Kind::Argument),
        ImagesError::Data(error) => of_data(error),
        ImagesError::Features(error) => kind(error),
        ImagesError::Weights(error) => error.source().and_then(kind),
        _ => error.source().and_then(kind),
    }
}
