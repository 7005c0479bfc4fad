//! Files that lie compressed in a local folder.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use super::store::Store;
use super::{Failure, Source};
use crate::manifest::DataFile;

/// A folder whose files have `.gz` added to their names.
pub(super) struct Archives<'a> {
    pub(super) folder: &'a Path,
}

impl Archives<'_> {
    /// Returns the path at which the folder holds `file`, if it does.
    pub(super) fn path(folder: &Path, file: &DataFile) -> Option<PathBuf> {
        file.names().map(|name| folder.join(format!("{name}.gz"))).find(|path| path.exists())
    }
}

impl Source for Archives<'_> {
    fn name(&self) -> String {
        self.folder.join("*.gz").display().to_string()
    }

    /// Tries every file, because a folder filled by hand may well hold only some.
    fn fetch(&self, missing: &[&DataFile], store: &mut Store<'_>) -> Result<(), Failure> {
        let mut reasons = Vec::new();
        for file in missing {
            let archive = Self::path(self.folder, file).ok_or_else(|| io::Error::from(ErrorKind::NotFound));
            let installed = archive
                .and_then(File::open)
                .map_err(|error| Failure::Source(error.to_string()))
                .and_then(|archive| store.install(file, BufReader::new(archive)));
            match installed {
                Ok(()) => {}
                Err(Failure::Source(reason)) => reasons.push(format!("{}.gz: {reason}", file.name)),
                Err(local) => return Err(local),
            }
        }
        if reasons.is_empty() { Ok(()) } else { Err(Failure::Source(reasons.join("; "))) }
    }
}
