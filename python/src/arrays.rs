//! Images and labels as NumPy's arrays.

use mergan_datasets::Labelled;
use ndarray::{Array4, ArrayD, ArrayViewD, Axis, Ix3, Ix4};
use numpy::{IntoPyArray, PyReadonlyArray1, PyReadonlyArrayDyn};
use pyo3::prelude::*;

use crate::errors::{refuse, to_python};

/// Images of Python.
pub type Images<'py> = PyReadonlyArrayDyn<'py, u8>;
/// Images of Python with their labels.
pub type Pairs<'py> = (Images<'py>, PyReadonlyArray1<'py, i64>);

/// Copies images N x H x W, N x H x W x C or N x C x H x W of one or three channels; they become N x C x H x W.
pub fn images(array: &Images) -> PyResult<Array4<u8>> {
    let array: ArrayViewD<u8> = array.as_array();
    let is_channels = |channels: usize| matches!(channels, 1 | 3);
    let images = match *array.shape() {
        [_, channels, _, _] if is_channels(channels) => array.into_dimensionality::<Ix4>(),
        [_, _, _, channels] if is_channels(channels) => {
            array.into_dimensionality::<Ix4>().map(|images| images.permuted_axes([0, 3, 1, 2]))
        }
        [_, _, _] => array.into_dimensionality::<Ix3>().map(|images| images.insert_axis(Axis(1))),
        _ => {
            return Err(refuse(format!(
                "the array has the axes {:?}; images are N x H x W x C or N x C x H x W with 1 or 3 channels, or N x H x W",
                array.shape()
            )));
        }
    };
    let images = images.expect("the number of axes was looked at");
    Ok(images.as_standard_layout().into_owned())
}

/// Copies images with their labels.
pub fn labelled((array, labels): &Pairs) -> PyResult<Labelled> {
    let label = |(image, &label): (usize, &i64)| {
        usize::try_from(label).map_err(|_| refuse(format!("image {image} has label {label}; labels count from 0")))
    };
    let labels = labels.as_array().iter().enumerate().map(label).collect::<PyResult<Vec<_>>>()?;
    Labelled::new(images(array)?, labels).map_err(|error| to_python(error.into()))
}

/// Makes an array N x H x W x C, or N x H x W of grey images.
pub fn to_python_images<T: numpy::Element + Copy>(py: Python<'_>, images: Array4<T>) -> Bound<'_, PyAny> {
    let images: ArrayD<T> = match images.len_of(Axis(1)) {
        1 => images.index_axis_move(Axis(1), 0).into_dyn(),
        _ => images.permuted_axes([0, 2, 3, 1]).as_standard_layout().into_owned().into_dyn(),
    };
    images.into_pyarray(py).into_any()
}
