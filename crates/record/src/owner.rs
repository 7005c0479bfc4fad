//! Tells which files in a run directory belong to the run. Nothing else is ever removed.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::write::final_name;
use crate::{Error, Layout, Position};

/// The owner of a file or folder in a run directory.
///
/// ```
/// use mergan_record::{Layout, Owner};
///
/// let run = Layout::new("runs/ra");
/// assert_eq!(run.owner(&run.root().join("config.toml")), Owner::Run);
/// assert_eq!(run.owner(&run.root().join(".config.toml.a1B2c3")), Owner::Unfinished);
/// assert_eq!(run.owner(&run.root().join(".git")), Owner::Other);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The run, by a name that it uses.
    Run,
    /// The run, by a name that a file has only while it is written. If the process was killed, the file is useless.
    Unfinished,
    /// Someone else. The file is never removed and does not get in the way.
    Other,
}

impl Layout {
    /// Returns the owner of the file or folder at `path`, judging by its name and place alone.
    pub fn owner(&self, path: &Path) -> Owner {
        let Some(name) = path.file_name().and_then(OsStr::to_str) else { return Owner::Other };
        if self.is_written_whole(path, name) || self.is_made_in_place(path, name) {
            Owner::Run
        } else if final_name(name).is_some_and(|name| self.is_written_whole(&path.with_file_name(name), name)) {
            Owner::Unfinished
        } else {
            Owner::Other
        }
    }

    /// Returns the files left by processes that were killed while writing.
    ///
    /// # Errors
    /// [`Error::Read`] names a directory that cannot be read. A missing directory counts as empty.
    pub fn unfinished(&self) -> Result<Vec<PathBuf>, Error> {
        let of_run = [self.root().into(), self.checkpoints(), self.frames()];
        let mut found = Vec::new();
        for folder in of_run.into_iter().chain(entries(&self.tasks())?) {
            let files = entries(&folder)?.into_iter().filter(|path| path.is_file());
            found.extend(files.filter(|path| self.owner(path) == Owner::Unfinished));
        }
        Ok(found)
    }

    /// Returns whether a run writes a file here under a temporary name first. `name` is the last part of the path;
    /// the numbers in it must match the file's place.
    fn is_written_whole(&self, path: &Path, name: &str) -> bool {
        let frame = name.strip_suffix(".png").and_then(|name| name.split_once('-'));
        let frame = frame.and_then(|(task, iteration)| Some((count(task)?, count(iteration)?)));
        let task = path.parent().and_then(|folder| count(folder.file_name()?.to_str()?));
        let of_task = |task| {
            let files = [
                self.generator(task),
                self.samples(task),
                self.scores(task),
                self.embedding(task),
                self.neighbours(task),
                self.neighbours_grid(task),
            ];
            files.iter().any(|known| known == path)
        };
        [self.config(), self.data(), self.real(), self.scorer()].iter().any(|known| known == path)
            || Position::parse(name).is_some_and(|position| self.checkpoint(position) == path)
            || frame.is_some_and(|(task, iteration)| self.frame(task, iteration) == path)
            || task.is_some_and(of_task)
    }

    /// Returns whether a run has a folder here, or a file that grows.
    fn is_made_in_place(&self, path: &Path, name: &str) -> bool {
        let folders = [self.checkpoints(), self.frames(), self.tasks(), self.tensorboard()];
        folders.iter().chain([&self.events()]).any(|known| known == path)
            || self.is_lock(path)
            || count(name).is_some_and(|task| self.task(task) == path)
            // TensorBoard recognises its files by this prefix, which is TensorFlow's.
            || name.starts_with("events.out.tfevents.") && path.parent() == Some(&self.tensorboard())
    }
}

/// Parses a number that counts from 1.
fn count(text: &str) -> Option<usize> {
    text.parse().ok().filter(|&number| number > 0)
}

/// Lists the entries of a folder; a missing folder has none.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    entries.map_err(Error::reading(folder))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::write_whole;

    fn run() -> Layout {
        Layout::new("runs/ra")
    }

    /// Returns every file that is written whole.
    fn whole_files(task: usize, iterations: usize) -> Vec<PathBuf> {
        let run = run();
        let checkpoints = [Position { tasks: task - 1, iterations }, Position::end_of(task)];
        let checkpoints = checkpoints.map(|position| run.checkpoint(position));
        let of_run = [run.config(), run.data(), run.real(), run.scorer(), run.frame(task, iterations + 1)];
        let of_task = [
            run.generator(task),
            run.samples(task),
            run.scores(task),
            run.embedding(task),
            run.neighbours(task),
            run.neighbours_grid(task),
        ];
        [&of_run[..], &of_task, &checkpoints].concat()
    }

    /// Returns every folder, and every file that grows.
    fn made_in_place(task: usize) -> Vec<PathBuf> {
        let run = run();
        let files = [run.events(), run.lock_file(), run.tensorboard().join("events.out.tfevents.1.2")];
        let folders = [run.checkpoints(), run.frames(), run.tasks(), run.task(task), run.tensorboard()];
        [&files[..], &folders].concat()
    }

    fn temporary(path: &Path, random: &str) -> PathBuf {
        path.with_file_name(format!(".{}.{random}", path.file_name().unwrap().to_str().unwrap()))
    }

    proptest! {
        #[test]
        fn what_a_run_writes_is_its_own(task in 1usize..2000, iterations in 0usize..3_000_000, random in "[a-zA-Z0-9]{6}") {
            for path in whole_files(task, iterations) {
                prop_assert_eq!(run().owner(&path), Owner::Run, "{}", path.display());
                let temporary = temporary(&path, &random);
                prop_assert_eq!(run().owner(&temporary), Owner::Unfinished, "{}", temporary.display());
            }
            for path in made_in_place(task) {
                prop_assert_eq!(run().owner(&path), Owner::Run, "{}", path.display());
                prop_assert_eq!(run().owner(&temporary(&path, &random)), Owner::Other, "{} is never renamed", path.display());
            }
        }

        #[test]
        fn dot_files_of_others_are_theirs(name in "\\.[a-zA-Z0-9_]{1,12}(\\.[a-zA-Z0-9]{1,8}){0,2}") {
            prop_assume!(name != ".lock");
            for folder in [run().root().into(), run().checkpoints(), run().frames(), run().tasks(), run().task(1)] {
                let path = folder.join(&name);
                prop_assert_eq!(run().owner(&path), Owner::Other, "{}", path.display());
            }
        }

        #[test]
        fn numbers_are_written_in_one_way(
            name in "(task)?[0-9]{1,3}(-([0-9]{1,7}|end))?(\\.png|\\.safetensors)?",
            folder in 0usize..4,
        ) {
            let folder = [run().root().into(), run().checkpoints(), run().frames(), run().tasks()][folder].clone();
            let path = folder.join(&name);
            let numbers: Vec<usize> = name.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
            let (task, iteration) = (numbers[0], numbers.get(1).copied().unwrap_or(0));
            let given = [
                run().task(task),
                run().frame(task, iteration.max(1)),
                run().checkpoint(Position::end_of(task)),
                run().checkpoint(Position { tasks: task.saturating_sub(1), iterations: iteration }),
            ];
            let expected = if task > 0 && given.contains(&path) { Owner::Run } else { Owner::Other };
            prop_assert_eq!(run().owner(&path), expected, "{}", path.display());
        }
    }

    #[test]
    fn what_others_keep_in_a_run_directory_is_theirs() {
        let others = [
            ".git",
            ".env",
            ".gitignore",
            ".ipynb_checkpoints",
            ".DS_Store",
            ".venv",
            "notes.txt",
            "report.html",
            "frames.zip",
            ".notes.txt.a1b2c3",
            ".config.toml",
            ".config.toml.swp",
            ".config.toml.a1b2c3d",
            ".frames.a1b2c3",
            "config.toml~",
            "tasks/3",
            "tasks/00",
            "tasks/notes",
            "tasks/03/.git",
            "tasks/03/notes.txt",
            "tasks/notes/scores.json",
            "tasks/03/.notes.txt.a1b2c3",
            "frames/1-2.png",
            "frames/.DS_Store",
            "checkpoint/best.safetensors",
            "tensorboard/.events.out.tfevents.1.a1b2c3",
            "my/tasks/03/scores.json",
        ];
        for name in others {
            assert_eq!(run().owner(&run().root().join(name)), Owner::Other, "{name}");
        }
        for path in ["runs/ra", "runs/ra2/config.toml", "runs/ra/../config.toml", "config.toml"] {
            assert_eq!(run().owner(Path::new(path)), Owner::Other, "{path}");
        }
        assert_eq!(Layout::new(".").owner(Path::new("./config.toml")), Owner::Run);
    }

    #[test]
    fn unfinished_files_are_found_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let run = Layout::new(folder.path());
        assert!(run.unfinished().unwrap().is_empty() && Layout::new("absent").unfinished().unwrap().is_empty());
        for folder in [run.checkpoints(), run.frames(), run.task(2), run.root().join(".git"), run.tasks().join("notes")]
        {
            fs::create_dir_all(folder).unwrap();
        }
        let left = [
            temporary(&run.config(), "a1b2c3"),
            temporary(&run.checkpoint(Position::end_of(2)), "a1b2c3"),
            temporary(&run.frame(1, 1), "a1b2c3"),
            temporary(&run.scores(2), "a1b2c3"),
        ];
        let others =
            [run.config(), run.lock_file(), run.root().join(".env"), run.tasks().join("notes/.scores.json.a1b2c3")];
        for path in left.iter().chain(&others) {
            write_whole(path, b"").unwrap();
        }
        fs::create_dir(temporary(&run.data(), "a1b2c3")).unwrap();
        assert_eq!(run.unfinished().unwrap(), left);
    }
}
