//! Writes files so that they never appear incomplete under their final names.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use atomic_write_file::AtomicWriteFile;

/// Writes `contents` under a temporary name, syncs them to disk and renames the file. Whatever happens, `path` holds
/// either its old or its new contents.
///
/// # Errors
/// When the directory cannot be written or the disk is full.
pub fn write_whole(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = AtomicWriteFile::open(path)?;
    file.write_all(contents)?;
    file.commit()
}

/// Renames a file or directory, and syncs the directory that holds it to disk, so that a power cut does not undo it.
///
/// # Errors
/// When the directory cannot be written, or `to` is a directory that is not empty.
pub fn rename_durably(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    // Only Unix opens directories, and only there is this necessary.
    #[cfg(unix)]
    if let Some(folder) = to.parent() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Returns the final name of a file that is being written under this name: `scores.json` for `.scores.json.a1B2c3`.
pub(crate) fn final_name(temporary: &str) -> Option<&str> {
    let (name, random) = temporary.strip_prefix('.')?.rsplit_once('.')?;
    let is_random = random.len() == 6 && random.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_random.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_being_written_has_the_temporary_name_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scores.json");
        let names = || -> Vec<String> {
            let entries = fs::read_dir(folder.path()).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        let file = AtomicWriteFile::open(&path).unwrap();
        assert_eq!(names().iter().map(|name| final_name(name)).collect::<Vec<_>>(), [Some("scores.json")]);
        file.discard().unwrap();
        write_whole(&path, b"{}").unwrap();
        assert_eq!((names(), fs::read(&path).unwrap()), (vec!["scores.json".to_string()], b"{}".to_vec()));
    }

    #[test]
    fn other_names_are_not_temporary() {
        for name in
            ["scores.json", ".scores.json", ".git", ".a1b2c3", "scores.json.a1b2c3", ".scores.json.a1b2c", ".x.a-b2c3"]
        {
            assert_eq!(final_name(name), None, "{name}");
        }
    }
}
