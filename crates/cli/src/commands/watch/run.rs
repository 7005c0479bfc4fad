//! What is shown of a run, read from its directory while it grows.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use image::RgbImage;
use mergan_record::{Event, Follower};
use mergan_report::History;
use mergan_runs::RunDir;
use mergan_runs::export::image_grid;
use mergan_strategies::Config;

/// The number of progress events that the pace is measured over.
const PACE: usize = 6;
/// How long a run may be silent before it counts as stopped, in addition to ten times the last time between two events.
const SILENCE: Duration = Duration::from_secs(60);

/// A run that is watched.
pub struct Watched {
    /// The name of its directory.
    pub name: String,
    /// Everything that decides its result.
    pub config: Config,
    /// Losses and the accuracy of the past.
    pub history: History,
    /// The task that is learned, and the iterations done in it.
    pub position: (usize, usize),
    /// The mean accuracy after each task that was scored, from 0 to 1, and the seconds that scoring took.
    pub scored: BTreeMap<usize, (f64, f64)>,
    /// The newest sample grid: a row of square images for each class.
    pub samples: Option<RgbImage>,
    dir: RunDir,
    follower: Follower,
    /// The iterations and seconds of the newest progress events of a task.
    pace: VecDeque<(usize, f64)>,
    shown: Option<PathBuf>,
}

/// What a run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is trained or scored.
    Busy,
    /// Nothing has happened for this time, which is longer than usual.
    Silent(Duration),
    /// All its tasks are learned and scored.
    Finished,
}

impl Watched {
    /// Opens the run in `directory`, whose files are only read.
    pub fn open(directory: &Path) -> Result<Self> {
        let dir = RunDir::new(directory);
        let name = directory.file_name().unwrap_or(directory.as_os_str()).to_string_lossy().into_owned();
        let mut run = Watched {
            name,
            config: dir.read_config()?,
            history: History::default(),
            position: (1, 0),
            scored: BTreeMap::new(),
            samples: None,
            follower: Follower::new(&dir.events()),
            dir,
            pace: VecDeque::new(),
            shown: None,
        };
        run.update()?;
        Ok(run)
    }

    /// Reads what is new.
    pub fn update(&mut self) -> Result<()> {
        let news = self.follower.news()?;
        if news.anew {
            (self.history, self.position) = (History::default(), (1, 0));
            self.scored.clear();
            self.pace.clear();
        }
        for event in &news.events {
            self.note(event);
        }
        self.history.extend(news.events);
        self.find_samples()
    }

    fn note(&mut self, event: &Event) {
        match *event {
            Event::Progress { task, iteration, seconds, .. } => {
                // A resumed run goes back to its checkpoint, and every task begins anew.
                if self.pace.back().is_some_and(|(before, _)| *before >= iteration) {
                    self.pace.clear();
                }
                self.pace.push_back((iteration, seconds));
                if self.pace.len() > PACE {
                    self.pace.pop_front();
                }
                self.position = (task, iteration);
            }
            Event::Gap { task, iteration, .. } => self.position = (task, iteration),
            Event::TaskEnd { task, .. } => self.position = (task, self.config.iterations(task - 1)),
            Event::Evaluation { task, accuracy, seconds, .. } => {
                self.scored.insert(task, (accuracy, seconds));
                if task < self.config.tasks {
                    self.position = (task + 1, 0);
                    self.pace.clear();
                }
            }
            Event::Start(_) | Event::Checkpoint { .. } | Event::DataChanged { .. } | Event::Unknown => {}
        }
    }

    /// Reads the newest sample grid, unless it is the one that is shown.
    fn find_samples(&mut self) -> Result<()> {
        // There is no folder before the first grid.
        let newest = self.dir.frame_grids().unwrap_or_default().pop();
        let Some(newest) = newest.filter(|path| self.shown.as_ref() != Some(path)) else {
            return Ok(());
        };
        self.samples = Some(image_grid::open(&newest)?.into_rgb8());
        self.shown = Some(newest);
        Ok(())
    }

    /// Returns the iterations done and the iterations of all tasks.
    pub fn iterations(&self) -> (usize, usize) {
        let of = |tasks| (0..tasks).map(|task| self.config.iterations(task)).sum::<usize>();
        (of(self.position.0 - 1) + self.position.1, of(self.config.tasks))
    }

    /// Returns the seconds that an iteration takes at present.
    pub fn seconds_per_iteration(&self) -> Option<f64> {
        let (last, seconds) = self.pace.back()?;
        let (first, before) = self.pace.front().filter(|(first, _)| first < last).unwrap_or(&(0, 0.0));
        Some((seconds - before) / (last - first) as f64)
    }

    /// Returns the time that the rest will take at the present pace. Scoring is counted as soon as a task has been
    /// scored, in proportion to the number of classes.
    pub fn left(&self) -> Option<Duration> {
        let (done, total) = self.iterations();
        let training = self.seconds_per_iteration()? * (total - done) as f64;
        let scoring = self.scored.last_key_value().map_or(0.0, |(&task, &(_, seconds))| {
            (task + 1..=self.config.tasks).map(|later| seconds * later as f64 / task as f64).sum()
        });
        Some(Duration::from_secs_f64(training + scoring))
    }

    /// Returns what the run is doing.
    pub fn state(&self) -> State {
        if self.scored.contains_key(&self.config.tasks) {
            return State::Finished;
        }
        let changed = fs::metadata(self.dir.events()).and_then(|file| file.modified());
        let silent = changed.ok().and_then(|time| SystemTime::now().duration_since(time).ok()).unwrap_or_default();
        let between = match (self.pace.len(), self.pace.front(), self.pace.back()) {
            (count @ 2.., Some((_, first)), Some((_, last))) => (last - first) / (count - 1) as f64,
            _ => 0.0,
        };
        let patience = SILENCE + Duration::from_secs_f64(10.0 * between.max(0.0));
        if silent > patience { State::Silent(silent) } else { State::Busy }
    }
}
