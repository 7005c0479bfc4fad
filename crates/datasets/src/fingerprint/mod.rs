//! What a dataset is known by: its pixels and labels, and of a folder of pictures the bytes of its files.

mod difference;

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::hex::hex;
use crate::sources::Sum;
use crate::{Dataset, Error, Event, Fit, Labelled};

/// Images that are read at a time.
const SLAB: usize = 256;
/// Hexadecimal digits of a file's SHA-256 that are kept to tell which files differ.
const SHORT: usize = 16;
/// What is hashed before all else. Another way to take fingerprints has to begin otherwise.
const VERSION: &[u8] = b"mergan fingerprint 1";

/// What a dataset is known by, wherever it lies and whatever its files are called.
///
/// It is of the names of the classes, the shape of the images, and in each split of the order of the labels and of every
/// image. An image is known by its pixels; where it is made of a file of its own (in a folder of pictures), by the bytes of
/// that file, and its split by how files became images ([`Fit`]). So whether images are in memory or in a prepared file of
/// the cache makes no difference, nor does the number of threads.
///
/// It is written as JSON or TOML. Two are equal when their `sha256` are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fingerprint {
    /// SHA-256 of all of it but the names of files, 64 lower-case hexadecimal digits.
    pub sha256: String,
    class_names: Vec<String>,
    splits: Vec<Split>,
    /// The start of the SHA-256 of each file, by its path inside the folder.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    files: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Split {
    /// Empty where there is but one.
    name: String,
    /// Channels, height and width.
    shape: [usize; 3],
    /// How files became images; none where images are known by their pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fit: Option<Fit>,
    /// SHA-256 of the labels in their order.
    order: String,
    /// By label; those that have no image are absent.
    classes: BTreeMap<usize, Class>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Class {
    count: usize,
    /// SHA-256 of the images' own, in their order.
    sha256: String,
}

/// What the images of a split are known by, as it was found once.
#[derive(Debug, Clone)]
pub(crate) struct Contents {
    order: String,
    classes: BTreeMap<usize, Class>,
    files: BTreeMap<String, String>,
}

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Self) -> bool {
        self.sha256 == other.sha256
    }
}

impl Eq for Fingerprint {}

impl Dataset {
    /// What it is known by. Every image is read once, unless it is made of a file of its own: those are read where they
    /// were not decoded before. Asking again, also of a clone, costs nothing.
    ///
    /// # Errors
    /// When an image or a file cannot be read.
    pub fn fingerprint(&self) -> Result<Fingerprint, Error> {
        self.fingerprint_with(&|_| {})
    }

    /// Its [`fingerprint`](Self::fingerprint); `observer` is told how far it is ([`Event::Fingerprinting`]).
    ///
    /// # Errors
    /// When an image or a file cannot be read.
    pub fn fingerprint_with(&self, observer: &dyn Fn(Event<'_>)) -> Result<Fingerprint, Error> {
        let splits = [("train", &self.train), ("validation", &self.validation), ("test", &self.test)];
        let total = splits.iter().map(|(_, images)| images.len() as u64).sum();
        let mut done = 0;
        Fingerprint::of(self.class_names.clone(), &splits, |count| {
            done += count as u64;
            observer(Event::Fingerprinting { dataset: &self.name, done, total });
        })
    }
}

impl Labelled {
    /// What these images and their labels are known by, as a dataset without names of classes.
    ///
    /// # Errors
    /// When an image or a file cannot be read.
    pub fn fingerprint(&self) -> Result<Fingerprint, Error> {
        Fingerprint::of(Vec::new(), &[("", self)], |_| {})
    }

    /// The SHA-256 of each image, or of the file that it is made of.
    fn sums(&self) -> Result<Vec<Sum>, Error> {
        if let Some(sources) = self.sources() {
            return sources.sums();
        }
        let images = self.images()?;
        let images: Vec<_> = images.outer_iter().collect();
        let sum = |image: &ndarray::ArrayView3<u8>| {
            Sha256::digest(image.as_standard_layout().as_slice().expect("the standard layout is contiguous")).into()
        };
        Ok(images.par_iter().map(sum).collect())
    }
}

impl Fingerprint {
    /// `progress` hears of every slab how many images it has.
    fn of(
        class_names: Vec<String>,
        splits: &[(&str, &Labelled)],
        mut progress: impl FnMut(usize),
    ) -> Result<Self, Error> {
        let mut files = BTreeMap::new();
        let split = |(name, images): &(&str, &Labelled)| Split::of(name, images, &mut files, &mut progress);
        let splits = splits.iter().map(split).collect::<Result<Vec<_>, Error>>()?;
        Ok(Self { sha256: sha256(&class_names, &splits), class_names, splits, files })
    }
}

impl Split {
    /// What its images are known by; the files that they are made of are added to `files`.
    fn of(
        name: &str,
        images: &Labelled,
        files: &mut BTreeMap<String, String>,
        progress: impl FnMut(usize),
    ) -> Result<Self, Error> {
        let contents = match images.contents.get() {
            Some(contents) => contents,
            None => {
                let found = Contents::of(images, progress)?;
                images.contents.get_or_init(|| found)
            }
        };
        files.extend(contents.files.clone());
        Ok(Self {
            name: name.into(),
            shape: images.image_shape(),
            fit: images.sources().map(|sources| sources.fit),
            order: contents.order.clone(),
            classes: contents.classes.clone(),
        })
    }
}

impl Contents {
    /// `progress` hears of every slab how many images it has.
    fn of(images: &Labelled, mut progress: impl FnMut(usize)) -> Result<Self, Error> {
        let (mut order, mut classes) = (Sha256::new(), BTreeMap::<usize, (usize, Sha256)>::new());
        let mut files = BTreeMap::new();
        for slab in images.slabs(SLAB) {
            let sums = slab.sums()?;
            for (&label, sum) in slab.labels().iter().zip(&sums) {
                order.update((label as u64).to_le_bytes());
                let (count, hash) = classes.entry(label).or_default();
                *count += 1;
                hash.update(sum);
            }
            if let Some(sources) = slab.sources() {
                files.extend(sources.names().map(String::from).zip(sums.iter().map(|sum| hex(&sum[..SHORT / 2]))));
            }
            progress(slab.len());
        }
        let class = |(label, (count, hash)): (_, (_, Sha256))| (label, Class { count, sha256: hex(hash.finalize()) });
        Ok(Self { order: hex(order.finalize()), classes: classes.into_iter().map(class).collect(), files })
    }
}

/// The SHA-256 over everything but the names of files. A length or a number stands before whatever varies in length, so that
/// no two datasets are hashed as the same bytes.
fn sha256(class_names: &[String], splits: &[Split]) -> String {
    let mut hash = Sha256::new();
    let mut put = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    let number = |number: usize| (number as u64).to_le_bytes();
    put(VERSION);
    put(&number(class_names.len()));
    class_names.iter().for_each(|name| put(name.as_bytes()));
    for Split { name, shape, fit, order, classes } in splits {
        put(name.as_bytes());
        shape.iter().for_each(|&length| put(&number(length)));
        put(fit.map(|fit| fit.to_string()).unwrap_or_default().as_bytes());
        put(order.as_bytes());
        put(&number(classes.len()));
        for (&label, Class { count, sha256 }) in classes {
            put(&number(label));
            put(&number(*count));
            put(sha256.as_bytes());
        }
    }
    hex(hash.finalize())
}
