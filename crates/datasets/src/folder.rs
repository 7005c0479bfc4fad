//! A user's own images: a folder with one subfolder per class.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::{Array3, Array4, Axis, stack};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::fetch::{Event, FetchOptions};
use crate::hex::hex;
use crate::labelled::Stored;
use crate::listing::{Entries, Listing, is_picture, list, read_error};
use crate::picture::ImageOptions;
use crate::printable::printable;
use crate::sources::Sources;
use crate::{Dataset, Error, Labelled};

/// One in this many images of a class is kept for testing.
const HELD_OUT: usize = 10;

/// The names of the folders of a split, in lower case: to train on, to validate with and to test on.
const SPLITS: [&[&str]; 3] = [&["train", "training"], &["validation", "valid", "val"], &["test", "testing"]];

/// Opens a folder. The dataset's name tells it from others of the same name by the names and sizes of its files. Each
/// subfolder is a class, in the order of their names, and has all pictures inside it; in each class every tenth image,
/// rounded up, is held out for testing. If the subfolders are named as the parts of a split are, their subfolders are
/// the classes, and nothing is held out where there are images to test on. No picture is decoded yet.
pub(crate) fn open(folder: &Path, options: &FetchOptions<'_>) -> Result<Dataset, Error> {
    options.images.check()?;
    let mut listing = Listing::new(folder, options)?;
    let found = find(&mut listing, folder, options);
    // What is passed over may be why a class has no pictures.
    let root = listing.tell();
    let Found { class_names, files, labels, parts: [train, validation, test] } = found?;
    let mut print = Sha256::new();
    for picture in &files {
        let size = fs::metadata(picture).map_err(read_error(picture))?.len();
        let inner = picture.strip_prefix(&root).unwrap_or(picture);
        print.update(format!("{}\0{size}\0", inner.display()));
    }
    print.update(format!("{:?} {:?}", options.images.shape(), options.images.fit));
    let print = hex(&print.finalize()[..4]);
    let all = labelled(&root, files, &options.images, labels);
    let rows = |part: Option<Range<usize>>| part.map(Vec::from_iter).unwrap_or_default();
    let (train, test) = match test {
        Some(_) => (rows(train), rows(test)),
        None => held_out_of(all.labels(), &rows(train), class_names.len()),
    };
    Ok(Dataset {
        name: format!("{}-{print}", name(&root)),
        train: all.select(&train),
        validation: all.select(&rows(validation)),
        test: all.select(&test),
        class_names,
    })
}

/// The pictures of all classes.
#[derive(Default)]
struct Found {
    class_names: Vec<String>,
    files: Vec<PathBuf>,
    labels: Vec<usize>,
    /// The pictures to train on, to validate with and to test on, as far as the folder tells them apart.
    parts: [Option<Range<usize>>; 3],
}

/// Finds the pictures of each class.
fn find(listing: &mut Listing<'_>, folder: &Path, options: &FetchOptions<'_>) -> Result<Found, Error> {
    let top = listing.entries(&listing.root.clone())?;
    if top.folders.is_empty() {
        return Err(Error::NoClasses { path: folder.into() });
    }
    listing.pass_over(top.files.clone());
    let mut found = Found::default();
    let Some(parts) = split(listing, &top)? else {
        found.class_names = top.folders.iter().map(|path| name(path)).collect();
        found.add(0, &top.folders, listing, &options.images)?;
        return Ok(found);
    };
    let beside = top.folders.iter().filter(|path| !parts.iter().flatten().any(|part| part == *path));
    let beside: Vec<_> = beside.map(|path| name(path)).collect();
    if !beside.is_empty() {
        let what =
            format!("folders that are no part of the split into training and test images: {}", beside.join(", "));
        (options.observer)(Event::Noted { what: &what });
    }
    for (part, folder) in parts.iter().enumerate() {
        let Some(folder) = folder else { continue };
        let Entries { folders, files } = listing.entries(folder)?;
        listing.pass_over(files);
        if found.class_names.is_empty() {
            found.class_names = folders.iter().map(|path| name(path)).collect();
        }
        found.add(part, &folders, listing, &options.images)?;
    }
    // Pictures that are only there to validate with are tested on: scores need some.
    let [_, validation, test] = &mut found.parts;
    if test.is_none() {
        std::mem::swap(validation, test);
    }
    Ok(found)
}

/// Returns the folders of a split: to train on, to validate with and to test on. There is a split if the folder to
/// train on has subfolders and no pictures of its own, and there is another part of it or no other folder.
fn split(listing: &Listing<'_>, top: &Entries) -> Result<Option<[Option<PathBuf>; 3]>, Error> {
    let of =
        |names: &[&str]| top.folders.iter().find(|path| names.contains(&name(path).to_lowercase().as_str())).cloned();
    let folders = SPLITS.map(of);
    let [Some(train), validation, test] = &folders else { return Ok(None) };
    let Entries { folders: classes, files } = listing.entries(train)?;
    let nested = !classes.is_empty() && !files.iter().any(|path| is_picture(path));
    let accompanied = validation.is_some() || test.is_some() || top.folders.len() == 1;
    Ok((nested && accompanied).then_some(folders))
}

impl Found {
    /// Adds a part: the pictures of each class, whose names must be known.
    fn add(
        &mut self,
        part: usize,
        classes: &[PathBuf],
        listing: &mut Listing<'_>,
        images: &ImageOptions,
    ) -> Result<(), Error> {
        let start = self.files.len();
        for class in classes {
            let class_name = name(class);
            let Some(label) = self.class_names.iter().position(|known| *known == class_name) else {
                return Err(Error::UntrainedClass { path: class.clone() });
            };
            let pictures = first(listing.pictures(class)?, class, images.limit)?;
            self.labels.extend(std::iter::repeat_n(label, pictures.len()));
            self.files.extend(pictures);
        }
        self.parts[part] = Some(start..self.files.len());
        Ok(())
    }
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

/// Opens the pictures in `folder`, sorted by path and all of class 0, for a category that is learned by itself. They
/// are decoded on demand.
///
/// # Errors
/// Those of [`list_pictures`](crate::list_pictures), and [`Error::EmptyClass`] when there are no pictures.
pub fn pictures_of(folder: &Path, options: &FetchOptions<'_>) -> Result<Labelled, Error> {
    options.images.check()?;
    let (root, files) = list(folder, options)?;
    let files = first(files, folder, options.images.limit)?;
    let labels = vec![0; files.len()];
    Ok(labelled(&root, files, &options.images, labels))
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

/// Returns the first `limit` pictures of a class, which must have some.
fn first(mut pictures: Vec<PathBuf>, class: &Path, limit: Option<usize>) -> Result<Vec<PathBuf>, Error> {
    pictures.truncate(limit.unwrap_or(usize::MAX));
    if pictures.is_empty() { Err(Error::EmptyClass { class: class.display().to_string() }) } else { Ok(pictures) }
}

/// Returns the name of a folder, as it can be printed.
fn name(path: &Path) -> String {
    printable(&path.file_name().unwrap_or(path.as_os_str()).to_string_lossy())
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
