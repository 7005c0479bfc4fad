//! NumPy's archives of arrays (`.npz`): zips of files `.npy`.

use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use zip::ZipArchive;

use crate::npy::{Npy, NpyError};

/// The most bytes that are unpacked from an archive, because they are held in memory.
const MOST_BYTES: u64 = 4 << 30;
/// Arrays up to this size may be compressed however well.
const FEW_BYTES: u64 = 64 << 20;
/// The most by which a larger array may grow when it is unpacked. Images and features shrink by far less.
const MOST_COMPRESSED: u64 = 100;

/// An archive of arrays.
pub struct Npz {
    archive: ZipArchive<BufReader<File>>,
}

impl Npz {
    /// Opens an archive.
    ///
    /// # Errors
    /// When the file cannot be read or is no archive.
    pub fn open(path: &Path) -> Result<Self, NpyError> {
        let file = File::open(path).map_err(|error| NpyError(format!("it cannot be read: {error}")))?;
        let archive = ZipArchive::new(BufReader::new(file));
        Ok(Self { archive: archive.map_err(|error| NpyError(format!("it is no .npz archive: {error}")))? })
    }

    /// Returns the names of the arrays.
    pub fn names(&self) -> Vec<String> {
        let names = self.archive.file_names().filter_map(|name| Some(name.ok()?.into_owned()));
        names.filter_map(|name| Some(name.strip_suffix(".npy")?.to_owned())).collect()
    }

    /// Unpacks the array of this name and reads its header. Memory is only taken for bytes that are there, at most
    /// 4 GiB of them, and beyond 64 MiB at most a hundred times as many as the archive holds of the array.
    ///
    /// # Errors
    /// When there is no such array, or it is damaged or too large.
    pub fn array(&mut self, name: &str) -> Result<Npy<Cursor<Vec<u8>>>, NpyError> {
        let fault = |reason: String| NpyError(format!("array {name}: {reason}"));
        let entry = self.archive.by_name(&format!("{name}.npy")).map_err(|error| fault(error.to_string()))?;
        let packed = entry.compressed_size();
        let most = packed.saturating_mul(MOST_COMPRESSED).clamp(FEW_BYTES, MOST_BYTES);
        let mut bytes = Vec::new();
        entry.take(most + 1).read_to_end(&mut bytes).map_err(|error| fault(error.to_string()))?;
        if bytes.len() as u64 > most {
            return Err(fault(format!(
                "its {packed} bytes unpack to more than {most}, the most that is held in memory; save it as a file .npy"
            )));
        }
        Npy::open(Cursor::new(bytes)).map_err(|error| fault(error.to_string()))
    }
}
