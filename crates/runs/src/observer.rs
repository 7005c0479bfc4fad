//! The events that the observer of a run receives. Nothing is printed here: the command draws progress bars, a window
//! or a notebook may do as it likes, and [`Unobserved`] ignores everything.

use std::fmt::{self, Display};
use std::path::Path;
use std::time::Duration;

use mergan_record::{Event, TaskScores};
use mergan_strategies::Losses;

/// Watches a run.
pub trait Observer {
    /// Is called when something happens.
    fn happened(&self, happening: &Happening);
}

/// An observer that ignores everything.
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
    /// A strategy is trained; a step is one iteration, counted through all tasks.
    Training(String),
    /// The classifier that scores a dataset is trained; a step is one optimiser step.
    TrainingScorer(String),
    /// A classifier is trained on generated images, for the reverse accuracy.
    TrainingReverse,
    /// Images go through Inception; a step is one image.
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

/// An event that a run reports.
#[non_exhaustive]
pub enum Happening<'h> {
    /// A piece of work begins.
    Begins(&'h Work),
    /// A piece of work has made progress.
    Progress {
        /// The work.
        work: &'h Work,
        /// The steps that are done.
        done: u64,
        /// The total number of steps; 0 if it is not known yet.
        total: u64,
        /// Describes the state in more detail.
        detail: &'h dyn Fn() -> String,
    },
    /// Training completed an iteration.
    Iteration(&'h Iteration<'h>),
    /// A piece of work is over, finished or not.
    Ends(&'h Work),
    /// Training resumes from this checkpoint.
    Resumed {
        /// The checkpoint.
        checkpoint: &'h Path,
    },
    /// A checkpoint was written.
    Saved {
        /// The number of tasks learned.
        tasks: usize,
        /// The iterations done in the next task.
        iterations: usize,
    },
    /// A task is learned, but not scored yet.
    Learned {
        /// The task, counted from 1.
        task: usize,
        /// The number of tasks in all.
        tasks: usize,
        /// The duration of its training.
        took: Duration,
    },
    /// A part of a task's scoring begins. Nothing is lost if the work is abandoned here.
    Measuring {
        /// The task, counted from 1.
        task: usize,
    },
    /// A task is scored.
    Scored(&'h TaskScores),
    /// All tasks are learned and scored.
    Finished {
        /// The number of tasks.
        tasks: usize,
        /// The run directory.
        run: &'h Path,
    },
    /// A scoring classifier has been trained.
    ScorerTrained {
        /// The share of test images that it recognises, from 0 to 1, if there are any.
        test_accuracy: Option<f64>,
    },
    /// An event was written to the run's log, where losses are less frequent than in [`Happening::Iteration`] but
    /// already read from the device.
    Logged(&'h Event),
    /// A problem that is no reason to stop, but that the user should know about.
    Warning(&'h str),
    /// Information that may interest the user.
    Detail(&'h str),
}

/// The state of a training after an iteration.
pub struct Iteration<'h> {
    /// The work, as in [`Happening::Begins`].
    pub work: &'h Work,
    /// The task, counted from 1.
    pub task: usize,
    /// The number of tasks in all.
    pub tasks: usize,
    /// The iteration, counted from 1.
    pub iteration: usize,
    /// The number of iterations of this task.
    pub iterations: usize,
    /// The iterations done, through all tasks.
    pub done: u64,
    /// The number of iterations of all tasks.
    pub total: u64,
    /// The time that the rest will take at the present pace, without scoring.
    pub left: Duration,
    /// The losses. They stay on the training device until they are read, so reading makes the training wait.
    pub losses: &'h Losses,
}

/// The progress of a piece of work. The observer is told of the end when this is dropped.
pub(crate) struct Progress<'o> {
    observer: &'o dyn Observer,
    work: Work,
    done: u64,
    total: u64,
}

impl<'o> Progress<'o> {
    /// Starts the work; `total` is 0 if it is not known yet.
    pub(crate) fn begin(observer: &'o dyn Observer, work: Work, total: u64) -> Self {
        observer.happened(&Happening::Begins(&work));
        Progress { observer, work, done: 0, total }
    }

    /// Returns the work.
    pub(crate) fn work(&self) -> &Work {
        &self.work
    }

    /// Reports that `done` steps are done; `detail` gives more information.
    pub(crate) fn update(&mut self, done: u64, detail: impl Fn() -> String) {
        self.done = done;
        let (work, total) = (&self.work, self.total);
        self.observer.happened(&Happening::Progress { work, done, total, detail: &detail });
    }

    /// Reports that `steps` more steps are done.
    pub(crate) fn advance(&mut self, steps: u64) {
        let (done, total) = (self.done + steps, self.total);
        self.update(done, || format!("{done} of {total}"));
    }

    /// Sets the number of steps once it is known.
    pub(crate) fn set_total(&mut self, total: u64) {
        self.total = total;
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.observer.happened(&Happening::Ends(&self.work));
    }
}
