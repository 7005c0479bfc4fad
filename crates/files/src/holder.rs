//! Locks on file systems that have none: a file that only one process can create.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

pub(crate) use system::lacks_locks;
use system::{host, is_running};

/// A file that names the machine and the process that made it: `host 1234`. It is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Holder {
    path: PathBuf,
    text: String,
    notice: String,
}

impl Holder {
    /// Takes the lock of the file `lock`, which the system refused with this error; returns `None` if another process
    /// of this machine has it.
    pub(crate) fn take(lock: &Path, refusal: &io::Error) -> io::Result<Option<Self>> {
        let (path, text) = (beside(lock), format!("{} {}\n", host(), std::process::id()));
        let name = path.display();
        let mut notice = format!("the file system has no locks ({refusal}); {name} keeps other processes out instead");
        loop {
            match File::create_new(&path) {
                Ok(mut file) => {
                    let holder = Holder { path: path.clone(), text, notice };
                    if let Err(error) = file.write_all(holder.text.as_bytes()) {
                        // It does not say whose it is, so nobody could take it over.
                        let _ = fs::remove_file(&path);
                        return Err(error);
                    }
                    return Ok(Some(holder));
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            let found = match fs::read_to_string(&path) {
                // Its process has ended meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                found => found?,
            };
            let owner =
                found.trim_end().rsplit_once(' ').and_then(|(host, process)| Some((host, process.parse().ok()?)));
            let Some((other, process)) = owner else {
                let text = format!("{name} does not say which process made it; if none works here, remove the file");
                return Err(io::Error::other(text));
            };
            if other != host() {
                let text = format!(
                    "process {process} on {other} has made {name}; wait until it ends, or remove the file if it does not \
                     run there any more"
                );
                return Err(io::Error::other(text));
            }
            if is_running(process) {
                return Ok(None);
            }
            remove_stale(&path, &found)?;
            notice = format!("{notice}; process {process}, which held it before, has ended");
        }
    }

    pub(crate) fn notice(&self) -> &str {
        &self.notice
    }

    pub(crate) fn moved(&mut self, lock: &Path) {
        self.path = beside(lock);
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // The file may have been removed by hand, and another process may have made its own. A file that stays does
        // no harm, because it names a process that has ended.
        if fs::read_to_string(&self.path).is_ok_and(|text| text == self.text) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Returns the path of the file that stands for the lock of another: `.lock.holder` for `.lock`.
fn beside(lock: &Path) -> PathBuf {
    let mut name = OsString::from(lock);
    name.push(".holder");
    name.into()
}

/// Removes the file of a process that has ended, unless another process was faster and has made its own.
fn remove_stale(path: &Path, text: &str) -> io::Result<()> {
    let mut aside = OsString::from(path);
    aside.push(format!(".{}", std::process::id()));
    let aside = PathBuf::from(aside);
    match fs::rename(path, &aside) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        renamed => renamed?,
    }
    if fs::read_to_string(&aside)? == text { fs::remove_file(&aside) } else { fs::rename(&aside, path) }
}

#[cfg(unix)]
mod system {
    use std::io;

    use rustix::io::Errno;
    use rustix::process::{Pid, test_kill_process};

    /// Returns whether an attempt to lock failed because the file system has no locks.
    pub(crate) fn lacks_locks(error: &io::Error) -> bool {
        matches!(Errno::from_io_error(error), Some(Errno::NOLCK | Errno::NOTSUP | Errno::NOSYS))
    }

    pub(super) fn host() -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }

    pub(super) fn is_running(process: i32) -> bool {
        // A process of another user cannot be signalled, but it exists.
        Pid::from_raw(process).is_some_and(|process| test_kill_process(process) != Err(Errno::SRCH))
    }
}

#[cfg(not(unix))]
mod system {
    use std::io;

    pub(crate) fn lacks_locks(error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::Unsupported
    }

    pub(super) fn host() -> String {
        std::env::var("COMPUTERNAME").unwrap_or_default()
    }

    /// Nothing is known about other processes, so none is taken for dead.
    pub(super) fn is_running(_: i32) -> bool {
        true
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn take(lock: &Path) -> io::Result<Option<Holder>> {
        Holder::take(lock, &ErrorKind::Unsupported.into())
    }

    #[test]
    fn one_process_holds_it_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join(".lock");
        let held = take(&lock).unwrap().unwrap();
        assert!(held.notice().contains("no locks") && !held.notice().contains("has ended"), "{}", held.notice());
        assert!(take(&lock).unwrap().is_none());
        drop(held);
        assert!(!beside(&lock).exists() && take(&lock).unwrap().is_some());
    }

    #[test]
    fn it_moves_with_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let [old, new] = ["old", "new"].map(|name| folder.path().join(name));
        fs::create_dir(&old).unwrap();
        let mut held = take(&old.join(".lock")).unwrap().unwrap();
        fs::rename(&old, &new).unwrap();
        held.moved(&new.join(".lock"));
        assert!(take(&new.join(".lock")).unwrap().is_none());
        drop(held);
        assert!(take(&new.join(".lock")).unwrap().is_some());
    }

    #[test]
    fn a_dead_process_is_succeeded_and_others_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join(".lock");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        fs::write(beside(&lock), format!("{} {}\n", host(), child.id())).unwrap();
        let held = take(&lock).unwrap().unwrap();
        assert!(held.notice().contains(&format!("process {}, which held it before, has ended", child.id())));
        drop(held);

        for (text, expected) in
            [("elsewhere 12\n", "process 12 on elsewhere has made"), ("", "does not say which process")]
        {
            fs::write(beside(&lock), text).unwrap();
            let error = take(&lock).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("remove the file"), "{error}");
            assert_eq!(fs::read_to_string(beside(&lock)).unwrap(), text);
        }
    }

    #[test]
    fn a_file_that_is_not_the_stale_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".lock.holder");
        fs::write(&path, "host 2\n").unwrap();
        remove_stale(&path, "host 1\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "host 2\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
