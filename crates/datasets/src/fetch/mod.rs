//! Brings the files of a dataset to this machine: verified, atomically, from the first source that has them.
//!
//! Files already at hand are only read. What is missing is asked of each source in turn: archives (`.gz`) beside the
//! places where the files belong, the mirrors, the packages. A source that fails is left for the next one and
//! its reason is kept for the error. Whatever the source, a file passes through `Store::install`, the only way to
//! a final name.

mod archive;
mod debian;
mod mirror;
mod npm;
mod package;
mod store;
mod verify;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Attempt, place_by_hand};
use crate::manifest::{DataFile, Manifest, lies_in};
use crate::{Error, ImageOptions, default_cache};
use archive::Archives;
use mirror::Mirror;
use package::Shipped;
use store::Store;
pub(crate) use store::{Lock, cache_error};
pub(crate) use verify::for_each_chunk;

/// Where to look for files, where to keep them, and whom to tell.
#[derive(Clone)]
pub struct FetchOptions<'a> {
    /// The cache; each dataset has a folder of its name in it. By default [`default_cache`].
    pub cache: PathBuf,
    /// A folder that may hold the files already, each raw or with `.gz` added to its name. It is only read.
    pub data_dir: Option<PathBuf>,
    /// Use the cache and `data_dir` only.
    pub offline: bool,
    /// How long one request to a mirror may go on before it is asked again for the rest, or, when it brought
    /// nothing, given up.
    pub patience: Duration,
    /// The npm client to run.
    pub npm: OsString,
    /// The client of Debian's packages to run.
    pub apt_get: OsString,
    /// How pictures of any size become images; of use for [`open`](crate::open) of a folder of pictures.
    pub images: ImageOptions,
    /// Told what happens, often many times a second.
    pub observer: &'a dyn Fn(Event<'_>),
}

impl Default for FetchOptions<'_> {
    fn default() -> Self {
        Self {
            cache: default_cache(),
            data_dir: None,
            offline: false,
            patience: Duration::from_secs(30),
            npm: if cfg!(windows) { "npm.cmd" } else { "npm" }.into(),
            apt_get: "apt-get".into(),
            images: ImageOptions::default(),
            observer: &|_| {},
        }
    }
}

/// What an observer hears while files are fetched. Nothing is heard when all files are at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// Another process fetches this dataset; waiting for it.
    Waiting {
        /// Name of the dataset.
        dataset: &'a str,
    },
    /// A source is asked for the missing files.
    Trying {
        /// The source: a folder, an address or a package.
        from: &'a str,
    },
    /// Some bytes of a file have come.
    Progress {
        /// The source, as in [`Event::Trying`].
        from: &'a str,
        /// Name of the file in the cache.
        file: &'a str,
        /// Bytes that have come, counted as they travel (compressed, where the source compresses).
        done: u64,
        /// All bytes to come, where the source says.
        total: Option<u64>,
    },
    /// A picture that cannot be read is left out.
    Skipped {
        /// Where it lies.
        picture: &'a str,
        /// Why it cannot be read.
        reason: &'a str,
    },
    /// Images are decoded into a prepared file.
    Preparing {
        /// Name of the dataset.
        dataset: &'a str,
        /// Images that are done.
        done: u64,
        /// All images.
        total: u64,
    },
    /// Images, or the files that they are made of, are read for the dataset's [fingerprint](crate::Fingerprint).
    Fingerprinting {
        /// Name of the dataset.
        dataset: &'a str,
        /// Images that are done.
        done: u64,
        /// All images.
        total: u64,
    },
    /// A source could not give all missing files; the next one is tried.
    Failed {
        /// The source, as in [`Event::Trying`].
        from: &'a str,
        /// Why.
        reason: &'a str,
    },
}

/// Where each file of a dataset lies, verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files(BTreeMap<String, PathBuf>);

impl Files {
    /// The path of the file that the manifest calls `name`.
    ///
    /// # Errors
    /// [`Error::Manifest`] when the manifest lists no such file.
    pub fn path(&self, name: &str) -> Result<&Path, Error> {
        self.0
            .get(name)
            .map(PathBuf::as_path)
            .ok_or_else(|| Error::Manifest { reason: format!("it lists no file `{name}`") })
    }

    pub(crate) fn insert(&mut self, name: &str, path: PathBuf) {
        self.0.insert(name.into(), path);
    }

    fn missing<'m>(&self, manifest: &'m Manifest) -> Vec<&'m DataFile> {
        manifest.files.iter().filter(|file| !self.0.contains_key(&file.name)).collect()
    }
}

/// Why a source did not give a file.
enum Failure {
    /// It is the source's fault; the next one is tried.
    Source(String),
    /// It is this machine's fault, for example a full disk: no other source would help.
    Local(Error),
}

impl Failure {
    /// Says of which file the source complains.
    fn about(self, file: &str) -> Self {
        match self {
            Self::Source(reason) => Self::Source(format!("{file}: {reason}")),
            local @ Self::Local(_) => local,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Local(error)
    }
}

/// A place that may have files that are missing here.
trait Source {
    /// What people call it: a folder, an address or a package.
    fn name(&self) -> String;

    /// Installs as many of the missing files as it can. Those installed before a failure stay.
    fn fetch(&self, missing: &[&DataFile], store: &mut Store<'_>) -> Result<(), Failure>;
}

/// Makes sure that every file of the dataset is on this machine, with its right size and SHA-256.
///
/// Files are fetched into the cache, under a temporary name until they are verified. Several processes may call this
/// at once: one fetches, the others wait. A download that was interrupted is resumed by the next call.
///
/// # Errors
/// [`Error::Unavailable`] when no source has a missing file, [`Error::Cache`] when the cache cannot be written,
/// [`Error::DataDir`] when the data directory does not exist.
pub fn fetch(manifest: &Manifest, options: &FetchOptions<'_>) -> Result<Files, Error> {
    if let Some(path) = options.data_dir.as_ref().filter(|path| !path.is_dir()) {
        return Err(Error::DataDir { path: path.clone() });
    }
    let cache = options.cache.join(&manifest.name);
    let folders: Vec<&Path> = [Some(cache.as_path()), options.data_dir.as_deref()].into_iter().flatten().collect();

    let (files, attempts) = find_local(manifest, &folders);
    require_placed(manifest, &folders, &cache)?;
    let missing = files.missing(manifest);
    if missing.is_empty() {
        return Ok(files);
    }
    let sources = sources(manifest, options, &folders, &missing);
    if sources.is_empty() {
        return Err(unavailable(manifest, &files, attempts, &cache));
    }

    let _lock = Lock::acquire(&cache, || (options.observer)(Event::Waiting { dataset: &manifest.name }))?;
    // Another process may have fetched everything while this one waited.
    let (files, mut attempts) = find_local(manifest, &folders);
    let mut store = Store::new(&cache, files, options.observer);
    for source in sources {
        let missing = store.files().missing(manifest);
        if missing.is_empty() {
            break;
        }
        let from = source.name();
        (options.observer)(Event::Trying { from: &from });
        match source.fetch(&missing, &mut store) {
            Ok(()) => {}
            Err(Failure::Local(error)) => return Err(error),
            Err(Failure::Source(reason)) => {
                (options.observer)(Event::Failed { from: &from, reason: &reason });
                attempts.push(Attempt { from, reason });
            }
        }
    }
    let files = store.into_files();
    if files.missing(manifest).is_empty() { Ok(files) } else { Err(unavailable(manifest, &files, attempts, &cache)) }
}

/// Refuses a dataset of which something has to be placed by hand and is not.
fn require_placed(manifest: &Manifest, folders: &[&Path], cache: &Path) -> Result<(), Error> {
    let is_absent = |name: &&String| !folders.iter().any(|folder| lies_in(folder, name));
    let missing: Vec<_> = manifest.by_hand.iter().filter(is_absent).cloned().collect();
    if missing.is_empty() {
        return Ok(());
    }
    let lacks = |folder: &&Path| Attempt { from: folder.display().to_string(), reason: "lacks them".into() };
    let obtain = manifest.obtain.as_deref().unwrap_or_default();
    Err(Error::Unavailable {
        dataset: manifest.name.clone(),
        missing,
        attempts: folders.iter().map(lacks).collect(),
        remedy: place_by_hand("each as a folder, or as its zip", cache, obtain),
    })
}

/// Looks for each file in each folder, and says of each folder what is wrong with it.
fn find_local(manifest: &Manifest, folders: &[&Path]) -> (Files, Vec<Attempt>) {
    let mut files = Files::default();
    let mut attempts = Vec::new();
    for folder in folders {
        let mut reasons = Vec::new();
        for file in files.missing(manifest) {
            let path = folder.join(&file.name);
            match verify::verify_file(&path, file) {
                Ok(()) => files.insert(&file.name, path),
                Err(reason) => reasons.push(format!("{}: {reason}", file.name)),
            }
        }
        if !reasons.is_empty() {
            attempts.push(Attempt { from: folder.display().to_string(), reason: reasons.join("; ") });
        }
    }
    (files, attempts)
}

/// Every source that could give a missing file, in the order in which they are tried.
fn sources<'s>(
    manifest: &'s Manifest,
    options: &'s FetchOptions<'_>,
    folders: &[&'s Path],
    missing: &[&DataFile],
) -> Vec<Box<dyn Source + 's>> {
    let mut sources: Vec<Box<dyn Source + 's>> = Vec::new();
    for folder in folders {
        if missing.iter().any(|file| Archives::path(folder, file).exists()) {
            sources.push(Box::new(Archives { folder }));
        }
    }
    if !options.offline {
        for base in &manifest.mirrors {
            sources.push(Box::new(Mirror::new(base, options.patience)));
        }
        for package in &manifest.packages {
            sources.push(Box::new(Shipped::new(package, options)));
        }
    }
    sources
}

fn unavailable(manifest: &Manifest, files: &Files, attempts: Vec<Attempt>, cache: &Path) -> Error {
    let missing = files.missing(manifest).iter().map(|file| file.name.clone()).collect();
    let obtain = format!("{:.1} MB in all, from {}", manifest.size() as f64 / 1e6, manifest.mirrors.join(" or "));
    let remedy = place_by_hand("uncompressed, or each with .gz added to its name", cache, &obtain);
    Error::Unavailable { dataset: manifest.name.clone(), missing, attempts, remedy }
}
