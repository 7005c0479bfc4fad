//! Files that are locked while a process writes in their folder.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use crate::holder::{Holder, lacks_locks};
use crate::open_in_place;

/// The time between two looks at a lock that is not the system's.
const POLL: Duration = Duration::from_millis(200);

/// A locked file. The lock is released when this is dropped or the process ends, however it ends; the file stays.
///
/// Some file systems, such as those of sshfs and of some NFS servers, have no locks. There a second file, which is
/// named after the first and names its process and the machine, keeps other processes out; [`notice`](Self::notice)
/// says so. If its process ends without removing it, the next one on the same machine takes it over.
#[derive(Debug)]
pub struct LockFile(Hold);

#[derive(Debug)]
enum Hold {
    /// By the system, until the file is closed.
    System {
        _file: File,
    },
    Holder(Holder),
}

impl LockFile {
    /// Locks the file at `path`, which is created if it does not exist; returns `None` if another holds the lock.
    ///
    /// # Errors
    /// When the file cannot be created or is a symbolic link; on a file system without locks also when a process of
    /// another machine holds the lock.
    pub fn try_lock(path: &Path) -> io::Result<Option<Self>> {
        let file = open_in_place(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(LockFile(Hold::System { _file: file }))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) if lacks_locks(&error) => {
                Ok(Holder::take(path, &error)?.map(|holder| LockFile(Hold::Holder(holder))))
            }
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
        let file = open_in_place(path)?;
        match file.lock() {
            Ok(()) => Ok(LockFile(Hold::System { _file: file })),
            Err(error) if lacks_locks(&error) => loop {
                sleep(POLL);
                if let Some(lock) = LockFile::try_lock(path)? {
                    return Ok(lock);
                }
            },
            Err(error) => Err(error),
        }
    }

    /// Says that the lock is not the system's, and why, if that is so.
    pub fn notice(&self) -> Option<&str> {
        match &self.0 {
            Hold::System { .. } => None,
            Hold::Holder(holder) => Some(holder.notice()),
        }
    }

    /// Keeps the lock when the folder of the file has been renamed; `path` is the new path of the file.
    pub fn moved(&mut self, path: &Path) {
        if let Hold::Holder(holder) = &mut self.0 {
            holder.moved(path);
        }
    }
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
