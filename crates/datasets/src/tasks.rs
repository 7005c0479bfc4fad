//! The order in which classes are learned.

use documented::DocumentedFieldsOpt;
use serde::{Deserialize, Serialize};

use crate::Labelled;

/// How to split the classes of a dataset into tasks. The default is class-incremental: one class per task, in the
/// dataset's order, with all classes and all images (paper, section 4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, DocumentedFieldsOpt)]
#[serde(default, deny_unknown_fields)]
pub struct TaskOptions {
    /// The classes in the order they are learned; by default 0, 1, 2, ...
    pub order: Option<Vec<usize>>,
    /// The number of classes that each task adds.
    pub classes_per_task: usize,
    /// The number of tasks; by default as many as the order fills.
    pub tasks: Option<usize>,
    /// At most this many images of each class, taken from the start; by default all.
    pub limit_per_class: Option<usize>,
}

impl Default for TaskOptions {
    fn default() -> Self {
        Self { order: None, classes_per_task: 1, tasks: None, limit_per_class: None }
    }
}

/// A sequence of tasks, each a set of classes that occur in no other task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSequence {
    tasks: Vec<Vec<usize>>,
    limit_per_class: Option<usize>,
}

/// Why classes cannot be split into the tasks asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// The sequence would have no task.
    #[error("a task sequence needs at least one task")]
    NoTasks,
    /// A task would have no class.
    #[error("task {task} has no class; each task needs at least one")]
    EmptyTask {
        /// The task, counted from 1.
        task: usize,
    },
    /// A task names a class that the dataset does not have.
    #[error("task {task} asks for class {class}, but the dataset has the classes 0 to {}", classes - 1)]
    UnknownClass {
        /// The task, counted from 1.
        task: usize,
        /// The requested class.
        class: usize,
        /// The number of classes of the dataset.
        classes: usize,
    },
    /// A class is learned twice.
    #[error("class {class} is in task {first} and again in task {second}; a class may be learned once")]
    DuplicateClass {
        /// The class.
        class: usize,
        /// The first task that has it, counted from 1.
        first: usize,
        /// The next task that has it, counted from 1.
        second: usize,
    },
    /// There are fewer classes than the tasks need.
    #[error("{tasks} tasks of {classes_per_task} classes need more classes than the {available} in the order")]
    TooFewClasses {
        /// The number of tasks asked for.
        tasks: usize,
        /// Classes in each.
        classes_per_task: usize,
        /// Classes in the order.
        available: usize,
    },
    /// The classes do not fill whole tasks.
    #[error(
        "{available} classes do not fill whole tasks of {classes_per_task}; choose the number of tasks, or another number \
             of classes a task"
    )]
    Uneven {
        /// Classes in the order.
        available: usize,
        /// Classes in each task.
        classes_per_task: usize,
    },
    /// The limit of images per class is zero.
    #[error("a limit of 0 images per class leaves nothing to learn from")]
    ZeroLimit,
}

impl TaskSequence {
    /// Splits the classes 0 to `classes - 1` as `options` say.
    ///
    /// # Errors
    /// [`TaskError`] when a class is unknown or comes twice, a task would be empty, or the classes do not fill the tasks.
    pub fn new(classes: usize, options: &TaskOptions) -> Result<Self, TaskError> {
        let order = options.order.clone().unwrap_or_else(|| (0..classes).collect());
        let (available, classes_per_task) = (order.len(), options.classes_per_task);
        if classes_per_task == 0 {
            return Err(TaskError::EmptyTask { task: 1 });
        }
        let count = match options.tasks {
            Some(tasks) if tasks > available / classes_per_task => {
                return Err(TaskError::TooFewClasses { tasks, classes_per_task, available });
            }
            Some(tasks) => tasks,
            None if available % classes_per_task != 0 => {
                return Err(TaskError::Uneven { available, classes_per_task });
            }
            None => available / classes_per_task,
        };
        let tasks = order.chunks(classes_per_task).take(count).map(<[usize]>::to_vec).collect();
        let sequence = Self::from_tasks(classes, tasks)?;
        match options.limit_per_class {
            Some(0) => Err(TaskError::ZeroLimit),
            limit_per_class => Ok(Self { limit_per_class, ..sequence }),
        }
    }

    /// Uses the given tasks for a dataset of `classes` classes.
    ///
    /// # Errors
    /// [`TaskError`] when a class is unknown or comes twice, or a task is empty.
    pub fn from_tasks(classes: usize, tasks: Vec<Vec<usize>>) -> Result<Self, TaskError> {
        if tasks.is_empty() {
            return Err(TaskError::NoTasks);
        }
        let mut task_of_class = vec![None; classes];
        for (task, members) in (1..).zip(&tasks) {
            if members.is_empty() {
                return Err(TaskError::EmptyTask { task });
            }
            for &class in members {
                match task_of_class.get_mut(class) {
                    None => {
                        return Err(TaskError::UnknownClass { task, class, classes });
                    }
                    Some(Some(first)) => {
                        return Err(TaskError::DuplicateClass { class, first: *first, second: task });
                    }
                    Some(unused) => *unused = Some(task),
                }
            }
        }
        Ok(Self { tasks, limit_per_class: None })
    }

    /// Appends one task, of one class, for a dataset of `classes` classes.
    ///
    /// # Errors
    /// [`TaskError`] when the class is unknown or another task has it.
    pub fn followed_by(self, class: usize, classes: usize) -> Result<Self, TaskError> {
        let Self { mut tasks, limit_per_class } = self;
        tasks.push(vec![class]);
        Ok(Self { limit_per_class, ..Self::from_tasks(classes, tasks)? })
    }

    /// Returns the classes of each task, in order.
    pub fn tasks(&self) -> &[Vec<usize>] {
        &self.tasks
    }

    /// Returns the classes of the first `tasks` tasks, in the order they are learned.
    ///
    /// # Panics
    /// When there are fewer tasks.
    pub fn classes_seen(&self, tasks: usize) -> Vec<usize> {
        self.tasks[..tasks].concat()
    }

    /// Selects the images of `classes` in `data`, class by class in the order given, as many of each as the limit
    /// allows.
    pub fn images_of(&self, classes: &[usize], data: &Labelled) -> Labelled {
        let limit = self.limit_per_class.unwrap_or(usize::MAX);
        let indices: Vec<usize> =
            classes.iter().flat_map(|&class| data.indices_of(class).into_iter().take(limit)).collect();
        data.select(&indices)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;

    use super::*;

    fn options() -> TaskOptions {
        TaskOptions::default()
    }

    #[test]
    fn the_default_learns_one_class_after_another() {
        let sequence = TaskSequence::new(3, &options()).unwrap();
        assert_eq!(sequence.tasks(), [[0], [1], [2]]);
        assert_eq!(sequence.classes_seen(2), [0, 1]);
    }

    #[test]
    fn order_size_and_number_of_tasks_are_settings() {
        let chosen = TaskOptions { order: Some(vec![4, 2, 0, 1, 3]), classes_per_task: 2, tasks: Some(2), ..options() };
        assert_eq!(TaskSequence::new(5, &chosen).unwrap().tasks(), [[4, 2], [0, 1]]);
        assert_eq!(TaskSequence::from_tasks(5, vec![vec![4], vec![2, 0]]).unwrap().tasks(), [vec![4], vec![2, 0]]);
    }

    #[test]
    fn a_task_can_follow() {
        let sequence = TaskSequence::new(3, &TaskOptions { tasks: Some(2), ..options() }).unwrap();
        assert_eq!(sequence.clone().followed_by(3, 4).unwrap().tasks(), [[0], [1], [3]]);
        let error = sequence.followed_by(1, 4).unwrap_err();
        assert_eq!(error, TaskError::DuplicateClass { class: 1, first: 2, second: 3 });
    }

    #[test]
    fn the_limit_keeps_the_first_images_of_each_class() {
        let images = Array4::from_shape_fn((5, 1, 1, 1), |(n, ..)| n as u8);
        let data = Labelled::new(images, vec![1, 0, 1, 1, 0]).unwrap();
        let limited = TaskOptions { limit_per_class: Some(2), ..options() };
        let chosen = TaskSequence::new(2, &limited).unwrap().images_of(&[1, 0], &data);
        assert_eq!(chosen.labels(), [1, 1, 0, 0]);
        assert_eq!(chosen.images().unwrap().iter().copied().collect::<Vec<_>>(), [0, 2, 1, 4]);
    }

    #[test]
    fn what_cannot_be_learned_is_refused() {
        use TaskError::*;
        let order = |order: &[usize]| TaskOptions { order: Some(order.to_vec()), ..options() };
        for (chosen, expected) in [
            (order(&[]), NoTasks),
            (TaskOptions { tasks: Some(0), ..options() }, NoTasks),
            (TaskOptions { classes_per_task: 0, ..options() }, EmptyTask { task: 1 }),
            (order(&[0, 10]), UnknownClass { task: 2, class: 10, classes: 10 }),
            (order(&[3, 1, 3]), DuplicateClass { class: 3, first: 1, second: 3 }),
            (
                TaskOptions { tasks: Some(4), classes_per_task: 3, ..options() },
                TooFewClasses { tasks: 4, classes_per_task: 3, available: 10 },
            ),
            (TaskOptions { classes_per_task: 3, ..options() }, Uneven { available: 10, classes_per_task: 3 }),
            (TaskOptions { limit_per_class: Some(0), ..options() }, ZeroLimit),
        ] {
            assert_eq!(TaskSequence::new(10, &chosen).unwrap_err(), expected);
        }
        assert_eq!(TaskSequence::from_tasks(2, vec![vec![0], vec![]]).unwrap_err(), EmptyTask { task: 2 });
        assert_eq!(
            UnknownClass { task: 2, class: 10, classes: 10 }.to_string(),
            "task 2 asks for class 10, but the dataset has the classes 0 to 9"
        );
    }
}
