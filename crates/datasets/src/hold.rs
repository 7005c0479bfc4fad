//! Moves images from files of their own to where they are quick to read.

use std::path::Path;

use ndarray::Array4;
use sha2::{Digest, Sha256};

use crate::fetch::{Event, FetchOptions, Lock};
use crate::hex::hex;
use crate::{Dataset, Error, Labelled, prepared};

/// The most bytes of images that are held in memory; larger datasets stay in files.
const MEMORY: usize = 256 << 20;

/// The number of images decoded at a time.
const SLAB: usize = 256;

/// Returns the dataset with its images in memory if they are small, else in a prepared file: its own, or one in the
/// cache.
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

/// Returns the dataset with its images in a prepared file of the cache, which is written if it does not exist.
fn in_cache(dataset: &Dataset, options: &FetchOptions<'_>) -> Result<Dataset, Error> {
    let print = cache_print(dataset, options)?;
    let folder = options.cache.join("prepared");
    let path = folder.join(format!("{}-{print}.h5", dataset.name));
    let _lock = Lock::acquire(&folder, &dataset.name, options.observer)?;
    if !path.is_file() {
        prepared::write(dataset, &path, options)?;
    }
    prepared::open_copy(&path, dataset)
}

/// Returns the hash that tells a dataset's prepared file from others in the cache. If the pictures lie in files of
/// their own, it covers their bytes, because a picture may be altered and keep its name and size. Otherwise it covers
/// how many images there are of which classes.
fn cache_print(dataset: &Dataset, options: &FetchOptions<'_>) -> Result<String, Error> {
    let splits = [&dataset.train, &dataset.validation, &dataset.test];
    if splits.iter().all(|split| split.sources().is_some()) {
        let fingerprint = dataset.fingerprint_with(options.observer)?;
        // A file that leaves pictures out must not serve a caller who asks for all of them.
        return Ok(format!("{}{}", &fingerprint.sha256[..16], if options.images.skip_bad { "-readable" } else { "" }));
    }
    let mut print = Sha256::new();
    print.update(format!("{:?} {:?}", dataset.class_names, dataset.train.image_shape()));
    for split in splits {
        split.labels().iter().for_each(|&label| print.update((label as u64).to_le_bytes()));
        print.update("/");
    }
    Ok(hex(&print.finalize()[..4]))
}

/// Decodes a dataset into a prepared file at `out`, a few images at a time, and opens that file. The file is never
/// left incomplete.
///
/// # Errors
/// The errors of [`open`](crate::open) and [`load`](crate::load), and [`Error::Write`] when the file cannot be written.
pub fn convert(name: &str, out: &Path, options: &FetchOptions<'_>) -> Result<Dataset, Error> {
    prepared::write(&crate::open(name, options)?, out, options)?;
    prepared::open(out)
}

/// Returns the dataset with all its images in memory.
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

/// Loads the pictures in a folder into memory, all of class 0, for a category that is learned by itself. Pictures that
/// cannot be read are left out if `options.images.skip_bad`.
///
/// # Errors
/// Those of [`pictures_of`](crate::pictures_of), [`Error::Picture`] for a picture that cannot be read, and
/// [`Error::EmptyClass`] when none can.
pub fn load_pictures_of(folder: &Path, options: &FetchOptions<'_>) -> Result<Labelled, Error> {
    let held = decoded(&crate::pictures_of(folder, options)?, options)?;
    match held.is_empty() {
        true => Err(Error::EmptyClass { class: folder.display().to_string() }),
        false => Ok(held),
    }
}

fn decoded(split: &Labelled, options: &FetchOptions<'_>) -> Result<Labelled, Error> {
    let mut readable = Readable::default();
    for slab in split.slabs(SLAB) {
        readable.extend(&slab, options)?;
    }
    readable.finish(split)
}

/// Collects the images that can be read.
#[derive(Default)]
pub(crate) struct Readable {
    pixels: Vec<u8>,
    tried: usize,
    /// Which images were left out, counted among all that were tried.
    pub(crate) left_out: Vec<usize>,
}

impl Readable {
    /// Adds the images of a slab. A picture that cannot be read is left out if the options allow it.
    pub(crate) fn extend(&mut self, slab: &Labelled, options: &FetchOptions<'_>) -> Result<(), Error> {
        match slab.images() {
            Ok(images) => {
                self.pixels.extend(&images);
                self.tried += slab.len();
                Ok(())
            }
            Err(Error::Picture { picture, reason }) if options.images.skip_bad && slab.len() == 1 => {
                (options.observer)(Event::Skipped { picture: &picture, reason: &reason });
                self.left_out.push(self.tried);
                self.tried += 1;
                Ok(())
            }
            // The unreadable ones are found by bisection.
            Err(Error::Picture { .. }) if options.images.skip_bad => {
                slab.slabs(slab.len().div_ceil(2)).try_for_each(|half| self.extend(&half, options))
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the images that could be read; `tried` are all that were tried.
    pub(crate) fn finish(self, tried: &Labelled) -> Result<Labelled, Error> {
        let (original, [channels, height, width]) = (tried.without(&self.left_out), tried.image_shape());
        let images = Array4::from_shape_vec((original.len(), channels, height, width), self.pixels);
        let images = images.expect("every image that was not left out has this shape");
        Ok(Labelled::new(images, original.labels().to_vec())?.copied_from(&original))
    }
}

/// Fails if a class of the dataset has no images to learn from.
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
    #[cfg(feature = "hdf5")]
    use crate::ImageOptions;
    use crate::labelled::Stored;

    /// Black images that record the largest number requested at once.
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

    /// Makes a folder with 300 small pictures of two classes, which is more than one slab.
    #[cfg(feature = "hdf5")]
    fn pictures() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..300_u32 {
            let class = folder.path().join(["even", "odd"][number as usize % 2]);
            std::fs::create_dir_all(&class).unwrap();
            draw(&class.join(format!("{number:03}.png")), number);
        }
        folder
    }

    #[cfg(feature = "hdf5")]
    fn draw(path: &Path, number: u32) {
        image::RgbImage::from_fn(4, 6, |x, y| image::Rgb([number, 40 * x, 40 * y].map(|value| value as u8)))
            .save(path)
            .unwrap();
    }

    #[cfg(feature = "hdf5")]
    #[test]
    fn pictures_are_known_by_their_files_in_memory_and_in_the_cache() {
        let (folder, cache) = (pictures(), tempfile::tempdir().unwrap());
        let options = |skip_bad| FetchOptions {
            cache: cache.path().into(),
            images: ImageOptions { skip_bad, ..ImageOptions::default() },
            ..FetchOptions::default()
        };
        let opened = || crate::open(folder.path().to_str().unwrap(), &options(false)).unwrap();
        let of = |held: Result<Dataset, Error>| {
            let held = held.unwrap();
            (held.fingerprint().unwrap(), held.train.images().unwrap().into_owned(), held.train.labels().to_vec())
        };
        let before = of(in_memory(opened(), &options(false)));
        assert_eq!(of(in_cache(&opened(), &options(false))), before);
        assert_eq!(of(in_cache(&opened(), &options(false))), before, "from the file of before");
        let batch = [7, 3, 250, 3];
        let [memory, file] = [in_memory(opened(), &options(false)), in_cache(&opened(), &options(false))]
            .map(|held| held.unwrap().train.select(&batch).fingerprint().unwrap());
        assert_eq!(memory, file);

        // The picture is altered in place and keeps its name and size, so the file in the cache no longer matches.
        let path = folder.path().join("odd/033.png");
        let size = std::fs::metadata(&path).unwrap().len();
        draw(&path, 34);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), size);
        let altered = of(in_memory(opened(), &options(false)));
        assert_eq!(before.0.difference(&altered.0).unwrap(), "1 altered (altered: odd/033.png)");
        assert_eq!(of(in_cache(&opened(), &options(false))), altered);

        for number in [0, 34, 299] {
            std::fs::write(folder.path().join(format!("{}/{number:03}.png", ["even", "odd"][number % 2])), "text")
                .unwrap();
        }
        let left_out = of(in_memory(opened(), &options(true)));
        let expected = "3 removed (removed: even/000.png, even/034.png and odd/299.png)";
        assert_eq!(altered.0.difference(&left_out.0).unwrap(), expected);
        assert_eq!(of(in_cache(&opened(), &options(true))), left_out);
        assert_eq!(of(in_cache(&opened(), &options(true))), left_out, "from the file of before");
        let error = in_cache(&opened(), &options(false)).unwrap_err();
        assert!(matches!(error, Error::Picture { .. }), "{error}: whoever asks for all pictures gets no others");
    }
}
