//! Run directories as training writes them, with made-up numbers and tiny images.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{GrayImage, Luma};
use mergan_record::metric::ACCURACY;
use mergan_record::{Card, Event, Kept, Layout, Start, TaskScores};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const CELL: u32 = 4;
const COLUMNS: u32 = 3;
/// One byte of the scoring classifier's SHA-256.
const SCORER: &str = "5e";

/// A run to be written.
pub struct FakeRun {
    pub strategy: &'static str,
    pub preset: &'static str,
    pub seed: u64,
    pub tasks: usize,
    /// The classes in the order in which they are learned, unless it is the dataset's own.
    pub order: Option<&'static [usize]>,
    /// The accuracy of a class once the next one has been learned; a new class has 0.9.
    pub kept: f64,
}

impl Default for FakeRun {
    fn default() -> Self {
        Self { strategy: "ra", preset: "quick", seed: 0, tasks: 3, order: None, kept: 0.9 }
    }
}

impl FakeRun {
    /// Writes the run directory below `folder` and returns its path.
    pub fn write(&self, folder: &Path) -> PathBuf {
        let order = self.order.map_or(String::new(), |order| format!("-{order:?}"));
        let dir = folder.join(format!("{}-{}{order}", anonymous(self.strategy), self.seed));
        let run = Layout::new(&dir);
        fs::create_dir_all(run.tasks()).unwrap();
        fs::write(run.config(), self.config()).unwrap();
        fs::write(
            run.events(),
            self.events().iter().map(|event| event.to_line("2026-11-27T00:20:36Z")).collect::<String>(),
        )
        .unwrap();
        image(self.tasks as u32).save(run.real()).unwrap();
        for task in 1..=self.tasks {
            fs::create_dir(run.task(task)).unwrap();
            image(task as u32).save(run.samples(task)).unwrap();
            fs::write(run.scores(task), serde_json::to_string(&self.scores(task)).unwrap()).unwrap();
        }
        dir
    }

    /// Returns the classes of the first `tasks` tasks.
    fn classes(&self, tasks: usize) -> Vec<usize> {
        self.order.map_or((0..tasks).collect(), |order| order[..tasks].to_vec())
    }

    fn config(&self) -> String {
        let Self { strategy, preset, seed, tasks, .. } = self;
        let own = format!("its own lambda for {strategy}");
        let order = self.order.map_or(String::new(), |order| format!("[sequence]\norder = {order:?}\n"));
        format!(
            "strategy = '{strategy}'\npreset = '{preset}'\nseed = {seed}\ndataset = 'mnist'\ntasks = {tasks}\n\
             deviations = ['narrower networks', '{own}']\n[model]\nwidth = 16\n[training]\n\
             critic_steps = 2\n{order}"
        )
    }

    fn events(&self) -> Vec<Event> {
        let command = format!("mergan train --strategy {}", anonymous(self.strategy));
        let start = Event::Start(Start { command, ..Start::default() });
        [start].into_iter().chain((1..=self.tasks).flat_map(|task| self.events_of(task))).collect()
    }

    fn events_of(&self, task: usize) -> Vec<Event> {
        let progress = |iteration: usize| {
            let losses = [("wasserstein", -3.0 / iteration as f64), ("penalty", 0.5)];
            let losses = losses.map(|(name, value)| (name.to_string(), Some(value))).into();
            Event::Progress { task, iteration, iterations: 20, losses, seconds: 0.1 }
        };
        let past = &self.classes(task)[..task - 1];
        let gap = |iteration: usize| {
            let accuracy = if iteration == 10 { 0.5 } else { self.kept };
            let classes = past.iter().map(|&class| (class, accuracy)).collect();
            Event::Gap { task, iteration, accuracy, classes, samples: 64, scorer: SCORER.repeat(32), seconds: 0.1 }
        };
        let replayed: BTreeMap<_, _> = past.iter().map(|&class| (class, 640 + class as u64)).collect();
        let followed = [10, 20].map(|iteration| [Some(progress(iteration)), (task > 1).then(|| gap(iteration))]);
        let end = Event::TaskEnd { task, seconds: 1.0, replayed, critic_images: Some(20 * 2 * 64) };
        let parameters = 1000 * task as u64;
        let kept = Kept { generator_parameters: parameters, images: 10, bytes: 4 * parameters + 10, ..Kept::default() };
        let scored = Event::Evaluation { task, accuracy: self.kept, seconds: 0.1, kept: Some(kept) };
        followed.into_iter().flatten().flatten().chain([end, scored]).collect()
    }

    fn scores(&self, task: usize) -> TaskScores {
        let classes = self.classes(task);
        let value = |class: usize| if class == classes[task - 1] { 0.9 } else { self.kept };
        let values: Vec<_> = classes.iter().map(|&class| (class, value(class))).collect();
        let class_names = classes.iter().map(usize::to_string).collect();
        let mut scores = TaskScores { task, classes, class_names, scores: vec![] };
        scores.record(ACCURACY, &values, &self.card());
        scores
    }

    fn card(&self) -> Card {
        Card {
            network: "digit-mlp".into(),
            sha256: Some(SCORER.repeat(32)),
            test_accuracy: Some(0.985),
            samples_per_class: Some(64),
            real_images: None,
            resize: None,
            estimator: None,
            statistics: "batch of 64".into(),
            grouping: "pure".into(),
            preset: self.preset.into(),
            seed: self.seed,
            data: None,
            commit: None,
        }
    }
}

/// Replaces the scores of a task of a run directory by other values of these metrics, one per class.
pub fn rescore(dir: &Path, task: usize, metrics: &[(&str, &[(usize, f64)])]) {
    let run = Layout::new(dir);
    let mut scores = TaskScores::read(&run, task).unwrap();
    let card = scores.scores[0].score.card.clone();
    for (metric, values) in metrics {
        scores.scores.retain(|row| row.score.metric != *metric);
        scores.record(metric, values, &card);
    }
    fs::write(run.scores(task), serde_json::to_string(&scores).unwrap()).unwrap();
}

/// Decodes the images that the page embeds.
pub fn decode_base64(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

/// Makes a grid with a gradient, one row per class.
fn image(rows: u32) -> GrayImage {
    GrayImage::from_fn(COLUMNS * CELL, rows * CELL, |x, y| Luma([(x * 20 + y * 10) as u8]))
}

/// Returns a folder name for a strategy, because tests use names that no folder can have.
fn anonymous(strategy: &str) -> String {
    strategy.chars().filter(char::is_ascii_alphanumeric).collect()
}
