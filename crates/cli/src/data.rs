//! Loads datasets for the commands, with the progress of downloads on the console.

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use mergan_datasets::{Dataset, Event, FetchOptions, Files, ImageOptions, Manifest, default_cache};

use crate::call::this_program;
use crate::console::Console;

/// The locations of data.
#[derive(Args, Clone)]
#[command(next_help_heading = "Data")]
pub struct DataArguments {
    /// A folder that already holds the dataset's files; it is only read.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The cache of downloads and scoring classifiers [default: $MERGAN_DATA, else data/cache in a clone, else the
    /// user's cache directory].
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Download nothing.
    #[arg(long)]
    pub offline: bool,
}

impl DataArguments {
    /// Returns the options that pass the same locations to another process of this command.
    pub fn options(&self) -> Vec<OsString> {
        let paths = [("--data-dir", &self.data_dir), ("--cache", &self.cache)].into_iter();
        let paths = paths.filter_map(|(name, path)| Some([name.into(), path.clone()?.into_os_string()]));
        paths.flatten().chain(self.offline.then(|| "--offline".into())).collect()
    }

    /// Returns the cache of downloads and scoring classifiers.
    pub fn cache(&self) -> PathBuf {
        self.cache.clone().unwrap_or_else(default_cache)
    }

    /// Loads the dataset of this name or at this path, fetching it if necessary.
    pub fn load(&self, name: &str, images: &ImageOptions, console: &Console) -> Result<Dataset> {
        console.detail(format!("loading {name}"));
        self.with_options(images, console, |options| mergan_datasets::load(name, options))
    }

    /// Writes the prepared file `out` of this dataset and opens it.
    pub fn convert(&self, name: &str, out: &Path, images: &ImageOptions, console: &Console) -> Result<Dataset> {
        self.with_options(images, console, |options| mergan_datasets::convert(name, out, options))
    }

    /// Returns what is known about a dataset without fetching it.
    pub fn info(&self, name: &str, images: &ImageOptions, console: &Console) -> Result<Manifest> {
        self.with_options(images, console, |options| mergan_datasets::info(name, options))
    }

    /// Fetches and verifies the files of a dataset.
    pub fn fetch(&self, manifest: &Manifest, console: &Console) -> Result<Files> {
        self.with_options(&ImageOptions::default(), console, |options| mergan_datasets::fetch(manifest, options))
    }

    /// Reads a dataset that is already on this machine and compares its checksums; nothing is downloaded.
    pub fn verify(&self, manifest: &Manifest) -> Result<()> {
        let options = FetchOptions { cache: self.cache(), offline: true, ..FetchOptions::default() };
        mergan_datasets::fetch(manifest, &options)?;
        Ok(())
    }

    /// Calls `work` with the options that say where data are and how pictures become images.
    pub fn with_options<T, E: Into<anyhow::Error>>(
        &self,
        images: &ImageOptions,
        console: &Console,
        work: impl FnOnce(&FetchOptions) -> Result<T, E>,
    ) -> Result<T> {
        // The bar appears with the first byte, so nothing is shown if all files are already on this machine.
        let progress = RefCell::new(None);
        let skipped = Cell::new(0);
        let images_done = |what: String, done, total| {
            let mut progress = progress.borrow_mut();
            let bar = progress.get_or_insert_with(|| console.progress(what, 0));
            bar.set_total(total);
            console.update(bar, done, || format!("image {done} of {total}"));
            // Another bar may follow.
            if done == total {
                *progress = None;
            }
        };
        let observer = |event: Event<'_>| match event {
            Event::Waiting { dataset } => console.note(format!("waiting for another process that fetches {dataset}")),
            Event::Trying { from } => console.note(format!("fetching from {from}")),
            Event::Failed { from, reason } => console.note(format!("{from} cannot give it: {reason}")),
            Event::Preparing { dataset, done, total } => images_done(format!("preparing {dataset}"), done, total),
            Event::Fingerprinting { dataset, done, total } => images_done(format!("reading {dataset}"), done, total),
            Event::Noted { what } => console.note_once(what),
            Event::Skipped { picture, reason } => {
                skipped.set(skipped.get() + 1);
                console.warn_once(&format!("left out {picture}: {reason}"));
            }
            Event::Progress { file, done, total, .. } => {
                let mut progress = progress.borrow_mut();
                let bar = progress.get_or_insert_with(|| console.progress("downloading", 0));
                bar.set_total(total.unwrap_or(0));
                console.update(bar, done, || match total {
                    Some(total) => format!("{file}, {} of {}", size(done), size(total)),
                    None => format!("{file}, {}", size(done)),
                });
            }
        };
        let done = work(&FetchOptions {
            cache: self.cache(),
            data_dir: self.data_dir.clone(),
            offline: self.offline,
            images: images.clone(),
            first_look: &look,
            observer: &observer,
            ..FetchOptions::default()
        })
        .map_err(Into::into)?;
        if skipped.get() > 0 {
            console.warn_once(&format!("{} pictures that cannot be read were left out", skipped.get()));
        }
        Ok(done)
    }
}

/// How long another process may take to open a prepared file. A sound one takes less than a second.
const PATIENCE: Duration = Duration::from_secs(20);

/// Lets another process open a prepared file, and fails if that crashes or does not end. If it ends in an error, so will
/// this process.
fn look(path: &Path) -> Result<(), String> {
    let mut command = this_program();
    command.args(["data", "look"]).arg(path);
    survive(&mut command, PATIENCE).map_err(|fault| format!("{fault}: it is damaged"))
}

/// Runs a command that opens a file, and fails if it neither succeeds nor reports an error.
fn survive(command: &mut Command, patience: Duration) -> Result<(), String> {
    let failed = |error: io::Error| format!("the process that opens it first: {error}");
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let (mut process, started) = (command.spawn().map_err(failed)?, Instant::now());
    loop {
        match process.try_wait().map_err(failed)? {
            Some(ended) if matches!(ended.code(), Some(0 | 1)) => return Ok(()),
            Some(ended) => return Err(format!("HDF5's library crashes on it ({ended})")),
            None if started.elapsed() < patience => thread::sleep(Duration::from_millis(2)),
            None => {
                // If it cannot be ended, it has ended by itself.
                let _ = process.kill();
                process.wait().map_err(failed)?;
                return Err("HDF5's library does not come to an end with it".into());
            }
        }
    }
}

/// Formats a number of bytes, as in `11.6 MB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "kB", "MB", "GB", "TB"];
    let fits = |&(_, scale): &(usize, f64)| bytes as f64 * scale >= 1.0;
    let scales = (0..UNITS.len()).map(|unit| (unit, 1e-3f64.powi(unit as i32)));
    match scales.rev().find(fits) {
        None | Some((0, _)) => format!("{bytes} bytes"),
        Some((unit, scale)) => format!("{:.1} {}", bytes as f64 * scale, UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_process_that_crashes_or_does_not_end_is_survived() {
        let outcome = |script: &str, patience| survive(Command::new("sh").args(["-c", script]), patience);
        assert_eq!((outcome("exit 0", PATIENCE), outcome("exit 1", PATIENCE)), (Ok(()), Ok(())));
        assert!(outcome("kill -SEGV $$", PATIENCE).unwrap_err().contains("crashes on it"));
        assert!(outcome("exit 101", PATIENCE).unwrap_err().contains("crashes on it"));
        assert!(outcome("exec sleep 600", Duration::ZERO).unwrap_err().contains("does not come to an end"));
    }

    #[test]
    fn sizes_have_the_unit_that_people_use() {
        let expected = [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (11_600_000, "11.6 MB")];
        for (bytes, text) in expected.into_iter().chain([(246_300_000_000, "246.3 GB"), (5 << 50, "5629.5 TB")]) {
            assert_eq!(size(bytes), text);
        }
    }
}
