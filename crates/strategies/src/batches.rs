//! Batches of real images in random order. Every epoch has a new order, and its last, incomplete batch is dropped.
//!
//! The order is a function of the address of its random numbers, so it need not be saved to resume.

use std::fmt;

use mergan_datasets::{Labelled, TaskSequence};
use mergan_models::from_bytes;
use mergan_tensor::{Address, Device, Tensor};

use crate::draws::{Noise, Purpose};
use crate::error::Error;

/// The way in which the classes of a task share a batch, which affects batch normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grouping {
    /// Groups of equal size with one class each, every group normalised by itself. With one class per task, the
    /// grouping makes no difference.
    Pure,
    /// Images drawn at random from all classes and normalised together, as in the released code's joint training.
    Mixed,
}

/// Real images with their classes.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The images `[n, c, h, w]`, with values in [-1, 1].
    pub images: Tensor,
    /// The class of each image.
    pub labels: Vec<usize>,
}

/// Yields the batches of real images of one task.
pub(crate) struct Batches {
    /// One source per class for class-pure batches, which draw from each in turn, and one source of all classes for
    /// mixed batches.
    sources: Vec<Source>,
    task: usize,
}

struct Source {
    images: Labelled,
    /// The number of images in a batch that come from this source.
    share: usize,
    /// Distinguishes the random orders of the sources.
    number: usize,
    epoch: usize,
    order: Vec<usize>,
}

impl fmt::Display for Grouping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Grouping::Pure => "pure",
            Grouping::Mixed => "mixed",
        })
    }
}

impl Grouping {
    /// Returns the number of images in a batch over this many classes. It is at most `batch`, unless a class-pure batch
    /// would otherwise have no image of some class.
    pub(crate) fn batch(self, batch: usize, classes: usize) -> usize {
        match self {
            Grouping::Pure => classes * (batch / classes).max(1),
            Grouping::Mixed => batch,
        }
    }
}

impl Batches {
    /// Creates the batches of the real images of `classes` in task `task` (counted from 0), where a step is asked for
    /// `asked` images of `members` classes. Class-pure batches hold equally many images of each class.
    pub(crate) fn new(
        tasks: &TaskSequence,
        train: &Labelled,
        classes: &[usize],
        members: usize,
        task: usize,
        grouping: Grouping,
        asked: usize,
    ) -> Result<Self, Error> {
        let batch = grouping.batch(asked, members) * classes.len() / members;
        let (groups, share): (Vec<&[usize]>, usize) = match grouping {
            Grouping::Pure => (classes.chunks(1).collect(), batch / classes.len()),
            Grouping::Mixed => (vec![classes], batch),
        };
        let sources = groups.into_iter().enumerate().map(|(number, group)| {
            let images = tasks.images_of(group, train);
            if images.len() < share {
                let found = images.len();
                let largest = asked.saturating_mul(found) / share;
                return Err(Error::TooFewImages { classes: group.to_vec(), found, needed: share, largest });
            }
            Ok(Source { images, share, number, epoch: usize::MAX, order: Vec::new() })
        });
        Ok(Batches { sources: sources.collect::<Result<_, _>>()?, task })
    }

    /// Returns batch number `index` of the task, counted from 0.
    pub(crate) fn get(&mut self, index: usize, noise: &dyn Noise, device: Device) -> Result<Batch, Error> {
        let parts: Vec<_> = self.sources.iter_mut().map(|source| source.take(index, self.task, noise)).collect();
        let images = parts.iter().map(Labelled::images).collect::<Result<Vec<_>, _>>()?;
        let views: Vec<_> = images.iter().map(|images| images.view()).collect();
        let images = ndarray::concatenate(ndarray::Axis(0), &views).expect("images of one dataset have one size");
        let labels = parts.iter().flat_map(Labelled::labels).copied().collect();
        Ok(Batch { images: from_bytes(images.view(), device), labels })
    }
}

impl Source {
    fn take(&mut self, index: usize, task: usize, noise: &dyn Noise) -> Labelled {
        let per_epoch = self.images.len() / self.share;
        let epoch = index / per_epoch;
        if self.epoch != epoch {
            let address = Address {
                stream: Purpose::Order as u16,
                part: task as u16,
                step: epoch as u32,
                substep: self.number as u32,
            };
            self.order = noise.permutation(address, self.images.len());
            self.epoch = epoch;
        }
        let start = index % per_epoch * self.share;
        self.images.select(&self.order[start..start + self.share])
    }
}
