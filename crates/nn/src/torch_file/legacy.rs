//! Reads files written before PyTorch 1.6: five pickles (a magic number, a version, the sizes of types, the tensors,
//! the keys of the storages), then each storage's length and numbers, in the order of the keys.

use std::collections::HashMap;

use super::pickle::{Object, Pickle, PickleError};
use super::{Tensors, TorchFileError, check_len, storages, tensors, views};

/// The first pickle: protocol 2, the ten bytes of 0x1950a86a20f9469cfc6c, stop.
const MAGIC: [u8; 15] = *b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

pub(super) fn recognises(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

pub(super) fn read(bytes: &[u8]) -> Result<Tensors, TorchFileError> {
    let mut at = MAGIC.len();
    let mut next = || {
        let pickle = Pickle::read(&bytes[at..]).map_err(|error| PickleError { offset: at + error.offset, ..error })?;
        at += pickle.len;
        Ok::<_, PickleError>(pickle)
    };
    let (_version, _sizes, described, keys) = (next()?, next()?, next()?, next()?);
    let views = views(&described)?;
    let storages = storages(&views)?;
    let mut numbers: HashMap<&str, &[u8]> = HashMap::new();
    let Object::List(listed) = keys.root() else { return Err(TorchFileError::NoDictionary) };
    for &key in listed {
        let storage = match keys.object(key) {
            Object::Text(key) => storages.get(key.as_str()),
            _ => None,
        };
        // The size of a storage that no tensor refers to is unknown.
        let Some(storage) = storage else { return Err(TorchFileError::NoDictionary) };
        let rest = &bytes[at..];
        let missing = |reason: &str| TorchFileError::Storage { key: storage.key.clone(), reason: reason.into() };
        let (len, rest) = rest.split_first_chunk().ok_or_else(|| missing("are beyond the end of the file"))?;
        let len = usize::try_from(u64::from_le_bytes(*len)).ok().and_then(|len| len.checked_mul(storage.kind.size()));
        let found = len.and_then(|len| rest.get(..len)).ok_or_else(|| missing("reach beyond the end of the file"))?;
        check_len(storage, found.len())?;
        numbers.insert(&storage.key, found);
        at += size_of::<u64>() + found.len();
    }
    if let Some(key) = storages.keys().find(|key| !numbers.contains_key(**key)) {
        return Err(TorchFileError::Storage { key: key.to_string(), reason: "are not in the file".into() });
    }
    tensors(&views, |key| numbers[key], bytes.len())
}
