//! Reads files of PyTorch 1.6 and later: a zip archive of `NAME/data.pkl`, which describes the tensors, and
//! `NAME/data/KEY`, which holds their numbers. Nothing in the archive is compressed, so no entry is larger than the
//! file.

use std::collections::HashMap;
use std::io::{Cursor, Read};

use zip::{CompressionMethod, ZipArchive};

use super::pickle::Pickle;
use super::{Tensors, TorchFileError, check_len, storages, tensors, views};

pub(super) fn recognises(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

pub(super) fn read(bytes: &[u8]) -> Result<Tensors, TorchFileError> {
    let damaged = |error: zip::result::ZipError| TorchFileError::Archive(format!("is damaged ({error})"));
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
    let mut names = archive.file_names().filter_map(Result::ok);
    let folder = names.find_map(|name| name.strip_suffix("data.pkl").map(String::from));
    drop(names);
    let folder = folder.ok_or_else(|| TorchFileError::Archive("holds no data.pkl".into()))?;
    let mut entry = |name: &str| {
        let name = format!("{folder}{name}");
        let mut entry =
            archive.by_name(&name).map_err(|error| TorchFileError::Archive(format!("lacks {name} ({error})")))?;
        if entry.compression() != CompressionMethod::Stored {
            return Err(TorchFileError::Archive(format!("compresses {name}; torch.save does not")));
        }
        let mut contents = Vec::new();
        let read = entry.read_to_end(&mut contents);
        read.map_err(|error| TorchFileError::Archive(format!("is damaged at {name} ({error})")))?;
        Ok(contents)
    };
    match entry("byteorder") {
        Ok(order) if order != b"little" => {
            return Err(TorchFileError::Archive(
                "holds big-endian numbers; save it again on a little-endian machine".into(),
            ));
        }
        // Files of older versions have no such entry.
        _ => {}
    }
    let described = Pickle::read(&entry("data.pkl")?)?;
    let views = views(&described)?;
    let mut numbers: HashMap<&str, Vec<u8>> = HashMap::new();
    for (&key, storage) in &storages(&views)? {
        let found = entry(&format!("data/{key}"))?;
        check_len(storage, found.len())?;
        numbers.insert(key, found);
    }
    tensors(&views, |key| &numbers[key], bytes.len())
}
