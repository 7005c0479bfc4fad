//! The fingerprint of a dataset: its pixels and labels, or, for a folder of pictures, the bytes of its files.

mod difference;

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::hex::hex;
use crate::sources::Sum;
use crate::{Dataset, Error, Event, Fit, Labelled};

/// The number of images read at a time.
const SLAB: usize = 256;
/// The number of hexadecimal digits of a file's SHA-256 that are kept, to tell which files differ.
const SHORT: usize = 16;
/// The prefix of every hash. A different way of taking fingerprints needs a different prefix.
const VERSION: &[u8] = b"mergan fingerprint 1";

/// Identifies a dataset, wherever it lies and whatever its files are called.
///
/// The fingerprint covers the names of the classes, the shape of the images, and, in each split, the order of the
/// labels and every image. An image is identified by its pixels. If it was made from a file of its own (in a folder
/// of pictures), it is identified by the bytes of that file, and its split by how files became images ([`Fit`]). So
/// it makes no difference whether images are in memory or in a prepared file of the cache, nor how many threads there
/// are.
///
/// It is stored as JSON or TOML. Two fingerprints are equal when their `sha256` are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fingerprint {
    /// SHA-256 of everything but the names of files, 64 lower-case hexadecimal digits.
    pub sha256: String,
    class_names: Vec<String>,
    splits: Vec<Split>,
    /// The first digits of the SHA-256 of each file, by its path inside the folder.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    files: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Split {
    /// The name of the split; empty for images without a dataset.
    name: String,
    /// Channels, height and width.
    shape: [usize; 3],
    /// The conversion of files to images; `None` if images are identified by their pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fit: Option<Fit>,
    /// SHA-256 of the labels in order.
    order: String,
    /// The classes by label; labels without images are absent.
    classes: BTreeMap<usize, Class>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Class {
    count: usize,
    /// SHA-256 of the images' own digests, in order.
    sha256: String,
}

/// The data that identify the images of a split, computed once.
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
    /// Returns the dataset's fingerprint. Every image is read once; of images made from files of their own, only the
    /// files that were not decoded before are read. Asking again costs nothing, also on a clone.
    ///
    /// # Errors
    /// When an image or a file cannot be read.
    pub fn fingerprint(&self) -> Result<Fingerprint, Error> {
        self.fingerprint_with(&|_| {})
    }

    /// Returns the [`fingerprint`](Self::fingerprint) and reports progress to `observer` ([`Event::Fingerprinting`]).
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
    /// Returns the fingerprint of these images and their labels, as of a dataset without class names.
    ///
    /// # Errors
    /// When an image or a file cannot be read.
    pub fn fingerprint(&self) -> Result<Fingerprint, Error> {
        Fingerprint::of(Vec::new(), &[("", self)], |_| {})
    }

    /// Returns the SHA-256 of each image, or of the file it was made from.
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
    /// Calls `progress` with the number of images of each slab that is done.
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
    /// Computes the entry of one split; the files its images are made from are added to `files`.
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
    /// Calls `progress` with the number of images of each slab that is done.
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

/// Hashes everything but the names of files. Whatever varies in length is preceded by its length or count, so that no
/// two datasets yield the same bytes.
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
