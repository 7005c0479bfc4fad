//! Reads run directories.

use crate::{Error, Grid, History, paper};
use mergan_metrics::AccuracyMatrix;
use mergan_record::metric::{
    ACCURACY, ALL_REPLAYED_IMAGES, AVERAGE_ACCURACY, AVERAGE_INCREMENTAL_ACCURACY, BACKWARD_TRANSFER, CRITIC_IMAGES,
    CRITIC_STEPS, FORGETTING, FORWARD_TRANSFER, GENERATOR_STEPS, INITIAL_ACCURACY, KEPT_BYTES,
    KEPT_CLASSIFIER_PARAMETERS, KEPT_GENERATOR_PARAMETERS, KEPT_IMAGES, LEARNING_ACCURACY, NEXT_ACCURACY,
    TRAINING_SECONDS,
};
use mergan_record::{Card, Config, Embedding, Kept, Layout, Neighbours, TaskScores, events};
use std::path::{Path, PathBuf};

/// A run: one strategy trained on a sequence of tasks, as far as it has got.
#[derive(Clone, Debug)]
pub struct Run {
    /// The run directory.
    pub dir: PathBuf,
    /// The configuration that decided the result.
    pub config: Config,
    /// Losses and times.
    pub history: History,
    /// Real images, one row for each class of the sequence.
    pub real: Grid,
    /// The finished tasks in order; there is at least one.
    pub tasks: Vec<Task>,
}

/// A finished task.
#[derive(Clone, Debug)]
pub struct Task {
    /// Samples at the same latents in every task, one row for each class learned so far.
    pub samples: Grid,
    /// The scores, among them the accuracy of each class and the mean.
    pub scores: TaskScores,
    /// Whether the checksum of their file was verified. The files of earlier versions have none.
    pub checked: bool,
    /// Its images among real ones in the plane, if that was measured.
    pub embedding: Option<Embedding>,
    /// The distances of its images to training images, with examples of both, if they were measured.
    pub neighbours: Option<(Neighbours, Grid)>,
}

/// Reads the run directory `dir`.
///
/// Tasks count as finished up to the first one without a `scores.json`.
///
/// # Errors
///
/// [`Error`] names the file, what is wrong with it and what to do.
pub fn load_run(dir: &Path) -> Result<Run, Error> {
    let layout = Layout::new(dir);
    let config = Config::read(&layout.config())?;
    let history = events::read(&layout.events())?.into_iter().collect();
    let finished = (1..=config.tasks).take_while(|&task| layout.scores(task).exists());
    let tasks = finished.map(|task| Task::read(&layout, task)).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = tasks.first() else {
        return Err(Error::NoTask { path: dir.into() });
    };
    let cell = first.samples.cell;
    let real = Grid::read(&layout.real(), |_| cell)?;
    Ok(Run { dir: dir.into(), config, history, real, tasks })
}

impl Run {
    /// Returns the name of the run, which is that of its directory.
    pub fn name(&self) -> String {
        let name = self.dir.file_name().unwrap_or(self.dir.as_os_str());
        name.to_string_lossy().into_owned()
    }

    /// Returns the last finished task.
    pub fn last(&self) -> &Task {
        self.tasks.last().expect("load_run refuses a run without a finished task")
    }

    /// Returns the card of the run's last accuracies.
    pub fn card(&self) -> &Card {
        self.last().card()
    }

    /// Returns a score after `task` (from 1) of a class, or of the mean over the classes learned by then.
    pub fn score(&self, task: usize, metric: &str, class: Option<usize>) -> Option<f64> {
        let task = self.tasks.get(task.checked_sub(1)?)?;
        Some(task.scores.get(metric, class)?.value)
    }

    /// Returns whether some task has this metric as a mean over its classes, or over all at once.
    pub(crate) fn has(&self, metric: &str) -> bool {
        self.tasks.iter().any(|task| task.scores.get(metric, None).is_some())
    }

    /// Returns the accuracy after `task` (from 1) of a class, or of the mean over the classes learned by then.
    pub fn accuracy(&self, task: usize, class: Option<usize>) -> Option<f64> {
        self.score(task, ACCURACY, class)
    }

    /// Returns the accuracy by task: `R[t][j]` is the mean over the classes that task `j` added, after training task
    /// `t`. It also covers the task after `t`, if that was measured.
    pub fn matrix(&self) -> AccuracyMatrix {
        let mut matrix = AccuracyMatrix::new(self.tasks.len());
        for column in 0..self.tasks.len() {
            let added = self.added(column);
            for task in column..self.tasks.len() {
                if let Some(score) = self.mean(task + 1, ACCURACY, &added) {
                    matrix.set(task, column, score);
                }
            }
            if let Some(score) = self.mean(column, NEXT_ACCURACY, &added) {
                matrix.set(column - 1, column, score);
            }
        }
        matrix
    }

    /// Returns the accuracy of the untrained generator on the classes of each finished task; empty if it was not
    /// measured.
    pub fn initial(&self) -> Vec<f64> {
        let initial = (0..self.tasks.len()).map(|task| self.mean(1, INITIAL_ACCURACY, &self.added(task)));
        initial.collect::<Option<_>>().unwrap_or_default()
    }

    /// Returns a continual metric after the last task, by its key; `None` if it needs more tasks, or scores that were
    /// not measured.
    pub(crate) fn continual(&self, metric: &str) -> Option<f64> {
        let matrix = self.matrix();
        let value = match metric {
            AVERAGE_ACCURACY => matrix.average_accuracy(),
            BACKWARD_TRANSFER => matrix.backward_transfer(),
            FORWARD_TRANSFER => matrix.forward_transfer(&self.initial()),
            FORGETTING => matrix.forgetting(),
            LEARNING_ACCURACY => matrix.learning_accuracy(),
            AVERAGE_INCREMENTAL_ACCURACY => matrix.average_incremental_accuracy(),
            _ => return None,
        };
        value.ok()
    }

    /// Returns an amount of what the scores after `task` (from 1) cost, by its key in
    /// [`BUDGET`](mergan_record::metric::BUDGET); `None` if it was not recorded of every task until then.
    pub(crate) fn budget(&self, task: usize, metric: &str) -> Option<f64> {
        let history = &self.history;
        let sum = |of: &dyn Fn(usize) -> Option<f64>| (1..=task).map(of).sum::<Option<f64>>();
        let kept = |of: fn(Kept) -> u64| history.kept(task).map(|kept| of(kept) as f64);
        let iterations = |task| history.iterations(task).map(|iterations| iterations as f64);
        match metric {
            // The first iteration of a task has no generator step.
            GENERATOR_STEPS => sum(&|task| Some(iterations(task)? - 1.0)),
            CRITIC_STEPS => Some(self.config.training.critic_steps? as f64 * sum(&iterations)?),
            CRITIC_IMAGES => sum(&|task| Some(history.critic_images(task)? as f64)),
            ALL_REPLAYED_IMAGES => self.all_replayed(task),
            TRAINING_SECONDS => sum(&|task| history.seconds(task)),
            KEPT_GENERATOR_PARAMETERS => kept(|kept| kept.generator_parameters),
            KEPT_CLASSIFIER_PARAMETERS => kept(|kept| kept.classifier_parameters),
            KEPT_IMAGES => kept(|kept| kept.images),
            KEPT_BYTES => kept(|kept| kept.bytes),
            _ => None,
        }
    }

    /// Returns how many images were replayed until the end of `task` (from 1). `None` if they were not counted: of some
    /// strategies they carry no class, and logs without counts may be of versions that took none.
    fn all_replayed(&self, task: usize) -> Option<f64> {
        let count: u64 = (1..=task).flat_map(|task| self.history.replayed(task)).map(|(_, count)| count).sum();
        let counts = (1..=task).all(|task| self.history.critic_images(task).is_some());
        (count > 0 || counts && !paper::replays_uncounted(&self.config.strategy)).then_some(count as f64)
    }

    /// Returns what the latest task that has it shows, with the number of that task (from 1).
    pub(crate) fn exhibit<T>(&self, of: impl Fn(&Task) -> Option<&T>) -> Option<(usize, &T)> {
        let mut tasks = (1..).zip(&self.tasks).collect::<Vec<_>>().into_iter().rev();
        tasks.find_map(|(number, task)| Some((number, of(task)?)))
    }

    /// Returns the run as it was after `tasks` tasks.
    ///
    /// # Panics
    ///
    /// When `tasks` is 0 or more than the run has finished.
    pub fn after(&self, tasks: usize) -> Self {
        Self { tasks: self.tasks[..tasks].to_vec(), ..self.clone() }
    }

    /// Returns the classes that task `task` (from 0) added.
    fn added(&self, task: usize) -> Vec<usize> {
        let learned = |task: usize| self.tasks[task].scores.classes.as_slice();
        let before: &[usize] = if task == 0 { &[] } else { learned(task - 1) };
        learned(task).iter().copied().filter(|class| !before.contains(class)).collect()
    }

    /// Returns the mean of a metric over some classes after `task` (from 1), if all of them were measured.
    fn mean(&self, task: usize, metric: &str, classes: &[usize]) -> Option<f64> {
        let scores: Option<Vec<_>> = classes.iter().map(|&class| self.score(task, metric, Some(class))).collect();
        let scores = scores.filter(|scores| !scores.is_empty())?;
        Some(scores.iter().sum::<f64>() / scores.len() as f64)
    }

    /// Returns the training time of all finished tasks in seconds, if each was recorded.
    pub fn seconds(&self) -> Option<f64> {
        self.budget(self.tasks.len(), TRAINING_SECONDS)
    }
}

impl Task {
    /// Returns the card of the task's accuracies.
    pub fn card(&self) -> &Card {
        let mean = self.scores.get(ACCURACY, None);
        &mean.expect("scores that are read have accuracies").card
    }

    fn read(run: &Layout, task: usize) -> Result<Self, Error> {
        let (scores, checked) = TaskScores::read_checked(run, task)?;
        let of_rows = |height| height / scores.classes.len() as u32;
        let samples = Grid::read(&run.samples(task), of_rows)?;
        let embedding = Embedding::read(run, task)?;
        let neighbours = match Neighbours::read(run, task)? {
            None => None,
            Some(neighbours) => Some((neighbours, Grid::read(&run.neighbours_grid(task), of_rows)?)),
        };
        Ok(Self { samples, scores, checked, embedding, neighbours })
    }
}
