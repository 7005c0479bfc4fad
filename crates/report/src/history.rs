//! The history of a run, taken from its events: losses, accuracy on past classes, and times.

use mergan_record::{Event, Kept, Start};
use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::counted;

/// Losses and times of a run, by task and iteration (both from 1).
#[derive(Clone, Debug, Default)]
pub struct History {
    starts: Vec<Start>,
    data_changes: Vec<String>,
    progress: BTreeMap<(usize, usize), Progress>,
    gaps: BTreeMap<(usize, usize), f64>,
    task_seconds: BTreeMap<usize, f64>,
    replayed: BTreeMap<usize, BTreeMap<usize, u64>>,
    critic_images: BTreeMap<usize, u64>,
    kept: BTreeMap<usize, Kept>,
}

/// The content of a progress event.
#[derive(Clone, Debug)]
struct Progress {
    /// The iterations of the whole task.
    iterations: usize,
    /// The losses by name; the names depend on the strategy. A loss that is not a finite number is `None`.
    losses: BTreeMap<String, Option<f64>>,
}

/// A resumed run repeats iterations, and the later events count.
impl FromIterator<Event> for History {
    fn from_iter<E: IntoIterator<Item = Event>>(events: E) -> Self {
        let mut history = Self::default();
        history.extend(events);
        history
    }
}

/// Adds the events that a growing run has logged since.
impl Extend<Event> for History {
    fn extend<E: IntoIterator<Item = Event>>(&mut self, events: E) {
        events.into_iter().for_each(|event| self.add(event));
    }
}

impl History {
    /// Returns the command that started the run, if it was recorded.
    pub fn command(&self) -> Option<&str> {
        self.starts.first().map(|start| start.command.as_str())
    }

    /// Returns when and on what the run was trained: a sentence for its start, and one for each other machine or
    /// device on which it continued. It is empty if that was not recorded.
    pub fn made(&self) -> Vec<String> {
        let place = |start: &Start| (start.host.clone(), start.device.clone(), start.microkernel.clone());
        let mut starts: Vec<&Start> = self.starts.iter().filter(|start| start.date.is_some()).collect();
        starts.dedup_by_key(|start| place(start));
        starts.into_iter().map(describe).collect()
    }

    /// Returns how the data differed, for each time that the run continued with other data.
    pub fn data_changes(&self) -> &[String] {
        &self.data_changes
    }

    /// Returns the training time of a finished task in seconds.
    pub fn seconds(&self, task: usize) -> Option<f64> {
        self.task_seconds.get(&task).copied()
    }

    /// Returns how many images of each class were replayed in a finished task.
    pub fn replayed(&self, task: usize) -> impl Iterator<Item = (usize, u64)> {
        self.replayed.get(&task).into_iter().flatten().map(|(&class, &count)| (class, count))
    }

    /// Returns how many images the critic's batches of a finished task held, if that was recorded.
    pub fn critic_images(&self, task: usize) -> Option<u64> {
        self.critic_images.get(&task).copied()
    }

    /// Returns how many iterations a task has, if the task has progress events.
    pub fn iterations(&self, task: usize) -> Option<usize> {
        let (_, progress) = self.progress.range((task, 0)..(task + 1, 0)).next_back()?;
        Some(progress.iterations)
    }

    /// Returns what was kept from the end of a task to the next one, if that was recorded.
    pub fn kept(&self, task: usize) -> Option<Kept> {
        self.kept.get(&task).copied()
    }

    /// Returns the names of all losses that have a value.
    pub fn loss_names(&self) -> BTreeSet<&str> {
        let losses = self.progress.values().flat_map(|progress| &progress.losses);
        losses.filter(|(_, value)| value.is_some()).map(|(name, _)| name.as_str()).collect()
    }

    /// Returns one loss over all tasks: pairs of the iteration, counted through all tasks, and the value.
    pub fn curve(&self, loss: &str) -> Vec<(f64, f64)> {
        let starts = self.task_starts();
        let points = self.progress.iter().filter_map(|((task, iteration), progress)| {
            let value = progress.losses.get(loss).copied().flatten()?;
            Some(((starts[task] + iteration) as f64, value))
        });
        points.collect()
    }

    /// Returns the accuracy on the past classes while later tasks were learned, task by task: pairs of the iteration,
    /// counted through all tasks, and the value from 0 to 1.
    pub fn past_accuracy(&self) -> Vec<Vec<(f64, f64)>> {
        let starts = self.task_starts();
        let curve = |(task, start): (&usize, &usize)| {
            let points = self.gaps.range((*task, 0)..(*task + 1, 0));
            points.map(|(&(_, iteration), &accuracy)| ((start + iteration) as f64, accuracy)).collect::<Vec<_>>()
        };
        starts.iter().map(curve).filter(|points| !points.is_empty()).collect()
    }

    /// Returns, for each task with progress events, the number of iterations in the tasks before it.
    pub fn task_starts(&self) -> BTreeMap<usize, usize> {
        let lengths: BTreeMap<_, _> =
            self.progress.iter().map(|(&(task, _), progress)| (task, progress.iterations)).collect();
        let mut total = 0;
        let start = |(task, length)| {
            total += length;
            (task, total - length)
        };
        lengths.into_iter().map(start).collect()
    }

    fn add(&mut self, event: Event) {
        match event {
            // A run that continues logs another start; the first one is the command that made it.
            Event::Start(start) => self.starts.push(start),
            Event::DataChanged { difference, .. } => self.data_changes.push(difference),
            Event::Progress { task, iteration, iterations, losses, .. } => {
                self.progress.insert((task, iteration), Progress { iterations, losses });
            }
            Event::TaskEnd { task, seconds, replayed, critic_images } => {
                self.task_seconds.insert(task, seconds);
                self.replayed.insert(task, replayed);
                self.critic_images.extend(critic_images.map(|images| (task, images)));
            }
            Event::Evaluation { task, kept: Some(kept), .. } => _ = self.kept.insert(task, kept),
            Event::Gap { task, iteration, accuracy, .. } => _ = self.gaps.insert((task, iteration), accuracy),
            Event::Checkpoint { .. } | Event::Evaluation { .. } | Event::Unknown => {}
        }
    }
}

/// Formats `2026-11-27T00:20:36Z: AMD EPYC, 2 cores, 24.6 GB; device cpu, microkernel avx512, 1 thread; version
/// 0.1.0, commit 0123abc`.
fn describe(start: &Start) -> String {
    let host = start
        .host
        .as_ref()
        .map(|host| format!("{}, {}, {:.1} GB; ", host.cpu, counted(host.cores, "core"), host.memory as f64 / 1e9));
    let device = start.device.as_ref().map(|device| format!("device {device}, "));
    let commit = start.commit.as_ref().map(|commit| format!(", commit {commit}"));
    format!(
        "{}: {}{}microkernel {}, {}; version {}{}",
        start.date.as_deref().unwrap_or("at an unknown time"),
        host.unwrap_or_default(),
        device.unwrap_or_default(),
        start.microkernel,
        counted(start.threads, "thread"),
        start.version,
        commit.unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::History;
    use mergan_record::{Event, Start};
    use std::collections::BTreeMap;

    fn progress(task: usize, iteration: usize, wasserstein: f64) -> Event {
        let losses = BTreeMap::from([("wasserstein".into(), wasserstein.is_finite().then_some(wasserstein))]);
        Event::Progress { task, iteration, iterations: 200, losses, seconds: 1.5 }
    }

    fn history<const N: usize>(events: [Event; N]) -> History {
        events.into_iter().collect()
    }

    #[test]
    fn the_first_command_made_the_run() {
        let start =
            |command: &str| Event::Start(Start { command: format!("mergan train {command}"), ..Start::default() });
        let history = history([start("--run a"), start("--resume a")]);
        assert_eq!(history.command(), Some("mergan train --run a"));
    }

    #[test]
    fn later_events_count_and_tasks_follow_each_other() {
        let history = history([progress(1, 100, -3.0), progress(1, 100, -4.0), progress(2, 50, -5.0)]);
        assert_eq!(history.curve("wasserstein"), [(100.0, -4.0), (250.0, -5.0)]);
        assert_eq!(history.loss_names().into_iter().collect::<Vec<_>>(), ["wasserstein"]);
    }

    #[test]
    fn what_was_replayed_is_counted_by_class() {
        let replayed = BTreeMap::from([(0, 640), (1, 320)]);
        let end = Event::TaskEnd { task: 3, seconds: 1.0, replayed, critic_images: Some(7200) };
        let history = history([progress(3, 50, 1.0), end.clone(), end]);
        assert_eq!(history.replayed(3).collect::<Vec<_>>(), [(0, 640), (1, 320)]);
        assert_eq!(history.replayed(2).count(), 0);
        assert_eq!((history.critic_images(3), history.critic_images(2)), (Some(7200), None));
        assert_eq!((history.iterations(3), history.iterations(2)), (Some(200), None));
    }

    #[test]
    fn points_of_a_resumed_run_are_not_doubled() {
        let gap = |task, iteration, accuracy| Event::Gap {
            task,
            iteration,
            accuracy,
            classes: BTreeMap::from([(0, accuracy)]),
            samples: 64,
            scorer: "5e".into(),
            seconds: 0.1,
        };
        let history = history([
            progress(1, 200, 1.0),
            progress(2, 50, 1.0),
            gap(2, 1, 0.9),
            gap(2, 50, 0.5),
            gap(2, 50, 0.5),
            gap(2, 100, 0.7),
        ]);
        assert_eq!(history.past_accuracy(), [[(201.0, 0.9), (250.0, 0.5), (300.0, 0.7)]]);
    }

    #[test]
    fn a_loss_that_is_no_number_has_no_curve() {
        let history = history([progress(1, 100, f64::NAN), Event::Unknown]);
        assert!(history.loss_names().is_empty() && history.curve("wasserstein").is_empty());
        assert_eq!(history.seconds(1), None);
    }
}
