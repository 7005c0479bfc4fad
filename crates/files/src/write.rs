//! Writes files so that they never appear incomplete under their final names.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::Path;

/// Writes `contents` under a temporary name, syncs them to disk and renames the file. Whatever happens, `path` holds
/// either its old or its new contents. In WebAssembly, where files cannot be synced and renamed, `path` is written
/// directly.
///
/// # Errors
/// When the directory cannot be written or the disk is full.
pub fn write_whole(path: &Path, contents: &[u8]) -> io::Result<()> {
    #[cfg(target_family = "wasm")]
    {
        fs::write(path, contents)
    }
    #[cfg(not(target_family = "wasm"))]
    {
        let mut file = atomic_write_file::AtomicWriteFile::open(path)?;
        io::Write::write_all(&mut file, contents)?;
        file.commit()
    }
}

/// Creates a file under a temporary name that a killed process may have left behind. What has the name is removed
/// rather than written to, because whoever can write in the folder could put a link to another's file in its place.
///
/// # Errors
/// When the directory cannot be written, or `path` is a directory.
pub fn create_anew(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    File::create_new(path)
}

/// Opens a file for reading and writing, with what it holds; it is created if it does not exist. Whoever can write in
/// the folder could put a link to another's file in its place, so links are not followed.
///
/// # Errors
/// When the file cannot be created or is a symbolic link.
pub fn open_in_place(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
    }
    options.open(path)
}

/// Renames a file or directory, and syncs the directory that holds it to disk, so that a power cut does not undo it.
/// The contents of a file have to be on disk already.
///
/// # Errors
/// When the directory cannot be written, or `to` is a directory that is not empty.
pub fn rename_durably(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    // Only Unix opens directories, and only there is this necessary.
    #[cfg(unix)]
    if let Some(folder) = to.parent() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_leftover_that_is_a_link_is_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join(".part"), folder.path().join("victim"));
        fs::write(&victim, "text").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        io::Write::write_all(&mut create_anew(&path).unwrap(), b"new").unwrap();
        assert_eq!((fs::read(&path).unwrap(), fs::read(&victim).unwrap()), (b"new".to_vec(), b"text".to_vec()));
    }
}
