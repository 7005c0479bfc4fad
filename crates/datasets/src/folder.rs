//! A user's own images: a folder with one subfolder per class.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ndarray::{Array3, Array4, Axis, stack};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::hex::hex;
use crate::labelled::Stored;
use crate::picture::{ImageOptions, is_picture};
use crate::sources::Sources;
use crate::{Dataset, Error, Labelled};

/// One in this many images of a class is kept for testing.
const HELD_OUT: usize = 10;

/// Opens a folder. The dataset's name tells it from others of the same name by the names and sizes of its files. Each
/// subfolder is a class, in the order of their names; in each class every tenth image, rounded up, is held out for
/// testing. Other files and names that start with a dot are skipped. No picture is decoded yet.
pub(crate) fn open(folder: &Path, options: &ImageOptions) -> Result<Dataset, Error> {
    options.check()?;
    let root = fs::canonicalize(folder).map_err(read_error(folder))?;
    let classes = inside(&root, &root)?;
    let classes: Vec<_> = classes.into_iter().filter(|path| path.is_dir()).collect();
    if classes.is_empty() {
        return Err(Error::NoClasses { path: folder.into() });
    }
    let (mut files, mut train, mut test) = (Vec::new(), Vec::new(), Vec::new());
    let (mut labels, mut print) = (Vec::new(), Sha256::new());
    for (label, class) in classes.iter().enumerate() {
        let pictures = pictures(class, &root, options.limit)?;
        for (index, held_out) in held_out(pictures.len()).enumerate() {
            if held_out { &mut test } else { &mut train }.push(files.len() + index);
        }
        for picture in &pictures {
            let size = fs::metadata(picture).map_err(read_error(picture))?.len();
            let inner = picture.strip_prefix(&root).unwrap_or(picture);
            print.update(format!("{}\0{size}\0", inner.display()));
        }
        labels.extend(std::iter::repeat_n(label, pictures.len()));
        files.extend(pictures);
    }
    print.update(format!("{:?} {:?}", options.shape(), options.fit));
    let print = hex(&print.finalize()[..4]);
    let all = labelled(&root, files, options, labels);
    Ok(Dataset {
        name: format!("{}-{print}", name(&root)),
        class_names: classes.iter().map(|path| name(path)).collect(),
        train: all.select(&train),
        validation: all.select(&[]),
        test: all.select(&test),
    })
}

/// Opens the pictures that lie directly in `folder`, sorted by name and all of class 0, for a category that is
/// learned by itself. They are decoded on demand.
///
/// # Errors
/// When the folder cannot be read, a path leads out of it, or it holds no picture.
pub fn pictures_of(folder: &Path, options: &ImageOptions) -> Result<Labelled, Error> {
    options.check()?;
    let root = fs::canonicalize(folder).map_err(read_error(folder))?;
    let files = pictures(&root, &root, options.limit)?;
    let labels = vec![0; files.len()];
    Ok(labelled(&root, files, options, labels))
}

/// Pairs the pictures in `root` with their labels.
fn labelled(root: &Path, files: Vec<PathBuf>, options: &ImageOptions, labels: Vec<usize>) -> Labelled {
    let sources = Sources::new(root, files, options.fit);
    Labelled::stored(Pictures { sources, options: options.clone() }, labels)
}

/// Tells which of `count` images are held out. They are spread evenly and are never all of the images.
fn held_out(count: usize) -> impl Iterator<Item = bool> {
    let held = count.div_ceil(HELD_OUT).min(count.saturating_sub(1));
    (0..count).map(move |index| (index + 1) * held / count > index * held / count)
}

/// Splits images into those to train on and those held out for testing, class by class.
pub(crate) fn held_out_of(labels: &[usize], images: &[usize], classes: usize) -> (Vec<usize>, Vec<usize>) {
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for class in 0..classes {
        let members: Vec<_> = images.iter().copied().filter(|&image| labels[image] == class).collect();
        for (&image, held_out) in members.iter().zip(held_out(members.len())) {
            if held_out { &mut test } else { &mut train }.push(image);
        }
    }
    (train, test)
}

/// Returns the first `limit` pictures in `folder`, by name.
fn pictures(folder: &Path, root: &Path, limit: Option<usize>) -> Result<Vec<PathBuf>, Error> {
    let mut pictures: Vec<_> = inside(folder, root)?.into_iter().filter(|path| is_picture(path)).collect();
    pictures.truncate(limit.unwrap_or(usize::MAX));
    if pictures.is_empty() { Err(Error::EmptyClass { class: folder.display().to_string() }) } else { Ok(pictures) }
}

/// Lists the entries of `folder` by name. A link that leads out of `root` is refused: the user may not be entitled to
/// share its target, and the target does not move with the folder.
fn inside(folder: &Path, root: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(folder).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
    let mut paths = Vec::new();
    for entry in entries.map_err(read_error(folder))? {
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type().map_err(read_error(&path))?.is_symlink() {
            let target = fs::canonicalize(&path).map_err(read_error(&path))?;
            if !target.starts_with(root) {
                return Err(Error::Outside { path, root: root.into() });
            }
        }
        paths.push(path);
    }
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn read_error(path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::Read { path: path.into(), source }
}

/// Pictures that are decoded on demand.
#[derive(Debug)]
struct Pictures {
    sources: Sources,
    options: ImageOptions,
}

impl Stored for Pictures {
    fn image_shape(&self) -> [usize; 3] {
        self.options.shape()
    }

    fn read(&self, rows: &[usize]) -> Result<Array4<u8>, Error> {
        gather(self.image_shape(), rows, |&row| self.sources.file(row).decode(|bytes| self.options.decode(bytes)))
    }

    fn sources(&self) -> Option<Sources> {
        Some(self.sources.clone())
    }
}

/// Decodes the images at `rows` on all cores. If several fail, the first error is returned.
pub(crate) fn gather(
    [channels, height, width]: [usize; 3],
    rows: &[usize],
    decode: impl Fn(&usize) -> Result<Array3<u8>, Error> + Send + Sync,
) -> Result<Array4<u8>, Error> {
    let images: Vec<_> = rows.par_iter().map(decode).collect();
    let images = images.into_iter().collect::<Result<Vec<_>, _>>()?;
    if images.is_empty() {
        return Ok(Array4::zeros((0, channels, height, width)));
    }
    let views: Vec<_> = images.iter().map(|image| image.view()).collect();
    Ok(stack(Axis(0), &views).expect("all images have the shape asked for"))
}
