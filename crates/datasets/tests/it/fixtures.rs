//! A small dataset of two files, and the place where a test keeps it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use mergan_datasets::{DataFile, FetchOptions, Manifest, Splits, hex};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

pub const NAMES: [&str; 2] = ["images.bin", "labels.bin"];

/// Makes content that does not compress, so that compressed downloads can be cut in the middle too.
pub fn content(name: &str) -> Vec<u8> {
    let mut state = name.len() as u32;
    let bytes = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    bytes.take(if name == NAMES[0] { 300_000 } else { 1_000 }).collect()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Describes the toy dataset, available from `mirrors`.
pub fn manifest(mirrors: &[&str]) -> Manifest {
    let file = |name: &str| DataFile {
        name: name.into(),
        aliases: vec![name.replace('.', "-")],
        remote: format!("{name}.gz"),
        size: content(name).len() as u64,
        sha256: hex(Sha256::digest(content(name))),
    };
    Manifest {
        name: "toy".into(),
        description: String::new(),
        licence: String::new(),
        homepage: None,
        shape: [1, 1, 1],
        classes: vec!["a".into()],
        splits: Splits { train: 1, validation: 0, test: 0 },
        mirrors: mirrors.iter().map(|mirror| mirror.to_string()).collect(),
        packages: Vec::new(),
        by_hand: Vec::new(),
        obtain: None,
        files: NAMES.map(file).into(),
    }
}

/// A temporary folder for a cache and a data directory.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Returns the toy dataset's folder in the cache, creating it if necessary.
    pub fn cache(&self) -> PathBuf {
        let folder = self.path().join("cache/toy");
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    pub fn data_dir(&self) -> PathBuf {
        let folder = self.path().join("given");
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    pub fn options(&self) -> FetchOptions<'static> {
        FetchOptions { cache: self.path().join("cache"), ..FetchOptions::default() }
    }

    /// Asserts that the cache holds both files, byte for byte, and nothing temporary.
    pub fn assert_complete(&self) {
        assert_eq!(self.listing(), [".lock", NAMES[0], NAMES[1]]);
        for name in NAMES {
            assert!(fs::read(self.cache().join(name)).unwrap() == content(name), "{name} differs");
        }
    }

    /// Returns the names in the toy dataset's folder of the cache, sorted.
    pub fn listing(&self) -> Vec<String> {
        let entries = fs::read_dir(self.cache()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}
