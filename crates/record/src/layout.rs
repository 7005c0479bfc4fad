//! Where the files of a run are, and which names in its directory are the run's own.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::write::final_name;
use crate::{Error, Position};

const CONFIG: &str = "config.toml";
const DATA: &str = "data.json";
const EVENTS: &str = "events.jsonl";
const REAL: &str = "real.png";
const SCORER: &str = "scorer.safetensors";
const LOCK: &str = ".lock";
const CHECKPOINTS: &str = "checkpoint";
const FRAMES: &str = "frames";
const TASKS: &str = "tasks";
const TENSORBOARD: &str = "tensorboard";
/// TensorFlow's prefix, by which TensorBoard knows its files.
const TENSORBOARD_FILE: &str = "events.out.tfevents.";

const SAMPLES: &str = "samples.png";
const GENERATOR: &str = "generator.safetensors";
const EMBEDDING: &str = "embedding.json";
const NEIGHBOURS: &str = "neighbours.json";
const NEIGHBOURS_GRID: &str = "neighbours.png";
const SCORES: &str = "scores.json";

/// The places of a run's files. Nothing need be there yet.
///
/// ```
/// use mergan_record::{Layout, Owner};
/// use std::path::Path;
///
/// let run = Layout::new("runs/ra");
/// assert_eq!(run.scores(3), Path::new("runs/ra/tasks/03/scores.json"));
/// // Other people's files may lie in the directory: nobody removes what is not the run's.
/// assert_eq!(run.owner(Path::new("runs/ra/.git")), Owner::Other);
/// assert_eq!(run.owner(Path::new("runs/ra/.config.toml.a1B2c3")), Owner::Unfinished);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

/// Whose a file or folder in a run directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The run's, by a name that it gives.
    Run,
    /// The run's, by a name that a file has only while it is written. What a killed process leaves of it is of no use.
    Unfinished,
    /// Somebody else's: it is neither removed nor in the way.
    Other,
}

impl Layout {
    /// The places in the run directory `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Layout { root: root.into() }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Everything that decides the result: see [`Config`](crate::Config). It is written last when a run starts: a directory
    /// without it has not started.
    pub fn config(&self) -> PathBuf {
        self.root.join(CONFIG)
    }

    /// The fingerprint of the data that the run learns from.
    pub fn data(&self) -> PathBuf {
        self.root.join(DATA)
    }

    /// One line an [`Event`](crate::Event).
    pub fn events(&self) -> PathBuf {
        self.root.join(EVENTS)
    }

    /// Real images, one row a class.
    pub fn real(&self) -> PathBuf {
        self.root.join(REAL)
    }

    /// The classifier that scores a run which was extended.
    pub fn scorer(&self) -> PathBuf {
        self.root.join(SCORER)
    }

    /// The file whose lock keeps a second process out.
    pub fn lock_file(&self) -> PathBuf {
        self.root.join(LOCK)
    }

    /// TensorBoard's log, where one was asked for.
    pub fn tensorboard(&self) -> PathBuf {
        self.root.join(TENSORBOARD)
    }

    /// The directory of checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join(CHECKPOINTS)
    }

    /// One of them.
    pub fn checkpoint(&self, position: Position) -> PathBuf {
        self.checkpoints().join(position.file_name())
    }

    /// The sample grids on the way.
    pub fn frames(&self) -> PathBuf {
        self.root.join(FRAMES)
    }

    /// One of them; tasks and iterations are counted from 1.
    pub fn frame(&self, task: usize, iteration: usize) -> PathBuf {
        self.frames().join(frame_name(task, iteration))
    }

    /// The directory of what is left of the tasks.
    pub fn tasks(&self) -> PathBuf {
        self.root.join(TASKS)
    }

    /// What is left of a task (counted from 1) when it is learned.
    pub fn task(&self, task: usize) -> PathBuf {
        self.tasks().join(task_name(task))
    }

    /// The generator after a task.
    pub fn generator(&self, task: usize) -> PathBuf {
        self.task(task).join(GENERATOR)
    }

    /// Samples of that generator, one row a class.
    pub fn samples(&self, task: usize) -> PathBuf {
        self.task(task).join(SAMPLES)
    }

    /// Its [`TaskScores`](crate::TaskScores), written last: a task with scores is finished.
    pub fn scores(&self, task: usize) -> PathBuf {
        self.task(task).join(SCORES)
    }

    /// The [`Embedding`](crate::Embedding) of its images, where that was measured.
    pub fn embedding(&self, task: usize) -> PathBuf {
        self.task(task).join(EMBEDDING)
    }

    /// The [`Neighbours`](crate::Neighbours) of its images, where they were looked for.
    pub fn neighbours(&self, task: usize) -> PathBuf {
        self.task(task).join(NEIGHBOURS)
    }

    /// The grid beside them: a row for each class, generated images each followed by its nearest training image.
    pub fn neighbours_grid(&self, task: usize) -> PathBuf {
        self.task(task).join(NEIGHBOURS_GRID)
    }

    /// Whose the file or folder at `path` is, by its name and place alone.
    pub fn owner(&self, path: &Path) -> Owner {
        let place = path.strip_prefix(&self.root).ok();
        let place = place.and_then(|place| place.iter().map(OsStr::to_str).collect::<Option<Vec<_>>>());
        let Some((name, folder)) = place.as_deref().and_then(<[_]>::split_last) else { return Owner::Other };
        let whole = |name| is_written_whole(&[folder, &[name]].concat());
        if whole(name) || is_made_in_place(&[folder, &[name]].concat()) {
            Owner::Run
        } else if final_name(name).is_some_and(whole) {
            Owner::Unfinished
        } else {
            Owner::Other
        }
    }

    /// The files that processes which were killed while they wrote have left.
    ///
    /// # Errors
    /// [`Error::Read`] names a directory that cannot be read; one that is not there holds none.
    pub fn unfinished(&self) -> Result<Vec<PathBuf>, Error> {
        let folders = [self.root.clone(), self.checkpoints(), self.frames()].into_iter().chain(entries(&self.tasks())?);
        let mut found = Vec::new();
        for folder in folders.filter(|folder| folder.is_dir()) {
            let files = entries(&folder)?.into_iter().filter(|path| path.is_file());
            found.extend(files.filter(|path| self.owner(path) == Owner::Unfinished));
        }
        Ok(found)
    }
}

/// What lies in a folder; nothing where there is none.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    entries.map_err(Error::reading(folder))
}

/// Whether a run writes a file here under a temporary name first. A place is a path from the run directory on.
fn is_written_whole(place: &[&str]) -> bool {
    match place {
        [CONFIG | DATA | REAL | SCORER] => true,
        [CHECKPOINTS, name] => Position::parse(name).is_some(),
        [FRAMES, name] => is_frame(name),
        [TASKS, task, GENERATOR | SAMPLES | SCORES | EMBEDDING | NEIGHBOURS | NEIGHBOURS_GRID] => is_task(task),
        _ => false,
    }
}

/// Whether a run has a folder here, or a file that grows.
fn is_made_in_place(place: &[&str]) -> bool {
    match place {
        [LOCK | EVENTS | CHECKPOINTS | FRAMES | TASKS | TENSORBOARD] => true,
        [TASKS, task] => is_task(task),
        [TENSORBOARD, name] => name.starts_with(TENSORBOARD_FILE),
        _ => false,
    }
}

fn task_name(task: usize) -> String {
    format!("{task:02}")
}

fn is_task(name: &str) -> bool {
    name.parse().is_ok_and(|task| task > 0 && task_name(task) == name)
}

fn frame_name(task: usize, iteration: usize) -> String {
    format!("{task:02}-{iteration:06}.png")
}

fn is_frame(name: &str) -> bool {
    let parts = name.strip_suffix(".png").and_then(|name| name.split_once('-'));
    let numbers = parts.and_then(|(task, iteration)| Some((task.parse().ok()?, iteration.parse().ok()?)));
    numbers.is_some_and(|(task, iteration)| task > 0 && iteration > 0 && frame_name(task, iteration) == name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::write_whole;

    fn run() -> Layout {
        Layout::new("runs/ra")
    }

    /// Every file that is written whole.
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

    /// Every folder, and every file that grows.
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
            prop_assume!(name != LOCK);
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
                run().frame(task, iteration),
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
