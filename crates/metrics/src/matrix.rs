//! Scores by task, and the continual metrics read from them.
//!
//! `R[t][j]` is the score on task `j` after training task `t`, both from 0 in code and from 1 in messages. With one
//! class per task, as in the paper, `j` is a class. Implementations of these metrics disagree, so each is identified
//! here by its full name and the work that defined it.

use ndarray::{Array2, ArrayView2};
use std::ops::Range;
use thiserror::Error;

/// The matrix `R` of `tasks` x `tasks` scores. An entry that was not measured is unknown, never a NaN.
///
/// Training fills the lower triangle (`j <= t`). Only [`forward_transfer`](Self::forward_transfer) needs the upper
/// one, the scores of classes not yet learned.
#[derive(Clone, Debug, PartialEq)]
pub struct AccuracyMatrix {
    scores: Array2<Option<f64>>,
}

/// Why a continual metric has no value.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum MatrixError {
    /// The metric reads a score that was never measured.
    #[error(
        "the score on task {column} after task {task} is unknown: measure it, or choose a metric that does not need it"
    )]
    Missing {
        /// The number of tasks trained, from 1.
        task: usize,
        /// The task whose score is missing, from 1.
        column: usize,
    },
    /// The metric compares tasks, and there are not enough of them.
    #[error("{metric} needs at least {needed} tasks, but the matrix has {tasks}")]
    TooFewTasks {
        /// The metric's full name.
        metric: &'static str,
        /// The fewest tasks for which it is defined.
        needed: usize,
        /// The number of tasks in the matrix.
        tasks: usize,
    },
    /// Forward transfer got a number of initial scores other than the number of tasks.
    #[error("forward transfer needs one initial score for each of {tasks} tasks, but got {given}")]
    InitialScores {
        /// The number of tasks in the matrix.
        tasks: usize,
        /// The number of initial scores given.
        given: usize,
    },
}

impl AccuracyMatrix {
    /// Creates an empty matrix for a sequence of `tasks` tasks.
    pub fn new(tasks: usize) -> Self {
        Self { scores: Array2::from_elem((tasks, tasks), None) }
    }

    /// Returns the number of tasks `T`.
    pub fn tasks(&self) -> usize {
        self.scores.nrows()
    }

    /// Records the score on task `column` after training `task` (both from 0).
    ///
    /// # Panics
    ///
    /// When `task` or `column` is not below [`tasks`](Self::tasks).
    pub fn set(&mut self, task: usize, column: usize, score: f64) {
        self.scores[[task, column]] = Some(score);
    }

    /// Returns the score on task `column` after training `task` (both from 0), if it is known.
    pub fn get(&self, task: usize, column: usize) -> Option<f64> {
        self.scores.get([task, column]).copied().flatten()
    }

    /// Returns all entries, `[tasks, tasks]`, with one row per trained task.
    pub fn view(&self) -> ArrayView2<'_, Option<f64>> {
        self.scores.view()
    }

    /// Computes average accuracy (ACC, Lopez-Paz & Ranzato 2017, "GEM"): the mean over all tasks after the last one,
    /// `mean_j R[T][j]`.
    pub fn average_accuracy(&self) -> Result<f64, MatrixError> {
        let tasks = self.at_least(1, "average accuracy")?;
        mean(0..tasks, |j| self.known(tasks - 1, j))
    }

    /// Computes learning accuracy (LA): how well each task was learned at the time, `mean_t R[t][t]`.
    pub fn learning_accuracy(&self) -> Result<f64, MatrixError> {
        let tasks = self.at_least(1, "learning accuracy")?;
        mean(0..tasks, |t| self.known(t, t))
    }

    /// Computes average incremental accuracy: the mean over time of the average over the tasks learned so far,
    /// `mean_t mean_{j<=t} R[t][j]`.
    pub fn average_incremental_accuracy(&self) -> Result<f64, MatrixError> {
        let tasks = self.at_least(1, "average incremental accuracy")?;
        mean(0..tasks, |t| mean(0..t + 1, |j| self.known(t, j)))
    }

    /// Computes backward transfer (BWT, GEM): the effect of later tasks on earlier ones,
    /// `1/(T-1) sum_{j<T} (R[T][j] - R[j][j])`; negative if they were forgotten.
    pub fn backward_transfer(&self) -> Result<f64, MatrixError> {
        let last = self.at_least(2, "backward transfer")? - 1;
        mean(0..last, |j| Ok(self.known(last, j)? - self.known(j, j)?))
    }

    /// Computes forward transfer (FWT, GEM): the effect of earlier tasks on tasks not yet learned,
    /// `1/(T-1) sum_{j>1} (R[j-1][j] - b[j])`.
    ///
    /// `initial` is `b`, the scores of an untrained model, one per task. Reads the upper triangle.
    pub fn forward_transfer(&self, initial: &[f64]) -> Result<f64, MatrixError> {
        let tasks = self.at_least(2, "forward transfer")?;
        if initial.len() != tasks {
            return Err(MatrixError::InitialScores { tasks, given: initial.len() });
        }
        mean(1..tasks, |j| Ok(self.known(j - 1, j)? - initial[j]))
    }

    /// Computes forgetting (Chaudhry et al. 2018): how far each task fell from its best score before the last task,
    /// `1/(T-1) sum_{j<T} (max_{l in j..T-1} R[l][j] - R[T][j])`; lower is better.
    pub fn forgetting(&self) -> Result<f64, MatrixError> {
        let last = self.at_least(2, "forgetting (Chaudhry 2018)")? - 1;
        mean(0..last, |j| {
            let best = (j..last).try_fold(f64::NEG_INFINITY, |best, l| Ok(self.known(l, j)?.max(best)))?;
            Ok(best - self.known(last, j)?)
        })
    }

    /// Returns the number of tasks, if `metric` is defined for that many.
    fn at_least(&self, needed: usize, metric: &'static str) -> Result<usize, MatrixError> {
        let tasks = self.tasks();
        if tasks < needed {
            return Err(MatrixError::TooFewTasks { metric, needed, tasks });
        }
        Ok(tasks)
    }

    fn known(&self, task: usize, column: usize) -> Result<f64, MatrixError> {
        self.get(task, column).ok_or(MatrixError::Missing { task: task + 1, column: column + 1 })
    }
}

/// Takes a complete matrix, as found in published tables.
///
/// The view must be square, with one row and one column per task; otherwise this panics.
impl From<ArrayView2<'_, f64>> for AccuracyMatrix {
    fn from(scores: ArrayView2<'_, f64>) -> Self {
        assert!(scores.is_square(), "a score matrix has one row and one column a task, not {:?}", scores.dim());
        Self { scores: scores.mapv(Some) }
    }
}

/// Returns the mean of `score` over a non-empty range, or the error of the first unknown score.
fn mean(range: Range<usize>, score: impl Fn(usize) -> Result<f64, MatrixError>) -> Result<f64, MatrixError> {
    let count = range.len() as f64;
    Ok(range.map(score).sum::<Result<f64, _>>()? / count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use ndarray::array;

    const TOLERANCE: f64 = 1e-9;

    /// Makes a matrix of four tasks with every entry known. The expected values below are the formulas worked by
    /// hand.
    fn complete() -> AccuracyMatrix {
        let scores = array![
            [0.80, 0.10, 0.05, 0.02],
            [0.85, 0.88, 0.12, 0.04],
            [0.75, 0.60, 0.92, 0.10],
            [0.90, 0.65, 0.70, 0.95]
        ];
        AccuracyMatrix::from(scores.view())
    }

    /// Makes a matrix of the same scores as training yields them, without classes not yet learned.
    fn lower_triangle() -> AccuracyMatrix {
        let complete = complete();
        let mut matrix = AccuracyMatrix::new(4);
        for task in 0..4 {
            for column in 0..=task {
                matrix.set(task, column, complete.get(task, column).unwrap());
            }
        }
        matrix
    }

    #[test]
    fn golden_values() {
        for matrix in [complete(), lower_triangle()] {
            assert_relative_eq!(matrix.average_accuracy().unwrap(), 0.8, max_relative = TOLERANCE);
            assert_relative_eq!(matrix.learning_accuracy().unwrap(), 0.8875, max_relative = TOLERANCE);
            assert_relative_eq!(matrix.average_incremental_accuracy().unwrap(), 9.665 / 12.0, max_relative = TOLERANCE);
            assert_relative_eq!(matrix.backward_transfer().unwrap(), -0.35 / 3.0, max_relative = TOLERANCE);
            assert_relative_eq!(matrix.forgetting().unwrap(), 0.4 / 3.0, max_relative = TOLERANCE);
        }
    }

    #[test]
    fn forward_transfer_reads_the_upper_triangle() {
        let initial = [0.1; 4];
        assert_relative_eq!(complete().forward_transfer(&initial).unwrap(), 0.02 / 3.0, max_relative = TOLERANCE);
        assert_eq!(lower_triangle().forward_transfer(&initial), Err(MatrixError::Missing { task: 1, column: 2 }));
        assert_eq!(complete().forward_transfer(&[0.1]), Err(MatrixError::InitialScores { tasks: 4, given: 1 }));
    }

    #[test]
    fn forgetting_ignores_a_best_score_reached_last() {
        // Task 1 is best after the last task, so it was not forgotten and the difference is negative.
        let matrix = AccuracyMatrix::from(array![[0.5, 0.0], [0.7, 0.9]].view());
        assert_relative_eq!(matrix.forgetting().unwrap(), -0.2, max_relative = TOLERANCE);
    }

    #[test]
    fn metrics_that_compare_tasks_need_two() {
        let mut matrix = AccuracyMatrix::new(1);
        matrix.set(0, 0, 0.9);
        assert_relative_eq!(matrix.average_accuracy().unwrap(), 0.9);
        let message = matrix.forgetting().unwrap_err().to_string();
        assert_eq!(message, "forgetting (Chaudhry 2018) needs at least 2 tasks, but the matrix has 1");
        assert!(AccuracyMatrix::new(0).average_accuracy().is_err());
    }
}
