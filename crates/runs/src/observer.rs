//! What is told to whoever watches a run. Nothing is printed here: a command draws bars, a window or a notebook does what
//! it likes, and [`Unobserved`] hears nothing.

use std::fmt::{self, Display};
use std::path::Path;
use std::time::Duration;

use mergan_record::TaskScores;
use mergan_strategies::Losses;

/// Whoever watches a run.
pub trait Observer {
    /// Something happened.
    fn happened(&self, happening: &Happening);
}

/// An observer that hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn happened(&self, _: &Happening) {}
}

impl<F: Fn(&Happening)> Observer for F {
    fn happened(&self, happening: &Happening) {
        self(happening);
    }
}

/// A piece of work that takes long enough to be watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// A strategy is trained; a step is an iteration, counted through all tasks.
    Training(String),
    /// The classifier that scores a dataset is trained; a step is one of its optimiser's.
    TrainingScorer(String),
    /// A classifier is trained on generated images, for the reverse accuracy.
    TrainingReverse,
    /// Images go through Inception; a step is an image.
    ReadingFeatures,
    /// A few iterations of every task are timed.
    Estimating,
}

impl Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Work::Training(strategy) => write!(f, "training {strategy}"),
            Work::TrainingScorer(dataset) => write!(f, "training the classifier that scores {dataset}"),
            Work::TrainingReverse => f.write_str("training a classifier on generated images"),
            Work::ReadingFeatures => f.write_str("looking at the images with Inception"),
            Work::Estimating => f.write_str("measuring how long this will take"),
        }
    }
}

/// What happens while a run is worked on.
#[non_exhaustive]
pub enum Happening<'h> {
    /// A piece of work begins.
    Begins(&'h Work),
    /// It has come this far.
    Progress {
        /// What is worked on.
        work: &'h Work,
        /// Steps that are done.
        done: u64,
        /// Steps in all; 0 where that is not known yet.
        total: u64,
        /// Says more.
        detail: &'h dyn Fn() -> String,
    },
    /// The training did an iteration.
    Iteration(&'h Iteration<'h>),
    /// It is over, finished or not.
    Ends(&'h Work),
    /// A training goes on from this checkpoint.
    Resumed {
        /// The checkpoint.
        checkpoint: &'h Path,
    },
    /// A checkpoint was written.
    Saved {
        /// Tasks learned.
        tasks: usize,
        /// Iterations done of the next one.
        iterations: usize,
    },
    /// A task is learned, but not scored yet.
    Learned {
        /// The task, counted from 1.
        task: usize,
        /// Tasks in all.
        tasks: usize,
        /// How long it was trained.
        took: Duration,
    },
    /// A task is scored.
    Scored(&'h TaskScores),
    /// All tasks are learned and scored.
    Finished {
        /// How many.
        tasks: usize,
        /// The run directory.
        run: &'h Path,
    },
    /// A classifier that scores is trained.
    ScorerTrained {
        /// The share of test images that it recognises, from 0 to 1.
        test_accuracy: f64,
    },
    /// Something that is no reason to stop, but that a person should know.
    Warning(&'h str),
    /// Something that a person might wonder about.
    Detail(&'h str),
}

/// Where a training stands after an iteration.
pub struct Iteration<'h> {
    /// What is trained, as [`Happening::Begins`] said.
    pub work: &'h Work,
    /// The task, counted from 1.
    pub task: usize,
    /// Tasks in all.
    pub tasks: usize,
    /// The iteration, counted from 1.
    pub iteration: usize,
    /// Iterations of this task.
    pub iterations: usize,
    /// Iterations done, through all tasks.
    pub done: u64,
    /// Iterations of all tasks.
    pub total: u64,
    /// How long the rest will take at the present pace, scoring not counted.
    pub left: Duration,
    /// The losses. They lie on the device that trains until somebody reads them, so reading makes the training wait.
    pub losses: &'h Losses,
}

/// How far a piece of work is, for its observer, who hears the end when this is dropped.
pub(crate) struct Progress<'o> {
    observer: &'o dyn Observer,
    work: Work,
    done: u64,
    total: u64,
}

impl<'o> Progress<'o> {
    /// The work begins; `total` is 0 where it is not known yet.
    pub(crate) fn begin(observer: &'o dyn Observer, work: Work, total: u64) -> Self {
        observer.happened(&Happening::Begins(&work));
        Progress { observer, work, done: 0, total }
    }

    /// The work.
    pub(crate) fn work(&self) -> &Work {
        &self.work
    }

    /// So many steps are done; `detail` says more.
    pub(crate) fn update(&mut self, done: u64, detail: impl Fn() -> String) {
        self.done = done;
        let (work, total) = (&self.work, self.total);
        self.observer.happened(&Happening::Progress { work, done, total, detail: &detail });
    }

    /// So many more steps are done.
    pub(crate) fn advance(&mut self, steps: u64) {
        let (done, total) = (self.done + steps, self.total);
        self.update(done, || format!("{done} of {total}"));
    }

    /// The number of steps, now that it is known.
    pub(crate) fn set_total(&mut self, total: u64) {
        self.total = total;
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.observer.happened(&Happening::Ends(&self.work));
    }
}
