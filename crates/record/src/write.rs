//! The names of files that are being written.

/// Returns the final name of a file that is being written under this name: `scores.json` for `.scores.json.a1B2c3`.
pub(crate) fn final_name(temporary: &str) -> Option<&str> {
    let (name, random) = temporary.strip_prefix('.')?.rsplit_once('.')?;
    let is_random = random.len() == 6 && random.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_random.then_some(name)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use atomic_write_file::AtomicWriteFile;
    use mergan_files::write_whole;

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
