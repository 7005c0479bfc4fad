//! `events.jsonl`: the events of a run, one JSON object per line.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use mergan_record::{Event, Position, rename_durably, write_whole};

use crate::error::{At, Error};
use crate::export::tensorboard::TensorBoard;
use crate::host::now;
use crate::observer::{Happening, Observer};

/// The event log of a run, open for appending.
pub struct EventLog {
    path: PathBuf,
    file: File,
    tensorboard: Option<TensorBoard>,
}

impl EventLog {
    /// Creates the log of a new run. If `first_task` names the log of another run, the new log starts with the lines
    /// that the other run wrote for its first task.
    pub fn create(path: &Path, first_task: Option<&Path>) -> Result<(), Error> {
        let mut file = File::create(path).at("writing", path)?;
        if let Some(other) = first_task {
            let text = read(other)?;
            let shared = text.split_inclusive('\n').filter(|line| {
                matches!(parse(line), Some(Event::Progress { task: 1, .. } | Event::TaskEnd { task: 1, .. }))
            });
            file.write_all(shared.collect::<String>().as_bytes()).at("writing", path)?;
        }
        Ok(())
    }

    /// Opens the log of a run that continues. The training does not depend on it, so a damaged log is no reason to
    /// stop: it is set aside under another name, and the lines that are events are kept. The last line is removed if
    /// a killed process left it incomplete.
    pub fn resume(path: &Path, observer: &dyn Observer) -> Result<Self, Error> {
        let (lines, fault) = match fs::read(path) {
            Ok(text) => good_lines(&text),
            Err(error) => (Vec::new(), Some(format!("cannot be read ({error})"))),
        };
        if let Some(fault) = fault {
            let aside = set_aside(path)?;
            write_whole(path, &lines).at("writing", path)?;
            let kept = aside.map(|aside| format!("; it is kept as {}", aside.display())).unwrap_or_default();
            let text = format!("{} {fault}; the run goes on with the lines that are events{kept}", path.display());
            observer.happened(&Happening::Warning(&text));
        }
        let file = OpenOptions::new().append(true).open(path).at("opening", path)?;
        file.set_len(lines.len() as u64).at("writing", path)?;
        Ok(EventLog { path: path.into(), file, tensorboard: None })
    }

    /// Copies all further events to TensorBoard's log.
    pub fn mirror(&mut self, tensorboard: TensorBoard) {
        self.tensorboard = Some(tensorboard);
    }

    /// Appends an event.
    pub fn write(&mut self, event: &Event) -> Result<(), Error> {
        self.file.write_all(event.to_line(&now()).as_bytes()).at("writing", &self.path)?;
        self.tensorboard.as_mut().map_or(Ok(()), |tensorboard| tensorboard.write(event))
    }

    /// Adds the sample grid of a learned task, a PNG, to TensorBoard's log.
    pub fn samples(&mut self, task: usize, path: &Path) -> Result<(), Error> {
        self.tensorboard.as_mut().map_or(Ok(()), |tensorboard| tensorboard.samples(task, path))
    }

    /// Returns the device on which the run was last trained.
    pub fn device(&self) -> Result<Option<String>, Error> {
        let text = read(&self.path)?;
        let mut devices = text.lines().rev().filter_map(|line| match parse(line)? {
            Event::Start(start) => start.device,
            _ => None,
        });
        Ok(devices.next())
    }

    /// Returns the seconds that the task had taken when the checkpoint at `position` was written.
    pub fn seconds(&self, position: Position) -> Result<f64, Error> {
        let text = read(&self.path)?;
        let mut checkpoints = text.lines().rev().filter_map(|line| match parse(line)? {
            Event::Checkpoint { tasks, iterations, seconds } if Position { tasks, iterations } == position => {
                Some(seconds)
            }
            _ => None,
        });
        Ok(checkpoints.next().unwrap_or(0.0))
    }
}

/// Returns the whole lines of a log that are events or blank, and the fault of the others, if there are any.
fn good_lines(text: &[u8]) -> (Vec<u8>, Option<String>) {
    let whole = text.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n"));
    let is_good = |line: &[u8]| line.trim_ascii().is_empty() || serde_json::from_slice::<Event>(line).is_ok();
    let (good, bad): (Vec<_>, Vec<_>) = whole.enumerate().partition(|(_, line)| is_good(line));
    let numbers: Vec<_> = bad.iter().map(|(index, _)| (index + 1).to_string()).collect();
    let fault = (!bad.is_empty()).then(|| format!("is damaged in line {}", numbers.join(", ")));
    (good.into_iter().flat_map(|(_, line)| line).copied().collect(), fault)
}

/// Gives a damaged log, if there is one, a name that is free: `events.damaged1.jsonl` for `events.jsonl`.
fn set_aside(path: &Path) -> Result<Option<PathBuf>, Error> {
    if !path.exists() {
        return Ok(None);
    }
    let names = (1..).map(|number| path.with_extension(format!("damaged{number}.jsonl")));
    let aside = names.into_iter().find(|name| !name.exists()).expect("some number is free");
    rename_durably(path, &aside).at("setting aside", path)?;
    Ok(Some(aside))
}

/// Parses a line, if it is an event.
fn parse(line: &str) -> Option<Event> {
    serde_json::from_str(line).ok()
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).at("reading", path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::observer::Unobserved;

    #[test]
    fn a_cut_line_goes_and_seconds_are_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        EventLog::create(&path, None).unwrap();
        let mut log = EventLog::resume(&path, &Unobserved).unwrap();
        for (iterations, seconds) in [(10, 1.0), (20, 2.0), (20, 2.5)] {
            log.write(&Event::Checkpoint { tasks: 1, iterations, seconds }).unwrap();
        }
        log.file.write_all(b"{\"event\":\"che").unwrap();

        let log = EventLog::resume(&path, &Unobserved).unwrap();
        assert!(fs::read_to_string(&path).unwrap().ends_with("2.5}\n"));
        assert_eq!(log.seconds(Position { tasks: 1, iterations: 20 }).unwrap(), 2.5);
        assert_eq!(log.seconds(Position::end_of(1)).unwrap(), 0.0);
    }

    #[test]
    fn a_fork_takes_over_the_first_task_only() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["first.jsonl", "second.jsonl"].map(|name| folder.path().join(name));
        EventLog::create(&first, None).unwrap();
        let mut log = EventLog::resume(&first, &Unobserved).unwrap();
        log.write(&Event::TaskEnd { task: 1, seconds: 3.0, replayed: BTreeMap::new(), critic_images: None }).unwrap();
        log.write(&Event::Evaluation { task: 1, accuracy: 0.9, seconds: 1.0, kept: None }).unwrap();
        log.write(&Event::TaskEnd { task: 2, seconds: 4.0, replayed: BTreeMap::new(), critic_images: None }).unwrap();

        EventLog::create(&second, Some(&first)).unwrap();
        let text = fs::read_to_string(&second).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains("\"seconds\":3.0"));
    }
}
