//! `events.jsonl`: the losses, the past classes' accuracy on the way, and the time of a run.

use crate::Error;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Losses and times of a run, by task and iteration (both from 1).
#[derive(Clone, Debug, Default)]
pub struct History {
    command: Option<String>,
    progress: BTreeMap<(usize, usize), Progress>,
    gaps: BTreeMap<(usize, usize), f64>,
    task_seconds: BTreeMap<usize, f64>,
    replayed: BTreeMap<usize, BTreeMap<usize, u64>>,
}

/// What one progress event says.
#[derive(Clone, Debug, Deserialize)]
struct Progress {
    task: usize,
    iteration: usize,
    iterations: usize,
    /// The losses by name; which there are depends on the strategy. JSON has no NaN: a diverged loss is null.
    #[serde(default)]
    losses: BTreeMap<String, Option<f64>>,
}

#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    Start {
        command: String,
    },
    Progress(Progress),
    TaskEnd {
        task: usize,
        seconds: f64,
        /// By class; serde cannot read numbers as keys inside a tagged enum.
        #[serde(default)]
        replayed: BTreeMap<String, u64>,
    },
    Gap {
        task: usize,
        iteration: usize,
        accuracy: f64,
    },
    /// Events of later versions, which a report need not understand.
    #[serde(other)]
    Unknown,
}

impl History {
    /// Reads `events.jsonl`.
    ///
    /// A killed run leaves a last line without its end, which is ignored; a resumed run repeats iterations, of
    /// which the later line wins.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })?;
        let mut history = Self::default();
        for (index, line) in text.split_inclusive('\n').enumerate() {
            match serde_json::from_str(line) {
                Ok(event) => history.add(event),
                Err(_) if line.trim().is_empty() || !line.ends_with('\n') => {}
                Err(source) => {
                    return Err(Error::Event { path: path.into(), line: index + 1, source });
                }
            }
        }
        Ok(history)
    }

    /// The command that started the run, where it was recorded.
    pub fn command(&self) -> Option<&str> {
        self.command.as_deref()
    }

    /// The training time of a finished task in seconds.
    pub fn seconds(&self, task: usize) -> Option<f64> {
        self.task_seconds.get(&task).copied()
    }

    /// How many images of each class were replayed in a finished task.
    pub fn replayed(&self, task: usize) -> impl Iterator<Item = (usize, u64)> {
        self.replayed.get(&task).into_iter().flatten().map(|(&class, &count)| (class, count))
    }

    /// The names of all losses that have a value.
    pub fn loss_names(&self) -> BTreeSet<&str> {
        let losses = self.progress.values().flat_map(|progress| &progress.losses);
        losses.filter(|(_, value)| value.is_some()).map(|(name, _)| name.as_str()).collect()
    }

    /// One loss over all tasks: pairs of the iteration, counted through all tasks, and the value.
    pub fn curve(&self, loss: &str) -> Vec<(f64, f64)> {
        let starts = self.task_starts();
        let points = self.progress.values().filter_map(|progress| {
            let value = progress.losses.get(loss).copied().flatten()?;
            Some(((starts[&progress.task] + progress.iteration) as f64, value))
        });
        points.collect()
    }

    /// The accuracy on the past classes while later tasks were learned, task by task: pairs of the iteration, counted
    /// through all tasks, and the value from 0 to 1.
    pub fn past_accuracy(&self) -> Vec<Vec<(f64, f64)>> {
        let starts = self.task_starts();
        let curve = |(task, start): (&usize, &usize)| {
            let points = self.gaps.range((*task, 0)..(*task + 1, 0));
            points.map(|(&(_, iteration), &accuracy)| ((start + iteration) as f64, accuracy)).collect::<Vec<_>>()
        };
        starts.iter().map(curve).filter(|points| !points.is_empty()).collect()
    }

    /// For each task with progress events, the number of iterations in the tasks before it.
    pub fn task_starts(&self) -> BTreeMap<usize, usize> {
        let lengths: BTreeMap<_, _> = self.progress.values().map(|p| (p.task, p.iterations)).collect();
        let mut total = 0;
        let start = |(task, length)| {
            total += length;
            (task, total - length)
        };
        lengths.into_iter().map(start).collect()
    }

    fn add(&mut self, event: Event) {
        match event {
            // A run that goes on starts again; the first command made it.
            Event::Start { command } => _ = self.command.get_or_insert(command),
            Event::Progress(progress) => {
                self.progress.insert((progress.task, progress.iteration), progress);
            }
            Event::TaskEnd { task, seconds, replayed } => {
                self.task_seconds.insert(task, seconds);
                let by_class = replayed.into_iter().filter_map(|(class, count)| Some((class.parse().ok()?, count)));
                self.replayed.insert(task, by_class.collect());
            }
            Event::Gap { task, iteration, accuracy } => {
                self.gaps.insert((task, iteration), accuracy);
            }
            Event::Unknown => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::History;
    use crate::Error;

    fn read(text: &str) -> Result<History, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        std::fs::write(&path, text).unwrap();
        History::read(&path)
    }

    fn progress(task: usize, iteration: usize, critic: &str) -> String {
        format!(
            "{{\"event\":\"progress\",\"task\":{task},\"iteration\":{iteration},\"iterations\":200,\
             \"losses\":{{\"critic\":{critic}}},\"seconds\":1.5}}\n"
        )
    }

    #[test]
    fn the_first_command_made_the_run() {
        let start = |command| format!("{{\"event\":\"start\",\"command\":\"mergan train {command}\"}}\n");
        let history = read(&[start("--run a"), start("--resume a")].concat()).unwrap();
        assert_eq!(history.command(), Some("mergan train --run a"));
    }

    #[test]
    fn later_lines_win_and_tasks_follow_each_other() {
        let text = [progress(1, 100, "-3"), progress(1, 100, "-4"), progress(2, 50, "-5")].concat();
        let history = read(&text).unwrap();
        assert_eq!(history.curve("critic"), [(100.0, -4.0), (250.0, -5.0)]);
        assert_eq!(history.loss_names().into_iter().collect::<Vec<_>>(), ["critic"]);
    }

    #[test]
    fn what_was_replayed_is_counted_by_class() {
        let end = "{\"event\":\"task_end\",\"task\":3,\"seconds\":1,\"replayed\":{\"0\":640,\"1\":320}}\n";
        let history = read(&[end, end].concat()).unwrap();
        assert_eq!(history.replayed(3).collect::<Vec<_>>(), [(0, 640), (1, 320)]);
        assert_eq!(history.replayed(2).count(), 0);
    }

    #[test]
    fn points_of_a_resumed_run_are_not_doubled() {
        let gap = |task, iteration, accuracy| {
            format!("{{\"event\":\"gap\",\"task\":{task},\"iteration\":{iteration},\"accuracy\":{accuracy}}}\n")
        };
        let text = [
            progress(1, 200, "1"),
            progress(2, 50, "1"),
            gap(2, 1, 0.9),
            gap(2, 50, 0.5),
            gap(2, 50, 0.5),
            gap(2, 100, 0.7),
        ];
        let history = read(&text.concat()).unwrap();
        assert_eq!(history.past_accuracy(), [[(201.0, 0.9), (250.0, 0.5), (300.0, 0.7)]]);
    }

    #[test]
    fn unknown_events_diverged_losses_and_a_cut_last_line_are_no_errors() {
        let cut = "{\"event\":\"progress\",\"ta";
        let text = ["{\"event\":\"evaluation\",\"value\":[1]}\n", &progress(1, 100, "null"), cut].concat();
        let history = read(&text).unwrap();
        assert!(history.loss_names().is_empty());
        assert_eq!(history.seconds(1), None);
    }

    #[test]
    fn a_bad_line_is_named() {
        let text = [&progress(1, 100, "1"), "{\"event\":\"progress\"}\n", &progress(1, 200, "1")].concat();
        let error = read(&text).unwrap_err();
        assert!(matches!(error, Error::Event { line: 2, .. }), "{error}");
    }
}
