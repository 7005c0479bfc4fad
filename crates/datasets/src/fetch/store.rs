//! One dataset's folder in the cache. This is the only code that writes there.
//!
//! Names that start with a dot are temporary. Only the holder of the lock writes, so a temporary file left by a
//! killed process is simply replaced.

use std::fs;
use std::io::{self, BufRead, Read, Write};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;
use mergan_files::{LockFile, create_anew, rename_durably};

use super::verify::copy_verified;
use super::{Event, Failure, Files};
use crate::Error;
use crate::manifest::DataFile;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The right to write in a dataset's folder. One process at a time holds it, until this is dropped.
pub(crate) struct Lock {
    _file: LockFile,
}

impl Lock {
    /// Acquires the lock of `folder`, creating the folder if necessary. The observer is told if another process has to
    /// be waited for.
    pub(crate) fn acquire(folder: &Path, dataset: &str, observer: &dyn Fn(Event<'_>)) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(cache_error("create the folder", folder))?;
        let path = folder.join(".lock");
        let file = LockFile::lock(&path, || observer(Event::Waiting { dataset }));
        let file = file.map_err(cache_error("lock", &path))?;
        if let Some(what) = file.notice() {
            observer(Event::Noted { what });
        }
        Ok(Self { _file: file })
    }
}

/// Installs verified files and keeps track of those that are on this machine.
pub(super) struct Store<'a> {
    folder: &'a Path,
    files: Files,
    observer: &'a dyn Fn(Event<'_>),
}

impl<'a> Store<'a> {
    pub(super) fn new(folder: &'a Path, files: Files, observer: &'a dyn Fn(Event<'_>)) -> Self {
        Self { folder, files, observer }
    }

    pub(super) fn files(&self) -> &Files {
        &self.files
    }

    pub(super) fn into_files(self) -> Files {
        self.files
    }

    pub(super) fn progress(&self, from: &str, file: &DataFile, done: u64, total: Option<u64>) {
        let file = &file.name;
        (self.observer)(Event::Progress { from, file, done, total });
    }

    /// Writes `content`, raw or gzip, as `file`: first under a temporary name, then verified, then renamed.
    pub(super) fn install(&mut self, file: &DataFile, content: impl BufRead) -> Result<(), Failure> {
        let path = self.folder.join(&file.name);
        let temporary = self.folder.join(format!(".{}.tmp", file.name));
        let installed = write_verified(&temporary, file, content)
            .and_then(|()| Ok(rename_durably(&temporary, &path).map_err(cache_error("create", &path))?));
        // The leftover is no longer needed. It may not exist or not be removable, and neither is a reason to fail.
        let leftover = if installed.is_ok() { self.partial(file) } else { temporary };
        let _ = fs::remove_file(leftover);
        installed.inspect(|()| self.files.insert(&file.name, path))
    }

    /// Returns the path at which an incomplete download is kept. All mirrors share it because they hold the same
    /// bytes; if they do not, the checksum reveals it.
    pub(super) fn partial(&self, file: &DataFile) -> PathBuf {
        self.folder.join(format!(".{}.part", file.name))
    }

    /// Gives `work` an empty folder, which is removed afterwards.
    pub(super) fn with_scratch<T>(
        &mut self,
        work: impl FnOnce(&mut Self, &Path) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let scratch = self.folder.join(".scratch");
        let _ = fs::remove_dir_all(&scratch);
        fs::create_dir(&scratch).map_err(cache_error("create the folder", &scratch))?;
        let result = work(self, &scratch);
        let _ = fs::remove_dir_all(&scratch);
        result
    }
}

/// Writes `content`, raw or gzip, to `path` and syncs it to disk, provided that it is the content of `file`.
fn write_verified(path: &Path, file: &DataFile, mut content: impl BufRead) -> Result<(), Failure> {
    let start = content.fill_buf().map_err(|error| Failure::Source(format!("cannot be read: {error}")))?;
    let content: Box<dyn Read + '_> =
        if start.starts_with(&GZIP_MAGIC) { Box::new(GzDecoder::new(content)) } else { Box::new(content) };
    let write_error = cache_error("write", path);
    let mut out = create_anew(path).map_err(&write_error)?;
    copy_verified(content, file, |chunk| Ok(out.write_all(chunk).map_err(&write_error)?))?;
    Ok(out.sync_all().map_err(&write_error)?)
}

/// Completes an [`Error::Cache`] with the system's error.
pub(crate) fn cache_error(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::Cache { action, path: path.into(), source }
}
