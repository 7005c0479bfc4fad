//! One dataset's folder in the cache: the only code that writes there.
//!
//! Names that start with a dot are temporary. Only the holder of the lock writes, so a temporary name left by a
//! process that was killed is simply written again.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead, Read, Write};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;

use super::verify::copy_verified;
use super::{Event, Failure, Files};
use crate::Error;
use crate::manifest::DataFile;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The right to write in a dataset's folder, held by one process at a time until it is dropped.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock of `folder`, making the folder if need be; `waiting` is called before a wait.
    pub(crate) fn acquire(folder: &Path, waiting: impl FnOnce()) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(cache_error("create the folder", folder))?;
        let path = folder.join(".lock");
        let file = File::create(&path).map_err(cache_error("create", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                waiting();
                file.lock().map_err(cache_error("lock", &path))?;
            }
            Err(TryLockError::Error(source)) => return Err(cache_error("lock", &path)(source)),
        }
        Ok(Self { _file: file })
    }
}

/// Installs verified files and knows which are at hand.
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

    /// Writes `content`, raw or gzip, as `file`: under a temporary name, verified, then renamed.
    pub(super) fn install(&mut self, file: &DataFile, content: impl BufRead) -> Result<(), Failure> {
        let path = self.folder.join(&file.name);
        let temporary = self.folder.join(format!(".{}.tmp", file.name));
        let installed = write_verified(&temporary, file, content)
            .and_then(|()| Ok(fs::rename(&temporary, &path).map_err(cache_error("create", &path))?));
        // What is left over is of no more use. That it may not be there, or may not go, is no reason to fail.
        let leftover = if installed.is_ok() { self.partial(file) } else { temporary };
        let _ = fs::remove_file(leftover);
        installed.inspect(|()| self.files.insert(&file.name, path))
    }

    /// Where a download is kept until it is whole. Mirrors share it: they hold the same bytes, and where they do not, the
    /// checksum notices.
    pub(super) fn partial(&self, file: &DataFile) -> PathBuf {
        self.folder.join(format!(".{}.part", file.name))
    }

    /// An empty folder for a source to work in, removed when `work` is done.
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

/// Writes `content`, raw or gzip, to `path`, down to the disk, if it is the content of `file`.
fn write_verified(path: &Path, file: &DataFile, mut content: impl BufRead) -> Result<(), Failure> {
    let start = content.fill_buf().map_err(|error| Failure::Source(format!("cannot be read: {error}")))?;
    let content: Box<dyn Read + '_> =
        if start.starts_with(&GZIP_MAGIC) { Box::new(GzDecoder::new(content)) } else { Box::new(content) };
    let write_error = cache_error("write", path);
    let mut out = File::create(path).map_err(&write_error)?;
    copy_verified(content, file, |chunk| Ok(out.write_all(chunk).map_err(&write_error)?))?;
    Ok(out.sync_all().map_err(&write_error)?)
}

/// Completes an [`Error::Cache`] with what the system said.
pub(crate) fn cache_error(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::Cache { action, path: path.into(), source }
}
