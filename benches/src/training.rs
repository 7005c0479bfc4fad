//! Trainers of the released code's recipe, on random images.

use anyhow::{Context, Result};
use mergan_datasets::Labelled;
use mergan_models::Architecture;
use mergan_strategies::{Choice, Config, Strategies, Trainer};
use ndarray::Array4;

/// The number of classes of the images.
const CLASSES: usize = 10;

/// What is trained: a strategy and the sizes of its networks and batches.
pub struct Training<'a> {
    /// The strategy's name.
    pub strategy: &'a str,
    /// The side of the images in pixels: 32 for the digit networks, 64 for the residual ones.
    pub side: usize,
    /// The number of channels at full resolution.
    pub width: usize,
    /// The number of images in a batch.
    pub batch: usize,
    /// The task, counted from 1.
    pub task: usize,
}

impl Training<'_> {
    /// Returns a trainer that has begun the task. A task's first iteration has no generator step, and it is done.
    pub fn begin(&self) -> Result<Trainer> {
        let Training { strategy, side, width, batch, task } = *self;
        let architecture =
            Architecture::of_side(side).next().with_context(|| format!("no networks make {side} pixels"))?;
        let channels = if architecture == Architecture::Digit { 1 } else { 3 };
        let labels: Vec<usize> = (0..CLASSES * 2 * batch).map(|i| i % CLASSES).collect();
        let pixel = |(n, c, y, x): (usize, usize, usize, usize)| (31 * n + 57 * c + y * x) as u8;
        let images = Labelled::new(Array4::from_shape_fn((labels.len(), channels, side, side), pixel), labels)?;
        let changes = toml::from_str(&format!("training.batch = {batch}\nmodel.width = {width}"))?;
        let choice = Choice {
            dataset: "mnist".into(),
            architecture,
            strategy: strategy.into(),
            preset: "paper".into(),
            tasks: Some(CLASSES),
            changes,
            ..Choice::default()
        };
        let strategies = Strategies::built_in();
        let config = Config::resolve(&choice, &strategies, CLASSES)?;
        let mut trainer = Trainer::new(config, &strategies, CLASSES, &images)?;
        while trainer.tasks_learned() + 1 < task {
            trainer.skip_task()?;
        }
        trainer.advance()?;
        Ok(trainer)
    }
}
