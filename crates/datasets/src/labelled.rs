//! Images with their labels, in memory or in files.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use ndarray::{Array4, Axis, CowArray, Ix4, s};

use crate::Error;
use crate::fingerprint::Contents;
use crate::sources::Sources;

/// A dataset, ready to train on.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The name it was loaded by.
    pub name: String,
    /// The name of each class; a label is an index into this list.
    pub class_names: Vec<String>,
    /// The images to train on.
    pub train: Labelled,
    /// Images held out of the training files, for choices made while training.
    pub validation: Labelled,
    /// The images that scores are reported on.
    pub test: Labelled,
}

/// Images and the class of each.
///
/// The labels are in memory. The images are too, or they lie in files and are read on demand. A selection shares the
/// images and copies none, so datasets larger than memory are cut and shuffled like small ones. A clone shares
/// everything.
#[derive(Debug, Clone)]
pub struct Labelled {
    pixels: Arc<Pixels>,
    /// The file that each image was made from, one for each index that `rows` can name, if there are such files.
    sources: Option<Arc<Sources>>,
    rows: Rows,
    labels: Arc<[usize]>,
    /// The data that identify the images, computed on first request; clones share the result.
    pub(crate) contents: Arc<OnceLock<Contents>>,
}

#[derive(Debug)]
enum Pixels {
    Memory(Array4<u8>),
    Stored(Box<dyn Stored>),
}

/// Images that lie in files.
pub(crate) trait Stored: Debug + Send + Sync {
    /// Returns the channels, height and width of every image.
    fn image_shape(&self) -> [usize; 3];

    /// Returns whether the images are quick to read. If not, each is decoded whenever it is requested.
    fn is_decoded(&self) -> bool {
        false
    }

    /// Returns the files that the images are made from, if each is made from one.
    fn sources(&self) -> Option<Sources> {
        None
    }

    /// Reads the images at `rows`, in that order, [N, C, H, W].
    fn read(&self, rows: &[usize]) -> Result<Array4<u8>, Error>;
}

/// A selection of images. A contiguous range is a case of its own because it needs no copy.
#[derive(Debug, Clone)]
enum Rows {
    Range(Range<usize>),
    List(Arc<[usize]>),
}

impl Rows {
    fn list(&self) -> Vec<usize> {
        match self {
            Rows::Range(range) => range.clone().collect(),
            Rows::List(rows) => rows.to_vec(),
        }
    }

    /// Returns the rows at these positions within this selection.
    fn select(&self, positions: &[usize]) -> Self {
        let rows: Vec<usize> = match self {
            Rows::Range(range) => positions.iter().map(|position| range.start + position).collect(),
            Rows::List(rows) => positions.iter().map(|&position| rows[position]).collect(),
        };
        match rows.first() {
            Some(&first) if rows.iter().copied().eq(first..first + rows.len()) => {
                Rows::Range(first..first + rows.len())
            }
            Some(_) => Rows::List(rows.into()),
            None => Rows::Range(0..0),
        }
    }
}

impl Labelled {
    /// Pairs images of shape [N, C, H, W] with N labels.
    ///
    /// # Errors
    /// [`Error::Unpaired`] when the numbers differ.
    pub fn new(images: Array4<u8>, labels: Vec<usize>) -> Result<Self, Error> {
        if images.len_of(Axis(0)) != labels.len() {
            return Err(Error::Unpaired { images: images.len_of(Axis(0)), labels: labels.len() });
        }
        Ok(Self::over(Pixels::Memory(images), None, labels))
    }

    /// Pairs the first images of a store with labels; the store must have at least as many images.
    pub(crate) fn stored(images: impl Stored + 'static, labels: Vec<usize>) -> Self {
        let sources = images.sources();
        Self::over(Pixels::Stored(Box::new(images)), sources, labels)
    }

    fn over(pixels: Pixels, sources: Option<Sources>, labels: Vec<usize>) -> Self {
        let rows = Rows::Range(0..labels.len());
        let (pixels, sources) = (Arc::new(pixels), sources.map(Arc::new));
        Self { pixels, sources, rows, labels: labels.into(), contents: Arc::default() }
    }

    /// Makes these images, which a store has just been filled with, known by the same files as those of `original`,
    /// one for one.
    pub(crate) fn copied_from(self, original: &Self) -> Self {
        Self { sources: original.sources().map(Arc::new), contents: Arc::default(), ..self }
    }

    /// Copies the images into memory; they are still identified by the files they were made from.
    ///
    /// # Errors
    /// When an image cannot be read.
    pub fn in_memory(&self) -> Result<Self, Error> {
        Ok(Self::new(self.images()?.into_owned(), self.labels().to_vec())?.copied_from(self))
    }

    /// Returns the files that the images are made from, one for each.
    pub(crate) fn sources(&self) -> Option<Sources> {
        self.sources.as_ref().map(|sources| sources.select(&self.rows.list()))
    }

    /// Returns the number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Returns whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Returns the channels, height and width of an image.
    pub fn image_shape(&self) -> [usize; 3] {
        match &*self.pixels {
            Pixels::Memory(images) => {
                let (_, channels, height, width) = images.dim();
                [channels, height, width]
            }
            Pixels::Stored(images) => images.image_shape(),
        }
    }

    /// Returns the size of all images in bytes.
    pub fn bytes(&self) -> usize {
        self.len() * self.image_shape().iter().product::<usize>()
    }

    /// Returns the images, [N, C, H, W], as bytes: a view if they are contiguous in memory, else a copy. If the split
    /// is larger than memory, [`select`](Self::select) from it first, or iterate over its [`slabs`](Self::slabs).
    ///
    /// # Errors
    /// When the images lie in files and one cannot be read.
    pub fn images(&self) -> Result<CowArray<'_, u8, Ix4>, Error> {
        match (&*self.pixels, &self.rows) {
            (Pixels::Memory(images), Rows::Range(range)) => Ok(images.slice(s![range.clone(), .., .., ..]).into()),
            (Pixels::Memory(images), Rows::List(rows)) => Ok(images.select(Axis(0), rows).into()),
            (Pixels::Stored(images), rows) => Ok(images.read(&rows.list())?.into()),
        }
    }

    /// Returns whether the images are in memory, not in files.
    pub fn is_in_memory(&self) -> bool {
        matches!(*self.pixels, Pixels::Memory(_))
    }

    /// Returns whether the images are quick to read, from memory or a prepared file.
    pub(crate) fn is_decoded(&self) -> bool {
        match &*self.pixels {
            Pixels::Memory(_) => true,
            Pixels::Stored(images) => images.is_decoded(),
        }
    }

    /// Returns the class of each image.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// Selects the images at `indices`, in that order; repeats are allowed. No pixel is copied or read.
    ///
    /// # Panics
    /// When an index is not below [`len`](Self::len).
    pub fn select(&self, indices: &[usize]) -> Self {
        let labels = indices.iter().map(|&index| self.labels[index]).collect();
        Self {
            pixels: Arc::clone(&self.pixels),
            sources: self.sources.clone(),
            rows: self.rows.select(indices),
            labels,
            contents: Arc::default(),
        }
    }

    /// Returns the same images with other labels, one for each.
    ///
    /// # Errors
    /// [`Error::Unpaired`] when the numbers differ.
    pub fn relabelled(&self, labels: Vec<usize>) -> Result<Self, Error> {
        if labels.len() != self.len() {
            return Err(Error::Unpaired { images: self.len(), labels: labels.len() });
        }
        Ok(Self { labels: labels.into(), contents: Arc::default(), ..self.clone() })
    }

    /// Returns all images but those at `indices`, which must ascend.
    pub(crate) fn without(&self, indices: &[usize]) -> Self {
        let kept: Vec<usize> = (0..self.len()).filter(|index| indices.binary_search(index).is_err()).collect();
        self.select(&kept)
    }

    /// Returns the positions of the images of `class`, in order.
    pub fn indices_of(&self, class: usize) -> Vec<usize> {
        let labels = self.labels.iter().enumerate();
        labels.filter(|&(_, &label)| label == class).map(|(index, _)| index).collect()
    }

    /// Returns only the images of `class`, in order.
    pub fn of_class(&self, class: usize) -> Self {
        self.select(&self.indices_of(class))
    }

    /// Iterates over all images in order, at most `size` at a time.
    ///
    /// # Panics
    /// When `size` is 0.
    pub fn slabs(&self, size: usize) -> impl Iterator<Item = Self> {
        (0..self.len()).step_by(size).map(move |start| {
            let indices: Vec<usize> = (start..self.len().min(start + size)).collect();
            self.select(&indices)
        })
    }

    /// Returns how many images each of the first `classes` classes has.
    pub fn class_counts(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        for &label in self.labels() {
            if let Some(count) = counts.get_mut(label) {
                *count += 1;
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toy() -> Labelled {
        let images = Array4::from_shape_fn((4, 1, 2, 2), |(n, _, y, x)| (n * 4 + y * 2 + x) as u8);
        Labelled::new(images, vec![1, 0, 1, 2]).unwrap()
    }

    #[test]
    fn selection_keeps_pairs_together() {
        let chosen = toy().select(&[3, 0, 0]);
        assert_eq!(chosen.labels(), [2, 1, 1]);
        assert_eq!(chosen.images().unwrap()[[0, 0, 0, 0]], 12);
        assert_eq!(chosen.image_shape(), [1, 2, 2]);
    }

    /// Images made on demand: each is filled with the number of its row.
    #[derive(Debug)]
    struct Made;

    impl Stored for Made {
        fn image_shape(&self) -> [usize; 3] {
            [1, 2, 2]
        }
        fn read(&self, rows: &[usize]) -> Result<Array4<u8>, Error> {
            Ok(Array4::from_shape_fn((rows.len(), 1, 2, 2), |(n, ..)| rows[n] as u8))
        }
    }

    #[test]
    fn selections_of_selections_find_the_same_images_in_memory_and_in_files() {
        let stored = Labelled::stored(Made, vec![0, 1, 0, 1, 0, 1]);
        let all = stored.images().unwrap().into_owned();
        let memory = Labelled::new(all, stored.labels().to_vec()).unwrap();
        for indices in [&[][..], &[4], &[2, 3, 4], &[5, 0, 5, 2]] {
            for again in [&[][..], &[0], &[0, 0]] {
                let chosen = [&stored, &memory].map(|split| {
                    let chosen = split.select(indices).select(&again[..again.len().min(indices.len())]);
                    (chosen.labels().to_vec(), chosen.images().unwrap().into_owned())
                });
                assert_eq!(chosen[0], chosen[1]);
            }
        }
        let odd = memory.of_class(1);
        assert_eq!(odd.select(&[2, 0]).images().unwrap().iter().step_by(4).collect::<Vec<_>>(), [&5, &1]);
        let first = |slab: Labelled| slab.images().unwrap().iter().step_by(4).copied().collect::<Vec<_>>();
        assert_eq!(odd.slabs(2).map(first).collect::<Vec<_>>(), [vec![1, 3], vec![5]]);
    }

    #[test]
    fn what_lies_side_by_side_in_memory_is_not_copied() {
        assert!(toy().select(&[1, 2]).images().unwrap().is_view());
        assert!(!toy().select(&[2, 1]).images().unwrap().is_view());
    }

    #[test]
    fn a_clone_shares_images_and_labels() {
        let chosen = toy().select(&[2, 1]);
        let clone = chosen.clone();
        assert!(Arc::ptr_eq(&chosen.pixels, &clone.pixels) && Arc::ptr_eq(&chosen.labels, &clone.labels));
    }

    #[test]
    fn classes_are_found_and_counted() {
        assert_eq!(toy().indices_of(1), [0, 2]);
        assert_eq!(toy().of_class(1).images().unwrap()[[1, 0, 0, 0]], 8);
        assert!(toy().of_class(7).is_empty());
        assert_eq!(toy().class_counts(3), [1, 2, 1]);
    }

    #[test]
    fn unpaired_labels_are_refused() {
        let error = Labelled::new(Array4::zeros((2, 1, 1, 1)), vec![0]).unwrap_err();
        assert_eq!(error.to_string(), "2 images but 1 labels; each image needs one label");
    }
}
