//! The facts about a dataset that are known before it is fetched: one TOML file per dataset in `manifests/`.

use std::path::Path;

use serde::Deserialize;

use crate::Error;

/// The description of a dataset: what it is, and where its files come from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The name [`load`](crate::load) knows it by, which is also its folder in the cache.
    pub name: String,
    /// A one-line description.
    pub description: String,
    /// The licence of the data, and the rights holders.
    pub licence: String,
    /// The address of the dataset's documentation.
    pub homepage: Option<String>,
    /// Channels, height and width of an image as it is loaded.
    pub shape: [usize; 3],
    /// The name of each class; a label is an index into this list.
    pub classes: Vec<String>,
    /// Images in each split as they are loaded.
    pub splits: Splits,
    /// The addresses of folders that hold every file under its `remote` name, best first.
    #[serde(default)]
    pub mirrors: Vec<String>,
    /// Packages that ship the files, best first.
    #[serde(default)]
    pub packages: Vec<Package>,
    /// Folders that are too large to fetch and are placed by hand, each as it is or as a zip.
    #[serde(default)]
    pub by_hand: Vec<String>,
    /// The source of those folders, and their size.
    pub obtain: Option<String>,
    /// The files to fetch; empty for a dataset drawn in code.
    #[serde(default)]
    pub files: Vec<DataFile>,
}

/// Number of images in each split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Splits {
    /// Images to train on.
    pub train: usize,
    /// Images held out of the training files.
    pub validation: usize,
    /// Images of the test files.
    pub test: usize,
}

/// A package that ships the files of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// The package manager that has it.
    pub manager: PackageManager,
    /// The name by which it is requested: `name@version` for npm, the package name for Debian.
    pub name: String,
    /// The folder inside the package's archive that holds the files, each under its own name or with `.gz` added.
    pub folder: String,
}

/// A package manager, run through its own client so that its registry and proxy settings apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PackageManager {
    /// `npm pack`.
    Npm,
    /// `apt-get download`, on Debian and its derivatives; nothing is installed.
    Debian,
}

/// One file of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// The name in the cache, uncompressed.
    pub name: String,
    /// Other names under which the file is passed around.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// The name on a mirror, often ending in `.gz`.
    pub remote: String,
    /// The size of the uncompressed file, in bytes.
    pub size: u64,
    /// SHA-256 of the uncompressed file, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

impl DataFile {
    /// Returns the names under which a folder may hold the file, uncompressed; its own is the first.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        [&self.name].into_iter().chain(&self.aliases).map(String::as_str)
    }
}

impl Manifest {
    /// Reads a manifest from TOML.
    ///
    /// # Errors
    /// Returns [`Error::Manifest`] when the text is not TOML, a field is missing or unknown, a name is not a plain
    /// file name, or a checksum is not 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let manifest: Self = toml::from_str(text).map_err(|error| Error::Manifest { reason: error.to_string() })?;
        // Names become paths in the cache, so a name that would lead out of it is refused.
        let names = manifest.files.iter().flat_map(DataFile::names);
        for name in names.chain([manifest.name.as_str()]) {
            if Path::new(name).file_name() != Some(name.as_ref()) {
                return Err(Error::Manifest { reason: format!("`{name}` is not a plain file name") });
            }
        }
        for file in &manifest.files {
            let digits = file.sha256.bytes().filter(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            if file.sha256.len() != 64 || digits.count() != 64 {
                return Err(Error::Manifest {
                    reason: format!("the SHA-256 of `{}` is not 64 lower-case hexadecimal digits", file.name),
                });
            }
        }
        Ok(manifest)
    }

    /// Returns the size of all files in bytes, uncompressed.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Returns whether this dataset's folder in the cache holds every file with its right size, and whatever is
    /// placed by hand. This is cheap: checksums are verified when the dataset is loaded.
    pub fn is_cached(&self, cache: &Path) -> bool {
        let folder = cache.join(&self.name);
        let fetched = self.files.iter().all(|file| {
            std::fs::metadata(folder.join(&file.name)).is_ok_and(|found| found.is_file() && found.len() == file.size)
        });
        fetched && self.by_hand.iter().all(|name| lies_in(&folder, name))
    }
}

/// Returns whether something placed by hand lies in `folder`, as it is or as a zip.
pub(crate) fn lies_in(folder: &Path, name: &str) -> bool {
    folder.join(name).exists() || folder.join(format!("{name}.zip")).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        name = "toy"
        description = "d"
        licence = "l"
        shape = [1, 2, 2]
        classes = ["a"]
        splits = { train = 1, validation = 0, test = 1 }
        [[files]]
        name = "toy.bin"
        remote = "toy.bin.gz"
        size = 3
        sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    "#;

    #[test]
    fn a_good_manifest_is_read() {
        let manifest = Manifest::parse(GOOD).unwrap();
        assert_eq!((manifest.size(), manifest.shape), (3, [1, 2, 2]));
        assert!(!manifest.is_cached(Path::new("nowhere")));
    }

    #[test]
    fn a_bad_manifest_says_what_is_wrong() {
        for (from, to, expected) in [
            ("\"toy.bin\"", "\"../toy.bin\"", "`../toy.bin` is not a plain file name"),
            ("\"toy\"", "\"..\"", "`..` is not a plain file name"),
            ("ba7816", "BA7816", "SHA-256 of `toy.bin`"),
            ("ba7816", "", "SHA-256 of `toy.bin`"),
            ("licence", "license", "license"),
        ] {
            let error = Manifest::parse(&GOOD.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
