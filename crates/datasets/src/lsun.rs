//! LSUN: photographs of scenes. Each scene and split has an LMDB file whose values are WebP pictures.
//!
//! The files are used where they lie, `SCENE_train_lmdb/data.mdb` and `SCENE_val_lmdb/data.mdb`, or unpacked from the
//! zips on LSUN's site. Every picture is resized as a whole, as in the paper's code.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use mergan_files::{create_anew, rename_durably};
use ndarray::Array4;
use zip::ZipArchive;

use crate::fetch::{Event, FetchOptions, Lock, cache_error, fetch, for_each_chunk};
use crate::folder::gather;
use crate::labelled::Stored;
use crate::lmdb::{self, Value};
use crate::picture::{Fit, ImageOptions};
use crate::registry::Entry;
use crate::{Dataset, Error, Labelled, Manifest, manifest};

pub(crate) const LSUN: Entry =
    Entry { name: "lsun", manifest: include_str!("../manifests/lsun.toml"), options: &["limit", "skip_bad"], open };

/// Pictures hardly compress, so a zipped file that shrank by more than this factor is no LMDB file of pictures.
const MOST_COMPRESSED: u64 = 200;

fn open(manifest: &Manifest, options: &FetchOptions<'_>) -> Result<Dataset, Error> {
    fetch(manifest, options)?;
    let cache = options.cache.join(&manifest.name);
    let folders: Vec<&Path> = options.data_dir.iter().map(PathBuf::as_path).chain([cache.as_path()]).collect();
    let [channels, side, _] = manifest.shape;
    let images = ImageOptions { side, channels, fit: Fit::Resize, ..options.images.clone() };
    images.check()?;
    let scenes = |split: &str| -> Vec<Scene> {
        let names = manifest.classes.iter().map(|class| format!("{class}_{split}_lmdb"));
        names.map(|name| Scene { place: find(&folders, &name), name }).collect()
    };
    Ok(Dataset {
        name: manifest.name.clone(),
        class_names: manifest.classes.clone(),
        train: read(scenes("train"), &images, &cache, options)?,
        validation: read(Vec::new(), &images, &cache, options)?,
        test: read(scenes("val"), &images, &cache, options)?,
    })
}

/// Returns whether `folder` holds a scene of LSUN.
pub(crate) fn lies_in(folder: &Path) -> bool {
    manifest::lies_in(folder, "bedroom_train_lmdb")
}

/// Opens the scenes in `folder`, and takes from the cache those that it lacks.
pub(crate) fn open_folder(folder: &Path, options: &FetchOptions<'_>) -> Result<Dataset, Error> {
    let options = FetchOptions { data_dir: Some(folder.into()), ..options.clone() };
    open(&Manifest::parse(LSUN.manifest)?, &options)
}

/// The pictures of one class and split.
struct Scene {
    name: String,
    place: Option<Place>,
}

/// The location of a scene.
enum Place {
    Lmdb(PathBuf),
    Zip(PathBuf),
}

fn find(folders: &[&Path], name: &str) -> Option<Place> {
    folders.iter().find_map(|folder| {
        let (lmdb, zip) = (folder.join(name).join("data.mdb"), folder.join(format!("{name}.zip")));
        if lmdb.is_file() { Some(Place::Lmdb(lmdb)) } else { zip.is_file().then_some(Place::Zip(zip)) }
    })
}

/// Opens the first pictures of every scene found, in key order.
fn read(
    scenes: Vec<Scene>,
    images: &ImageOptions,
    cache: &Path,
    options: &FetchOptions<'_>,
) -> Result<Labelled, Error> {
    let mut photographs = Photographs { files: Vec::new(), values: Vec::new(), options: images.clone() };
    let mut labels = Vec::new();
    for (label, Scene { name, place }) in scenes.into_iter().enumerate() {
        let path = match place {
            None => continue,
            Some(Place::Lmdb(path)) => path,
            Some(Place::Zip(zip)) => unpack(&zip, &name, cache, options)?,
        };
        let values = lmdb::values(&path, images.limit.unwrap_or(usize::MAX))?;
        labels.extend(std::iter::repeat_n(label, values.len()));
        let file = photographs.files.len();
        photographs.values.extend(values.into_iter().map(|value| (file, value)));
        photographs.files.push(path);
    }
    Ok(Labelled::stored(photographs, labels))
}

/// Unpacks the file of a scene into the cache, and returns its path.
fn unpack(zip: &Path, name: &str, cache: &Path, options: &FetchOptions<'_>) -> Result<PathBuf, Error> {
    let folder = cache.join(name);
    let path = folder.join("data.mdb");
    let _lock = Lock::acquire(cache, LSUN.name, options.observer)?;
    if path.is_file() {
        return Ok(path);
    }
    fs::create_dir_all(&folder).map_err(cache_error("create the folder", &folder))?;
    let temporary = folder.join(".data.mdb.tmp");
    let unpacked = write_entry(zip, &format!("{name}/data.mdb"), &temporary, options)
        .and_then(|()| rename_durably(&temporary, &path).map_err(cache_error("create", &path)));
    if unpacked.is_err() {
        // The folder holds nothing of use. Failing to remove it must not hide the first error.
        let _ = fs::remove_dir_all(&folder);
    }
    unpacked.map(|()| path)
}

/// Writes an entry of a zip to a new file and syncs it to disk.
fn write_entry(zip: &Path, name: &str, to: &Path, options: &FetchOptions<'_>) -> Result<(), Error> {
    let fault = |reason: String| Error::Format { path: zip.into(), offset: 0, reason };
    let file = File::open(zip).map_err(|source| Error::Read { path: zip.into(), source })?;
    let mut archive =
        ZipArchive::new(BufReader::new(file)).map_err(|error| fault(format!("no zip archive: {error}")))?;
    let entry = archive.by_name(name).map_err(|error| fault(format!("{name}: {error}")))?;
    let (size, compressed) = (entry.size(), entry.compressed_size());
    if size / MOST_COMPRESSED > compressed {
        return Err(fault(format!("{name} would grow from {compressed} to {size} bytes, which pictures do not")));
    }
    let (from, write_error, mut done) = (zip.display().to_string(), cache_error("write", to), 0);
    let mut out = create_anew(to).map_err(&write_error)?;
    for_each_chunk(
        entry,
        |chunk| {
            done += chunk.len() as u64;
            if done > size {
                return Err(fault(format!("{name} is longer than the {size} bytes that it promises")));
            }
            (options.observer)(Event::Progress { from: &from, file: name, done, total: Some(size) });
            out.write_all(chunk).map_err(&write_error)
        },
        |error| fault(format!("{name}: {error}")),
    )?;
    out.sync_all().map_err(&write_error)
}

/// Pictures in LMDB files, decoded on demand.
#[derive(Debug)]
struct Photographs {
    files: Vec<PathBuf>,
    values: Vec<(usize, Value)>,
    options: ImageOptions,
}

impl Stored for Photographs {
    fn image_shape(&self) -> [usize; 3] {
        self.options.shape()
    }

    fn read(&self, rows: &[usize]) -> Result<Array4<u8>, Error> {
        gather(self.image_shape(), rows, |&row| {
            let (file, Value { offset, length }) = self.values[row];
            let path = &self.files[file];
            let bytes = read_at(path, offset, length).map_err(|source| Error::Read { path: path.clone(), source })?;
            self.options
                .decode(&bytes)
                .map_err(|reason| Error::Picture { picture: format!("{}, at byte {offset}", path.display()), reason })
        })
    }
}

fn read_at(path: &Path, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}
