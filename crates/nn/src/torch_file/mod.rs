//! Reads state dictionaries written by `torch.save`, without executing anything.
//!
//! There are two formats: zip archives, since PyTorch 1.6, and before that a sequence of pickles followed by the
//! numbers. In both, a pickle describes the tensors and names the storages that they are views of.

mod archive;
mod legacy;
mod pickle;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use pickle::{Kind, Object, Pickle, PickleError, Storage, View};

/// The maximum ratio of the tensors' size to the file's size. Views may share numbers, as tied weights do, but without
/// a limit a small file could use a large amount of memory.
const SHARED: usize = 4;

/// The numbers of a tensor, in row-major order.
pub(crate) enum Numbers {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// Tensors by name, with their axes.
pub(crate) type Tensors = BTreeMap<String, (Vec<usize>, Numbers)>;

/// The reason why bytes are not a state dictionary.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TorchFileError {
    /// The pickle is damaged, or describes something else.
    #[error(transparent)]
    Pickle(#[from] PickleError),
    /// The archive cannot be read.
    #[error("the archive {0}")]
    Archive(String),
    /// The file's top-level object is not a dictionary of tensors.
    #[error("it holds no dictionary of tensors by name")]
    NoDictionary,
    /// A tensor's description does not fit its numbers.
    #[error("`{name}` {reason}")]
    Tensor {
        /// The tensor's name.
        name: String,
        /// The mismatch.
        reason: String,
    },
    /// A storage is missing or has another length.
    #[error("the numbers `{key}` {reason}")]
    Storage {
        /// The storage's key.
        key: String,
        /// The mismatch.
        reason: String,
    },
}

/// Returns whether bytes start like a file of `torch.save`.
pub(crate) fn recognises(bytes: &[u8]) -> bool {
    archive::recognises(bytes) || legacy::recognises(bytes)
}

/// Reads the tensors of a state dictionary. Integer tensors, such as counts of batches, are skipped.
///
/// # Errors
/// Returns an error if the bytes are not what `torch.save` writes for a dictionary of tensors.
pub(crate) fn read(bytes: &[u8]) -> Result<Tensors, TorchFileError> {
    if archive::recognises(bytes) { archive::read(bytes) } else { legacy::read(bytes) }
}

/// Returns the views in a pickle's dictionary.
fn views(pickle: &Pickle) -> Result<BTreeMap<&str, &View>, TorchFileError> {
    let Object::Dict(entries) = pickle.root() else { return Err(TorchFileError::NoDictionary) };
    let mut views = BTreeMap::new();
    for &(name, value) in entries {
        let (Object::Text(name), Object::Tensor(view)) = (pickle.object(name), pickle.object(value)) else {
            return Err(TorchFileError::NoDictionary);
        };
        if views.insert(name.as_str(), view).is_some() {
            return Err(TorchFileError::Tensor { name: name.clone(), reason: "comes twice".into() });
        }
    }
    Ok(views)
}

/// Returns the distinct storages of some views.
fn storages<'p>(views: &BTreeMap<&str, &'p View>) -> Result<HashMap<&'p str, &'p Storage>, TorchFileError> {
    let mut storages = HashMap::new();
    for view in views.values() {
        let storage = &view.storage;
        if storages.insert(storage.key.as_str(), storage).is_some_and(|other| other != storage) {
            let (key, reason) = (storage.key.clone(), "are described in two ways".into());
            return Err(TorchFileError::Storage { key, reason });
        }
    }
    Ok(storages)
}

/// Reads the views from their storages, whose bytes are looked up by key.
fn tensors<'b>(
    views: &BTreeMap<&str, &View>,
    numbers: impl Fn(&str) -> &'b [u8],
    available: usize,
) -> Result<Tensors, TorchFileError> {
    let mut budget = available.saturating_mul(SHARED);
    let mut tensors = Tensors::new();
    for (&name, &view) in views {
        let bad = |reason: String| TorchFileError::Tensor { name: name.into(), reason };
        let places = places(view).map_err(bad)?;
        let size = view.storage.kind.size();
        budget = budget.checked_sub(places.len() * size).ok_or_else(|| bad("shares its numbers too often".into()))?;
        let bytes = numbers(&view.storage.key);
        let numbers = match view.storage.kind {
            Kind::F32 => Numbers::F32(gather(bytes, &places, f32::from_le_bytes)),
            Kind::F64 => Numbers::F64(gather(bytes, &places, f64::from_le_bytes)),
            Kind::I64 => continue,
        };
        tensors.insert(name.into(), (view.size.clone(), numbers));
    }
    Ok(tensors)
}

/// The positions of a view's elements in its storage, in row-major order.
enum Places {
    Row(std::ops::Range<usize>),
    Scattered(Vec<usize>),
}

impl Places {
    fn len(&self) -> usize {
        match self {
            Places::Row(range) => range.len(),
            Places::Scattered(places) => places.len(),
        }
    }
}

/// Returns the positions of a view's elements, after checking that the view lies inside its storage and has no more
/// elements than the storage.
fn places(view: &View) -> Result<Places, String> {
    let View { storage, offset, size, stride } = view;
    if size.len() != stride.len() {
        return Err(format!("has the axes {size:?} and the strides {stride:?}"));
    }
    let count = size.iter().try_fold(1usize, |count, &length| count.checked_mul(length));
    let last = size
        .iter()
        .zip(stride)
        .try_fold(*offset, |last, (&length, &stride)| last.checked_add(length.saturating_sub(1).checked_mul(stride)?));
    let (Some(count), Some(last)) = (count.filter(|&count| count <= storage.len), last) else {
        return Err(format!("has the axes {size:?}, more than the {} numbers that it is a view of", storage.len));
    };
    if count == 0 {
        return Ok(Places::Row(0..0));
    }
    if last >= storage.len {
        return Err(format!("ends at number {last} of the {} that it is a view of", storage.len));
    }
    if last - offset + 1 == count && is_row_major(size, stride) {
        return Ok(Places::Row(*offset..last + 1));
    }
    let mut places = vec![*offset];
    for (&length, &stride) in size.iter().zip(stride) {
        places = places.iter().flat_map(|place| (0..length).map(move |i| place + i * stride)).collect();
    }
    Ok(Places::Scattered(places))
}

/// Returns whether the elements are contiguous in row-major order. Axes of length 1 may have any stride.
fn is_row_major(size: &[usize], stride: &[usize]) -> bool {
    let mut step = 1;
    size.iter().zip(stride).rev().all(|(&length, &stride)| {
        let fits = length == 1 || stride == step;
        step *= length;
        fits
    })
}

fn gather<T: Copy, const SIZE: usize>(bytes: &[u8], places: &Places, decode: impl Fn([u8; SIZE]) -> T) -> Vec<T> {
    let (numbers, _) = bytes.as_chunks::<SIZE>();
    match places {
        Places::Row(range) => numbers[range.clone()].iter().map(|number| decode(*number)).collect(),
        Places::Scattered(places) => places.iter().map(|&place| decode(numbers[place])).collect(),
    }
}

/// Returns an error if the number of bytes differs from the storage's description.
fn check_len(storage: &Storage, bytes: usize) -> Result<(), TorchFileError> {
    if storage.len.checked_mul(storage.kind.size()) == Some(bytes) {
        return Ok(());
    }
    let reason = format!("take {bytes} bytes, where {} of {} bytes are described", storage.len, storage.kind.size());
    Err(TorchFileError::Storage { key: storage.key.clone(), reason })
}
