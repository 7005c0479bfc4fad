//! Writes prepared files, a few images at a time.

use std::fs;
use std::path::{Path, PathBuf};

use hdf5::types::VarLenUnicode;
use hdf5::{File, Group};
use mergan_files::{create_anew, rename_durably};
use ndarray::{Axis, s};

use super::{LEFT_OUT, SPLITS};
use crate::fetch::{Event, FetchOptions};
use crate::hold::{Readable, require_classes};
use crate::{Dataset, Error, Labelled};

/// The number of images in memory at a time.
const SLAB: usize = 256;
/// The size of a chunk of the file in bytes, the least that is read for one image.
const CHUNK: usize = 64 << 10;

/// Writes `dataset` to `path`: first under a temporary name, then synced to disk, then renamed.
pub(crate) fn write(dataset: &Dataset, path: &Path, options: &FetchOptions<'_>) -> Result<(), Error> {
    let temporary = temporary(path);
    let written = write_all(dataset, &temporary, options).and_then(|()| {
        let on_disk = fs::File::open(&temporary).and_then(|file| file.sync_all());
        let renamed = on_disk.and_then(|()| rename_durably(&temporary, path));
        renamed.map_err(|error| Error::Write { path: path.into(), reason: error.to_string() })
    });
    if written.is_err() {
        // The file may not exist.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

fn write_all(dataset: &Dataset, path: &Path, options: &FetchOptions<'_>) -> Result<(), Error> {
    let fault = |error: hdf5::Error| Error::Write { path: path.into(), reason: error.to_string() };
    // HDF5 truncates and writes whatever has the name, and follows links.
    create_anew(path).map_err(|error| Error::Write { path: path.into(), reason: error.to_string() })?;
    let file = File::create(path).map_err(fault)?;
    let name = |name: &String| name.parse::<VarLenUnicode>();
    let names = dataset.class_names.iter().map(name).collect::<Result<Vec<_>, _>>();
    let names = names.map_err(|error| Error::Write { path: path.into(), reason: error.to_string() })?;
    file.new_dataset_builder().with_data(&names).create("class_names").map_err(fault)?;

    let splits = [&dataset.train, &dataset.validation, &dataset.test];
    let total = splits.iter().map(|split| split.len() as u64).sum();
    let mut done = 0;
    for (name, split) in SPLITS.iter().zip(splits) {
        let group = file.create_group(name).map_err(fault)?;
        let labels = write_images(&group, split, options, fault, |count| {
            done += count;
            (options.observer)(Event::Preparing { dataset: &dataset.name, done, total });
        })?;
        if *name == SPLITS[0] {
            let mut counts = vec![0; dataset.class_names.len()];
            labels.iter().for_each(|&label| counts[label as usize] += 1);
            require_classes(&dataset.class_names, &counts)?;
        }
        group.new_dataset_builder().with_data(&labels).create("labels").map_err(fault)?;
    }
    file.flush().map_err(fault)?;
    file.close().map_err(fault)
}

/// Writes the images that can be read and returns their labels; `progress` is told how many were tried.
fn write_images(
    group: &Group,
    split: &Labelled,
    options: &FetchOptions<'_>,
    fault: impl Fn(hdf5::Error) -> Error,
    mut progress: impl FnMut(u64),
) -> Result<Vec<i64>, Error> {
    let [channels, height, width] = split.image_shape();
    let chunk = (CHUNK / (channels * height * width)).max(1);
    let images = group
        .new_dataset::<u8>()
        .chunk((chunk, height, width, channels))
        .shape((0.., height, width, channels))
        .create("images")
        .map_err(&fault)?;
    let (mut labels, mut tried, mut left_out) = (Vec::new(), 0, Vec::new());
    for slab in split.slabs(SLAB) {
        let mut readable = Readable::default();
        readable.extend(&slab, options)?;
        left_out.extend(readable.left_out.iter().map(|index| tried + index));
        tried += slab.len();
        let kept = readable.finish(&slab)?;
        let pixels = kept.images()?.permuted_axes([0, 2, 3, 1]);
        let (start, end) = (labels.len(), labels.len() + pixels.len_of(Axis(0)));
        if start < end {
            images.resize((end, height, width, channels)).map_err(&fault)?;
            images.write_slice(&pixels.as_standard_layout(), s![start..end, .., .., ..]).map_err(&fault)?;
            labels.extend(kept.labels().iter().map(|&label| label as i64));
        }
        progress(slab.len() as u64);
    }
    if !left_out.is_empty() {
        group.new_dataset_builder().with_data(&left_out).create(LEFT_OUT).map_err(&fault)?;
    }
    Ok(labels)
}
