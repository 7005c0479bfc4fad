//! Verifies the size and checksum of a file while it is streamed.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::Failure;
use crate::hex::hex;
use crate::manifest::DataFile;

const CHUNK: usize = 64 * 1024;

/// Reads `from` to its end and passes each chunk to `piece`.
pub(crate) fn for_each_chunk<E>(
    mut from: impl Read,
    mut piece: impl FnMut(&[u8]) -> Result<(), E>,
    failed: impl Fn(std::io::Error) -> E,
) -> Result<(), E> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => piece(&buffer[..count])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Passes the content of `from` to `write` and verifies that it is the content of `file`.
///
/// Never reads much more than the expected size, so an endless or hostile source cannot fill the disk.
pub(super) fn copy_verified(
    from: impl Read,
    file: &DataFile,
    mut write: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut hash = Sha256::new();
    let mut size = 0;
    for_each_chunk(
        from,
        |chunk| {
            size += chunk.len() as u64;
            if size > file.size {
                return Err(Failure::Source(format!("is longer than the expected {} bytes", file.size)));
            }
            hash.update(chunk);
            write(chunk)
        },
        |error| Failure::Source(format!("cannot be read to its end: {error}")),
    )?;
    if size != file.size {
        return Err(Failure::Source(format!("has {size} bytes, expected {}", file.size)));
    }
    let sha256 = hex(hash.finalize());
    if sha256 != file.sha256 {
        return Err(Failure::Source(format!("has SHA-256 {sha256}, expected {}", file.sha256)));
    }
    Ok(())
}

/// Verifies a file in place. The error completes a sentence that starts with the file's name.
pub(super) fn verify_file(path: &Path, file: &DataFile) -> Result<(), String> {
    let opened = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => "is not there".into(),
        _ => format!("cannot be opened: {error}"),
    })?;
    copy_verified(opened, file, |_| Ok(())).map_err(|failure| match failure {
        Failure::Source(reason) => reason,
        Failure::Local(error) => error.to_string(),
    })
}
