//! Reading a run directory.

use crate::exhibits::{self, EMBEDDING, Embedding, NEIGHBOURS, NEIGHBOURS_GRID, Neighbours};
use crate::{Error, Grid, History};
use mergan_metrics::{ACCURACY, AccuracyMatrix, Card, INITIAL_ACCURACY, NEXT_ACCURACY, TaskScores};
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};

/// A run: one strategy trained on a sequence of tasks, as far as it has come.
#[derive(Clone, Debug)]
pub struct Run {
    /// The run directory.
    pub dir: PathBuf,
    /// What decided the result.
    pub config: Config,
    /// Losses and times.
    pub history: History,
    /// Real images, one row for each class of the sequence.
    pub real: Grid,
    /// The finished tasks in order; there is at least one.
    pub tasks: Vec<Task>,
}

/// The part of a run's `config.toml` that a report reads; other keys are only shown.
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// The strategy's name, such as `ra`.
    pub strategy: String,
    /// The preset, such as `quick`.
    pub preset: String,
    /// The seed.
    pub seed: u64,
    /// The dataset's name, such as `mnist`.
    pub dataset: String,
    /// The length of the task sequence.
    pub tasks: usize,
    /// What the run changes from the authors' released code, a sentence each.
    #[serde(default)]
    pub deviations: Vec<String>,
    /// The whole file.
    #[serde(skip)]
    pub text: String,
}

/// A finished task.
#[derive(Clone, Debug)]
pub struct Task {
    /// Samples at the same latents in every task, one row for each class learned so far.
    pub samples: Grid,
    /// The scores, among them the accuracy of each class and the mean.
    pub scores: TaskScores,
    /// Its images among real ones in the plane, where that was measured.
    pub embedding: Option<Embedding>,
    /// How near its images are to training images, with some of both, where that was measured.
    pub neighbours: Option<(Neighbours, Grid)>,
}

/// Reads the run directory `dir`.
///
/// Tasks count as finished up to the first without a `scores.json`.
///
/// # Errors
///
/// [`Error`] names the file, what is wrong in it and what to do.
pub fn load_run(dir: &Path) -> Result<Run, Error> {
    let config = Config::read(&dir.join("config.toml"))?;
    let history = History::read(&dir.join("events.jsonl"))?;
    let folders = (1..=config.tasks).map(|task| (task, dir.join(format!("tasks/{task:02}"))));
    let tasks = folders
        .take_while(|(_, folder)| folder.join("scores.json").exists())
        .map(|(task, folder)| Task::read(&folder, task))
        .collect::<Result<Vec<_>, _>>()?;
    let Some(first) = tasks.first() else {
        return Err(Error::NoTask { path: dir.into() });
    };
    let cell = first.samples.cell;
    let real = Grid::read(&dir.join("real.png"), |_| cell)?;
    Ok(Run { dir: dir.into(), config, history, real, tasks })
}

impl Run {
    /// The name of the run: that of its directory.
    pub fn name(&self) -> String {
        let name = self.dir.file_name().unwrap_or(self.dir.as_os_str());
        name.to_string_lossy().into_owned()
    }

    /// The last finished task.
    pub fn last(&self) -> &Task {
        self.tasks.last().expect("load_run refuses a run without a finished task")
    }

    /// The card of the run's last accuracies.
    pub fn card(&self) -> &Card {
        self.last().card()
    }

    /// A score after `task` (from 1) of a class, or of the mean over the classes learned by then.
    pub fn score(&self, task: usize, metric: &str, class: Option<usize>) -> Option<f64> {
        let task = self.tasks.get(task.checked_sub(1)?)?;
        Some(task.scores.get(metric, class)?.value)
    }

    /// The accuracy after `task` (from 1) of a class, or of the mean over the classes learned by then.
    pub fn accuracy(&self, task: usize, class: Option<usize>) -> Option<f64> {
        self.score(task, ACCURACY, class)
    }

    /// Accuracy by task: `R[t][j]` is the mean over the classes that task `j` added, after training task `t`; where it was
    /// measured, also for the task after `t`.
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

    /// The accuracy of the untrained generator on the classes of each finished task; empty where it was not measured.
    pub fn initial(&self) -> Vec<f64> {
        let initial = (0..self.tasks.len()).map(|task| self.mean(1, INITIAL_ACCURACY, &self.added(task)));
        initial.collect::<Option<_>>().unwrap_or_default()
    }

    /// What the last task shows of which it was measured, with that task (from 1).
    pub(crate) fn exhibit<T>(&self, of: impl Fn(&Task) -> Option<&T>) -> Option<(usize, &T)> {
        let mut tasks = (1..).zip(&self.tasks).collect::<Vec<_>>().into_iter().rev();
        tasks.find_map(|(number, task)| Some((number, of(task)?)))
    }

    /// The run as it was after `tasks` tasks.
    ///
    /// # Panics
    ///
    /// When `tasks` is 0 or more than the run has finished.
    pub fn after(&self, tasks: usize) -> Self {
        Self { tasks: self.tasks[..tasks].to_vec(), ..self.clone() }
    }

    /// The classes that task `task` (from 0) added.
    fn added(&self, task: usize) -> Vec<usize> {
        let learned = |task: usize| self.tasks[task].scores.classes.as_slice();
        let before: &[usize] = if task == 0 { &[] } else { learned(task - 1) };
        learned(task).iter().copied().filter(|class| !before.contains(class)).collect()
    }

    /// The mean of a metric over some classes after `task` (from 1), where all of them were measured.
    fn mean(&self, task: usize, metric: &str, classes: &[usize]) -> Option<f64> {
        let scores: Option<Vec<_>> = classes.iter().map(|&class| self.score(task, metric, Some(class))).collect();
        let scores = scores.filter(|scores| !scores.is_empty())?;
        Some(scores.iter().sum::<f64>() / scores.len() as f64)
    }

    /// The training time of all finished tasks in seconds, where each was recorded.
    pub fn seconds(&self) -> Option<f64> {
        (1..=self.tasks.len()).map(|task| self.history.seconds(task)).sum()
    }
}

impl Config {
    fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })?;
        let config: Self =
            toml::from_str(&text).map_err(|source| Error::Config { path: path.into(), source: Box::new(source) })?;
        Ok(Self { text, ..config })
    }
}

impl Task {
    /// The card of the task's accuracies.
    pub fn card(&self) -> &Card {
        let mean = self.scores.get(ACCURACY, None);
        &mean.expect("Task::read refuses scores without accuracies").card
    }

    fn read(folder: &Path, task: usize) -> Result<Self, Error> {
        let path = folder.join("scores.json");
        let text = fs::read_to_string(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        let bad = |reason: String| Error::Scores { path: path.clone(), reason };
        let scores: TaskScores =
            serde_json::from_str(&text).map_err(|error| bad(format!("no scores of a task ({error})")))?;

        let classes = scores.classes.len();
        if scores.task != task {
            return Err(bad(format!("the scores are of task {}, not {task}", scores.task)));
        }
        if classes == 0 || classes != scores.class_names.len() {
            return Err(bad(format!("{classes} classes have {} names", scores.class_names.len())));
        }
        for class in scores.classes.iter().copied().map(Some).chain([None]) {
            if scores.get(ACCURACY, class).is_none() {
                let what = class.map_or("the mean".into(), |class| format!("class {class}"));
                return Err(bad(format!("the accuracy of {what} is missing")));
            }
        }
        let of_rows = |height| height / classes as u32;
        let samples = Grid::read(&folder.join("samples.png"), of_rows)?;
        let embedding = exhibits::read(&folder.join(EMBEDDING))?;
        let neighbours = match exhibits::read(&folder.join(NEIGHBOURS))? {
            None => None,
            Some(neighbours) => Some((neighbours, Grid::read(&folder.join(NEIGHBOURS_GRID), of_rows)?)),
        };
        Ok(Self { samples, scores, embedding, neighbours })
    }
}
