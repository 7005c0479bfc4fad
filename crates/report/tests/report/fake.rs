//! Run directories as training writes them, with made-up numbers and tiny images.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{GrayImage, Luma};
use mergan_metrics::{ACCURACY, Card, TaskScores};
use std::fs;
use std::path::{Path, PathBuf};

const CELL: u32 = 4;
const COLUMNS: u32 = 3;

/// A run to be written.
pub struct FakeRun {
    pub strategy: &'static str,
    pub preset: &'static str,
    pub seed: u64,
    pub tasks: usize,
    /// The accuracy of a class once the next one has been learned; a new class has 0.9.
    pub kept: f64,
}

impl Default for FakeRun {
    fn default() -> Self {
        Self { strategy: "ra", preset: "quick", seed: 0, tasks: 3, kept: 0.9 }
    }
}

impl FakeRun {
    /// Writes the run directory below `folder` and returns it.
    pub fn write(&self, folder: &Path) -> PathBuf {
        let dir = folder.join(format!("{}-{}", anonymous(self.strategy), self.seed));
        fs::create_dir_all(dir.join("tasks")).unwrap();
        fs::write(dir.join("config.toml"), self.config()).unwrap();
        fs::write(dir.join("events.jsonl"), self.events()).unwrap();
        image(self.tasks as u32).save(dir.join("real.png")).unwrap();
        for task in 1..=self.tasks {
            let folder = dir.join(format!("tasks/{task:02}"));
            fs::create_dir(&folder).unwrap();
            image(task as u32).save(folder.join("samples.png")).unwrap();
            let scores = serde_json::to_string(&self.scores(task)).unwrap();
            fs::write(folder.join("scores.json"), scores).unwrap();
        }
        dir
    }

    fn config(&self) -> String {
        let Self { strategy, preset, seed, tasks, .. } = self;
        let own = format!("its own lambda for {strategy}");
        format!(
            "strategy = '{strategy}'\npreset = '{preset}'\nseed = {seed}\ndataset = 'mnist'\ntasks = {tasks}\n\
             deviations = ['narrower networks', '{own}']\n[model]\nwidth = 16\n"
        )
    }

    fn events(&self) -> String {
        let task = |task: usize| {
            let progress = |iteration: usize| {
                let critic = -3.0 / iteration as f64;
                format!(
                    "{{\"event\":\"progress\",\"task\":{task},\"iteration\":{iteration},\"iterations\":20,\
                     \"losses\":{{\"critic\":{critic},\"penalty\":0.5}},\"seconds\":0.1}}\n"
                )
            };
            let gap = |iteration: usize| {
                let accuracy = if iteration == 10 { 0.5 } else { self.kept };
                let gap = format!("\"task\":{task},\"iteration\":{iteration},\"accuracy\":{accuracy}");
                if task > 1 { format!("{{\"event\":\"gap\",{gap}}}\n") } else { String::new() }
            };
            let past: Vec<_> = (0..task - 1).map(|class| format!("\"{class}\":{}", 640 + class)).collect();
            let replayed = format!("\"replayed\":{{{}}}", past.join(","));
            let end = format!("{{\"event\":\"task_end\",\"task\":{task},\"seconds\":1.0,{replayed}}}\n");
            progress(10) + &gap(10) + &progress(20) + &gap(20) + &end
        };
        let command = format!("mergan train --strategy {}", anonymous(self.strategy));
        let start = format!("{{\"event\":\"start\",\"command\":\"{command}\"}}\n");
        start + &(1..=self.tasks).map(task).collect::<String>()
    }

    fn scores(&self, task: usize) -> TaskScores {
        let classes: Vec<_> = (0..task).collect();
        let value = |class: usize| if class + 1 == task { 0.9 } else { self.kept };
        let values: Vec<_> = classes.iter().map(|&class| (class, value(class))).collect();
        let class_names = classes.iter().map(usize::to_string).collect();
        let mut scores = TaskScores { task, classes, class_names, scores: vec![] };
        scores.record(ACCURACY, &values, &self.card());
        scores
    }

    fn card(&self) -> Card {
        Card {
            network: "digit-mlp".into(),
            sha256: Some("5e".repeat(32)),
            test_accuracy: Some(0.985),
            samples_per_class: Some(64),
            real_images: None,
            resize: None,
            estimator: None,
            statistics: "batch of 64".into(),
            grouping: "pure".into(),
            preset: self.preset.into(),
            seed: self.seed,
            commit: None,
        }
    }
}

/// Replaces the scores of a task of a run directory by other values of these metrics, one for each class.
pub fn rescore(dir: &Path, task: usize, metrics: &[(&str, &[(usize, f64)])]) {
    let path = dir.join(format!("tasks/{task:02}/scores.json"));
    let mut scores: TaskScores = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let card = scores.scores[0].score.card.clone();
    for (metric, values) in metrics {
        scores.scores.retain(|row| row.score.metric != *metric);
        scores.record(metric, values, &card);
    }
    fs::write(path, serde_json::to_string(&scores).unwrap()).unwrap();
}

/// Decodes what the page embeds.
pub fn decode_base64(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

/// A grid with a gradient, one row a class.
fn image(rows: u32) -> GrayImage {
    GrayImage::from_fn(COLUMNS * CELL, rows * CELL, |x, y| Luma([(x * 20 + y * 10) as u8]))
}

/// Strategies of the tests may have names that no folder can have.
fn anonymous(strategy: &str) -> String {
    strategy.chars().filter(char::is_ascii_alphanumeric).collect()
}
