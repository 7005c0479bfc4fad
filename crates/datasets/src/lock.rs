//! Files that are locked while a process writes in their folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

/// A locked file. The lock is released when this is dropped or the process ends, however it ends; the file stays.
#[derive(Debug)]
pub struct LockFile {
    _file: File,
}

impl LockFile {
    /// Locks the file at `path`, which is created if it does not exist; returns `None` if another holds the lock.
    ///
    /// # Errors
    /// When the file cannot be created, is a symbolic link, or the file system has no locks.
    pub fn try_lock(path: &Path) -> io::Result<Option<Self>> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(LockFile { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Does the same as [`try_lock`](LockFile::try_lock), but waits for the lock; `waiting` is called if it is taken.
    ///
    /// # Errors
    /// The errors of [`try_lock`](LockFile::try_lock).
    pub fn lock(path: &Path, waiting: impl FnOnce()) -> io::Result<Self> {
        if let Some(lock) = LockFile::try_lock(path)? {
            return Ok(lock);
        }
        waiting();
        let file = open(path)?;
        file.lock()?;
        Ok(LockFile { _file: file })
    }
}

/// Opens a lock file. Whoever can write in the folder could put a link to another's file in its place, so links are
/// not followed, and what the file holds is left alone.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
    }
    options.open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn one_holds_the_lock_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".lock");
        let held = LockFile::try_lock(&path).unwrap().unwrap();
        assert!(LockFile::try_lock(&path).unwrap().is_none());
        drop(held);
        LockFile::lock(&path, || panic!("it is free")).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join(".lock"), folder.path().join("victim"));
        fs::write(&victim, "text").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        LockFile::try_lock(&path).unwrap_err();
        assert_eq!(fs::read_to_string(victim).unwrap(), "text");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(folder.path().join("new"), &path).unwrap();
        LockFile::try_lock(&path).unwrap_err();
        assert!(!folder.path().join("new").exists());
    }
}
