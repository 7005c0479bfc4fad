//! The loop around the trainer: what is written and said while it trains.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::FormattedDuration;
use mergan_datasets::{Dataset, Labelled};
use mergan_strategies::{Advance, Config, Losses, Trainer};
use ndarray::ArrayView4;

use super::signals::{Signal, Signals};
use crate::checkpoints::{self, Position};
use crate::commands::evaluate;
use crate::console::{Console, Progress};
use crate::evaluation::Evaluation;
use crate::events::{Event, EventLog};
use crate::generator::{Trained, Usage};
use crate::image_grid::{self, COLUMNS};
use crate::run_dir::RunDir;
use crate::scorer::Scorer;

/// Checkpoints come at least this often.
const CHECKPOINTS: Duration = Duration::from_secs(60);
/// Progress events in a task; a report draws its loss curves from them.
const EVENTS: usize = 100;

/// A training with everything around it.
pub struct Session<'s> {
    run: &'s RunDir,
    console: &'s Console,
    data: &'s Dataset,
    evaluation: Evaluation<'s>,
    trainer: Trainer<'s>,
    events: EventLog,
    checkpoint_every: Option<usize>,
    /// Of training in the current task.
    seconds: f64,
    saved: Instant,
    pace: Pace,
}

/// How fast the training is: seconds an iteration, most of it from the last twenty.
#[derive(Default)]
struct Pace(Option<f64>);

impl<'s> Session<'s> {
    /// A session that goes on with this training. A checkpoint is saved every minute and every `checkpoint_every`
    /// iterations.
    pub fn new(
        run: &'s RunDir,
        console: &'s Console,
        data: &'s Dataset,
        scorer: Scorer,
        trainer: Trainer<'s>,
        events: EventLog,
        checkpoint_every: Option<usize>,
    ) -> Result<Self> {
        let seconds = events.seconds(Position::of(&trainer))?;
        let evaluation = Evaluation::new(trainer.config(), data, scorer, console)?;
        let (saved, pace) = (Instant::now(), Pace::default());
        Ok(Session { run, console, data, evaluation, trainer, events, checkpoint_every, seconds, saved, pace })
    }

    /// Trains to the end, or to the first signal, which is returned.
    pub fn run(mut self, signals: &Signals) -> Result<Option<Signal>> {
        if !self.run.real().exists() {
            self.write_real()?;
        }
        let learned = self.trainer.tasks_learned();
        // The first task of a fork, or one whose process was killed while it scored.
        if learned > 0 && self.trainer.iterations_done() == 0 && !self.run.scores(learned).exists() {
            self.finish_task(learned)?;
        }
        let config = self.trainer.config();
        let mut progress =
            self.console.progress(format!("training {}", config.strategy), iterations(config, config.tasks));
        loop {
            if let Some(signal) = signals.caught() {
                self.save()?;
                return Ok(Some(signal));
            }
            // The end of a task starts to count anew.
            let replayed = self.trainer.replayed();
            let begun = Instant::now();
            let advance = self.trainer.advance();
            self.seconds += begun.elapsed().as_secs_f64();
            let advance = advance.with_context(|| {
                format!("training stopped; the last checkpoint is kept in {}", self.run.checkpoints().display())
            })?;
            match advance {
                None => break,
                Some(Advance::Iteration { task, iteration, iterations, losses }) => {
                    self.pace.add(begun.elapsed());
                    self.show(&mut progress, &losses);
                    self.record(task, iteration, iterations, &losses)?;
                }
                Some(Advance::TaskEnd { task }) => {
                    self.events.write(&Event::TaskEnd { task, seconds: self.seconds, replayed })?;
                    let took = FormattedDuration(Duration::from_secs_f64(self.seconds));
                    self.console.note(format!("task {task} of {} learned in {took}", self.trainer.config().tasks));
                    self.seconds = 0.0;
                    self.save()?;
                    self.finish_task(task)?;
                }
            }
        }
        drop(progress);
        self.console.note(format!(
            "all {} tasks learned; the run is in {}",
            self.trainer.tasks_learned(),
            self.run.root().display()
        ));
        Ok(None)
    }

    /// Puts an iteration into the log, and saves a checkpoint when it is time.
    fn record(&mut self, task: usize, iteration: usize, iterations: usize, losses: &Losses) -> Result<()> {
        if iteration.is_multiple_of((iterations / EVENTS).max(1)) || iteration == iterations {
            let losses = losses.read().into_iter().collect();
            self.events.write(&Event::Progress { task, iteration, iterations, losses, seconds: self.seconds })?;
        }
        // The first iterations change most.
        if iteration.is_power_of_two() || iteration == iterations {
            let classes = self.trainer.tasks().classes_seen(task);
            self.write_samples(&self.run.frame(task, iteration), &classes)?;
        }
        if self.glances(task, iteration) {
            self.glance(task, iteration)?;
        }
        let asked = self.checkpoint_every.is_some_and(|every| iteration.is_multiple_of(every));
        if asked || self.saved.elapsed() >= CHECKPOINTS {
            self.save()?;
        }
        Ok(())
    }

    /// Whether the past classes are looked at after this iteration. The first one moves no generator: it shows where the
    /// task starts from.
    fn glances(&self, task: usize, iteration: usize) -> bool {
        let every = self.trainer.config().evaluation.gap_every;
        every > 0 && task > 1 && (iteration == 1 || iteration.is_multiple_of(every))
    }

    /// Puts the accuracy on the classes of the past into the log.
    fn glance(&mut self, task: usize, iteration: usize) -> Result<()> {
        let begun = Instant::now();
        let past = self.trainer.tasks().classes_seen(task - 1);
        let found = self.evaluation.glance(&self.trainer.sampling(), self.trainer.source(), &past);
        self.events.write(&Event::Gap {
            task,
            iteration,
            accuracy: found.iter().map(|(_, accuracy)| accuracy).sum::<f64>() / found.len() as f64,
            classes: found.into_iter().collect(),
            samples: self.trainer.config().evaluation.gap_samples,
            scorer: self.evaluation.scorer().sha256(),
            seconds: begun.elapsed().as_secs_f64(),
        })
    }

    fn save(&mut self) -> Result<()> {
        let Position { tasks, iterations } = Position::of(&self.trainer);
        self.events.write(&Event::Checkpoint { tasks, iterations, seconds: self.seconds })?;
        checkpoints::save(self.run, &self.trainer)?;
        self.console.detail(format!("saved a checkpoint: {tasks} tasks and {iterations} iterations done"));
        self.saved = Instant::now();
        Ok(())
    }

    /// Writes what is left of a learned task: samples, the generator, and last its scores.
    fn finish_task(&mut self, task: usize) -> Result<()> {
        let begun = Instant::now();
        let folder = self.run.task(task);
        fs::create_dir_all(&folder).with_context(|| format!("making the directory {}", folder.display()))?;
        let trained = self.trained(task);
        self.write_samples(&self.run.samples(task), &trained.usage.classes)?;
        self.events.samples(task, &self.run.samples(task))?;
        trained.save(&self.run.generator(task))?;
        let Config { seed, evaluation, .. } = self.trainer.config();
        let measured = self.evaluation.task(self.run, &trained, task, evaluation.samples, *seed)?;
        measured.save(self.run)?;

        let scores = &measured.scores;
        let mean = evaluate::percent(scores, None);
        let seconds = begun.elapsed().as_secs_f64();
        self.events.write(&Event::Evaluation { task, accuracy: mean / 100.0, seconds })?;
        let classes = scores.classes.iter().zip(&scores.class_names);
        let classes: Vec<_> =
            classes.map(|(&class, name)| format!("{name}: {:.1}", evaluate::percent(scores, Some(class)))).collect();
        self.console.note(format!("accuracy after task {task}: {mean:.2} % ({})", classes.join(", ")));
        Ok(())
    }

    fn trained(&self, task: usize) -> Trained {
        let source = self.trainer.source();
        let sampling = self.trainer.sampling();
        let classes = self.trainer.tasks().classes_seen(task);
        let class_names = classes.iter().map(|&class| self.data.class_names[class].clone()).collect();
        Trained {
            generator: source.generator.clone(),
            solver: source.solver.cloned(),
            standing: sampling.standing(source, &classes),
            usage: Usage { classes, class_names, batch: sampling.batch, grouping: sampling.grouping },
        }
    }

    /// The grid of images of these classes at the latents that are always shown.
    fn write_samples(&self, path: &Path, classes: &[usize]) -> Result<()> {
        let rows = self.trainer.sampling().grid(self.trainer.source(), classes, COLUMNS);
        write_rows(path, rows.iter().map(|row| row.view()))
    }

    /// Real images of the classes of all tasks.
    fn write_real(&self) -> Result<()> {
        let tasks = self.trainer.tasks();
        let classes = tasks.classes_seen(tasks.tasks().len());
        let train = &self.data.train;
        let row = |&class: &usize| train.select(&train.indices_of(class).into_iter().take(COLUMNS).collect::<Vec<_>>());
        let rows: Vec<_> = classes.iter().map(row).collect();
        let rows = rows.iter().map(Labelled::images).collect::<Result<Vec<_>, _>>()?;
        write_rows(&self.run.real(), rows.iter().map(|row| row.view()))
    }

    fn show(&self, progress: &mut Progress, losses: &Losses) {
        let config = self.trainer.config();
        let Position { tasks, iterations: done } = Position::of(&self.trainer);
        let position = iterations(config, tasks) + done as u64;
        progress.update(position, || {
            let left = iterations(config, config.tasks) - position;
            let losses: String = losses.read().iter().map(|(name, value)| format!(", {name} {value:.3}")).collect();
            let (task, of) = (tasks + 1, config.iterations(tasks));
            format!("task {task}/{}, iteration {done}/{of}, {} left{losses}", config.tasks, self.pace.left(left))
        });
    }
}

impl Pace {
    fn add(&mut self, took: Duration) {
        let took = took.as_secs_f64();
        self.0 = Some(self.0.map_or(took, |pace| 0.95 * pace + 0.05 * took));
    }

    fn left(&self, iterations: u64) -> FormattedDuration {
        FormattedDuration(Duration::from_secs_f64(self.0.unwrap_or_default() * iterations as f64))
    }
}

/// Iterations of the first `tasks` tasks.
fn iterations(config: &Config, tasks: usize) -> u64 {
    (0..tasks).map(|task| config.iterations(task) as u64).sum()
}

fn write_rows<'i>(path: &Path, rows: impl Iterator<Item = ArrayView4<'i, u8>>) -> Result<()> {
    image_grid::write(path, &rows.collect::<Vec<_>>(), COLUMNS)
}
