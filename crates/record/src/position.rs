//! The position of a training run, as encoded in the names of checkpoints.

/// The progress of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The number of tasks learned.
    pub tasks: usize,
    /// The iterations done in the next task.
    pub iterations: usize,
}

impl Position {
    /// Returns the position at the end of a task, counted from 1.
    pub fn end_of(task: usize) -> Self {
        Position { tasks: task, iterations: 0 }
    }

    /// Returns the name of the checkpoint here: `task02-000400.safetensors`, or `task02-end.safetensors` at the end
    /// of a task.
    pub fn file_name(self) -> String {
        match self {
            Position { tasks: task @ 1.., iterations: 0 } => format!("task{task:02}-end.safetensors"),
            Position { tasks, iterations } => format!("task{:02}-{iterations:06}.safetensors", tasks + 1),
        }
    }

    /// Returns the position whose checkpoint has this name.
    pub fn parse(file_name: &str) -> Option<Self> {
        let (task, iterations) = file_name.strip_prefix("task")?.strip_suffix(".safetensors")?.split_once('-')?;
        let task: usize = task.parse().ok()?;
        let position = match iterations {
            "end" => Position::end_of(task),
            iterations => Position { tasks: task.checked_sub(1)?, iterations: iterations.parse().ok()? },
        };
        (position.file_name() == file_name).then_some(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_say_the_position_and_sort_as_it_does() {
        let positions = [(0, 0), (0, 400), (1, 0), (1, 50), (9, 0), (9, 1_000_000)];
        let positions = positions.map(|(tasks, iterations)| Position { tasks, iterations });
        let names = positions.map(Position::file_name);
        assert_eq!(names[..3], ["task01-000000.safetensors", "task01-000400.safetensors", "task01-end.safetensors"]);
        assert_eq!(names.each_ref().map(|name| Position::parse(name).unwrap()), positions);
        assert!(positions.is_sorted());
        for other in ["task01-000400.tmp77", "notes.txt", "task00-000001.safetensors", "task1-400.safetensors"] {
            assert_eq!(Position::parse(other), None);
        }
    }
}
