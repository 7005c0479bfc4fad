//! Images from files of their own to where they are quick to read.

use std::path::Path;

use ndarray::Array4;
use sha2::{Digest, Sha256};

use crate::fetch::{Event, FetchOptions, Lock};
use crate::hex::hex;
use crate::{Dataset, Error, Labelled, prepared};

/// Bytes of images that are held in memory; more stay in files.
const MEMORY: usize = 256 << 20;

/// Images that are decoded at a time.
const SLAB: usize = 256;

/// The dataset with its images in memory where they are small, else in a prepared file: its own, or one in the cache.
pub(crate) fn quick(dataset: Dataset, options: &FetchOptions<'_>) -> Result<Dataset, Error> {
    let splits = [&dataset.train, &dataset.validation, &dataset.test];
    if splits.iter().map(|split| split.bytes()).sum::<usize>() <= MEMORY {
        in_memory(dataset, options)
    } else if splits.iter().all(|split| split.is_decoded()) {
        require_classes(&dataset.class_names, &dataset.train.class_counts(dataset.class_names.len()))?;
        Ok(dataset)
    } else {
        in_cache(&dataset, options)
    }
}

/// The dataset with its images in a prepared file of the cache, which is written where there is none.
fn in_cache(dataset: &Dataset, options: &FetchOptions<'_>) -> Result<Dataset, Error> {
    let mut print = Sha256::new();
    print.update(format!("{:?} {:?}", dataset.class_names, dataset.train.image_shape()));
    for split in [&dataset.train, &dataset.validation, &dataset.test] {
        split.labels().iter().for_each(|&label| print.update((label as u64).to_le_bytes()));
        print.update("/");
    }
    let print = hex(&print.finalize()[..4]);
    let folder = options.cache.join("prepared");
    let path = folder.join(format!("{}-{print}.h5", dataset.name));
    let _lock = Lock::acquire(&folder, || (options.observer)(Event::Waiting { dataset: &dataset.name }))?;
    if !path.is_file() {
        prepared::write(dataset, &path, options)?;
    }
    Ok(Dataset { name: dataset.name.clone(), ..prepared::open(&path)? })
}

/// Decodes a dataset into a prepared file at `out`, a few images at a time, and opens that. The file is whole or not
/// there.
///
/// # Errors
/// As [`open`](crate::open) and [`load`](crate::load), and [`Error::Write`] when the file cannot be written.
pub fn convert(name: &str, out: &Path, options: &FetchOptions<'_>) -> Result<Dataset, Error> {
    prepared::write(&crate::open(name, options)?, out, options)?;
    prepared::open(out)
}

/// The dataset with all its images in memory.
fn in_memory(dataset: Dataset, options: &FetchOptions<'_>) -> Result<Dataset, Error> {
    let hold = |split: &Labelled| if split.is_in_memory() { Ok(split.clone()) } else { decoded(split, options) };
    let held = Dataset {
        train: hold(&dataset.train)?,
        validation: hold(&dataset.validation)?,
        test: hold(&dataset.test)?,
        ..dataset
    };
    require_classes(&held.class_names, &held.train.class_counts(held.class_names.len()))?;
    Ok(held)
}

fn decoded(split: &Labelled, options: &FetchOptions<'_>) -> Result<Labelled, Error> {
    let mut readable = Readable::default();
    for slab in split.slabs(SLAB) {
        readable.extend(&slab, options)?;
    }
    readable.finish(split.image_shape())
}

/// Images that could be read, one after another, and their labels.
#[derive(Default)]
pub(crate) struct Readable {
    pixels: Vec<u8>,
    labels: Vec<usize>,
}

impl Readable {
    /// Adds the images of a slab; a picture that cannot be read is left out where the options say so.
    pub(crate) fn extend(&mut self, slab: &Labelled, options: &FetchOptions<'_>) -> Result<(), Error> {
        match slab.images() {
            Ok(images) => {
                self.pixels.extend(&images);
                self.labels.extend(slab.labels());
                Ok(())
            }
            Err(Error::Picture { picture, reason }) if options.images.skip_bad && slab.len() == 1 => {
                (options.observer)(Event::Skipped { picture: &picture, reason: &reason });
                Ok(())
            }
            // Which ones cannot be read is found by halving.
            Err(Error::Picture { .. }) if options.images.skip_bad => {
                slab.slabs(slab.len().div_ceil(2)).try_for_each(|half| self.extend(&half, options))
            }
            Err(error) => Err(error),
        }
    }

    /// The images, which have this shape.
    pub(crate) fn finish(self, [channels, height, width]: [usize; 3]) -> Result<Labelled, Error> {
        let images = Array4::from_shape_vec((self.labels.len(), channels, height, width), self.pixels);
        Labelled::new(images.expect("every label has an image of this shape"), self.labels)
    }
}

/// Refuses a dataset of which a class has nothing to learn from.
pub(crate) fn require_classes(names: &[String], counts: &[usize]) -> Result<(), Error> {
    match names.iter().zip(counts).find(|(_, count)| **count == 0) {
        None => Ok(()),
        Some((name, _)) => Err(Error::EmptyClass { class: name.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::labelled::Stored;

    /// Black images that remember how many were asked for at once.
    #[derive(Debug, Clone, Default)]
    struct Counting(Arc<AtomicUsize>);

    impl Stored for Counting {
        fn image_shape(&self) -> [usize; 3] {
            [1, 2, 2]
        }
        fn read(&self, rows: &[usize]) -> Result<Array4<u8>, Error> {
            self.0.fetch_max(rows.len(), Ordering::Relaxed);
            Ok(Array4::zeros((rows.len(), 1, 2, 2)))
        }
    }

    fn many(images: &Counting) -> Dataset {
        let train = Labelled::stored(images.clone(), vec![0; 3000]);
        let (validation, test) = (train.select(&[]), train.select(&[0]));
        Dataset { name: "many".into(), class_names: vec!["black".into()], train, validation, test }
    }

    #[test]
    fn images_are_decoded_a_few_at_a_time() {
        let images = Counting::default();
        let held = quick(many(&images), &FetchOptions::default()).unwrap();
        assert_eq!((held.train.is_in_memory(), held.train.len()), (true, 3000));
        assert_eq!(images.0.load(Ordering::Relaxed), SLAB);
    }

    #[cfg(feature = "hdf5")]
    #[test]
    fn images_that_take_more_than_the_memory_are_kept_in_the_cache() {
        let (images, folder) = (Counting::default(), tempfile::tempdir().unwrap());
        let options = FetchOptions { cache: folder.path().into(), ..FetchOptions::default() };
        let held = in_cache(&many(&images), &options).unwrap();
        assert_eq!((held.name.as_str(), held.train.is_in_memory(), held.train.len()), ("many", false, 3000));
        assert_eq!(images.0.swap(0, Ordering::Relaxed), SLAB);
        in_cache(&many(&images), &options).unwrap();
        assert_eq!(images.0.load(Ordering::Relaxed), 0, "the second time nothing is decoded");
    }
}
