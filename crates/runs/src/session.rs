//! The loop around the trainer: what is written and reported during training.

use std::path::Path;
use std::time::{Duration, Instant};

use mergan_datasets::{Dataset, Labelled};
use mergan_record::metric::ACCURACY;
use mergan_record::{Event, Kept, Position};
use mergan_strategies::{Advance, Config, Losses, Trainer};
use ndarray::ArrayView4;

use crate::checkpoints;
use crate::dir::{RunDir, make_folder};
use crate::error::{Error, While};
use crate::evaluation::Evaluation;
use crate::export::image_grid::{self, COLUMNS};
use crate::log::EventLog;
use crate::observer::{Happening, Iteration, Observer, Progress, Work};
use crate::run::Outcome;
use crate::scorer::Scorer;
use crate::trained::{Trained, Usage};

/// The longest time between checkpoints.
const CHECKPOINTS: Duration = Duration::from_secs(60);
/// The number of progress events in a task; a report draws its loss curves from them.
const EVENTS: usize = 100;

/// A training with everything around it.
pub struct Session<'s> {
    run: &'s RunDir,
    observer: &'s dyn Observer,
    data: &'s Dataset,
    evaluation: Evaluation<'s>,
    trainer: Trainer,
    events: EventLog,
    checkpoint_every: Option<usize>,
    /// Seconds of training in the current task.
    seconds: f64,
    saved: Instant,
    pace: Pace,
}

/// The speed of the training, in seconds per iteration, mostly determined by the last twenty.
#[derive(Default)]
struct Pace(Option<f64>);

impl<'s> Session<'s> {
    /// Creates a session that continues this training. A checkpoint is saved every minute and every
    /// `checkpoint_every` iterations.
    pub fn new(
        run: &'s RunDir,
        observer: &'s dyn Observer,
        data: &'s Dataset,
        scorer: Scorer,
        trainer: Trainer,
        events: EventLog,
        checkpoint_every: Option<usize>,
    ) -> Result<Self, Error> {
        let seconds = events.seconds(checkpoints::position(&trainer))?;
        let evaluation = Evaluation::new(trainer.config(), trainer.strategies(), data, scorer, observer)?;
        let (saved, pace) = (Instant::now(), Pace::default());
        Ok(Session { run, observer, data, evaluation, trainer, events, checkpoint_every, seconds, saved, pace })
    }

    /// Trains to the end, or until `stop` asks for an earlier end. It is called between iterations and before a task
    /// is scored.
    pub fn run(mut self, stop: &dyn Fn() -> bool) -> Result<Outcome, Error> {
        if !self.run.real().exists() {
            self.write_real()?;
        }
        let learned = self.trainer.tasks_learned();
        // This is the first task of a fork, or a task whose process was killed while it was scored.
        if learned > 0 && self.trainer.iterations_done() == 0 && !self.run.scores(learned).exists() {
            self.finish_task(learned)?;
        }
        let config = self.trainer.config();
        let work = Work::Training(config.strategy.clone());
        let progress = Progress::begin(self.observer, work, iterations(config, config.tasks));
        loop {
            if stop() {
                self.save()?;
                return Ok(Outcome::Stopped);
            }
            // The count is read now because it restarts at the end of a task.
            let replayed = self.trainer.replayed();
            let begun = Instant::now();
            let advance = self.trainer.advance();
            self.seconds += begun.elapsed().as_secs_f64();
            let advance = advance.while_(|| {
                format!("training stopped; the last checkpoint is kept in {}", self.run.checkpoints().display())
            })?;
            match advance {
                None => break,
                Some(Advance::Iteration { task, iteration, iterations, losses }) => {
                    self.pace.add(begun.elapsed());
                    self.show(progress.work(), &losses);
                    self.record(task, iteration, iterations, &losses)?;
                }
                Some(Advance::TaskEnd { task }) => {
                    let critic_images = Some(self.trainer.critic_images(task - 1));
                    self.log(&Event::TaskEnd { task, seconds: self.seconds, replayed, critic_images })?;
                    let (tasks, took) = (self.trainer.config().tasks, Duration::from_secs_f64(self.seconds));
                    self.observer.happened(&Happening::Learned { task, tasks, took });
                    self.seconds = 0.0;
                    self.save()?;
                    if stop() {
                        return Ok(Outcome::Stopped);
                    }
                    self.finish_task(task)?;
                }
            }
        }
        drop(progress);
        let (tasks, run) = (self.trainer.tasks_learned(), self.run.root());
        self.observer.happened(&Happening::Finished { tasks, run });
        Ok(Outcome::Finished)
    }

    /// Logs an iteration, and saves a checkpoint when it is due.
    fn record(&mut self, task: usize, iteration: usize, iterations: usize, losses: &Losses) -> Result<(), Error> {
        if iteration.is_multiple_of((iterations / EVENTS).max(1)) || iteration == iterations {
            let losses = losses.read().into_iter().map(|(name, value)| (name.into(), Some(value))).collect();
            self.log(&Event::Progress { task, iteration, iterations, losses, seconds: self.seconds })?;
        }
        // The grids are denser at first because the first iterations change the images most.
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

    /// Returns whether the past classes are scored after this iteration. The first iteration does not change the
    /// generator, so it shows where the task starts from.
    fn glances(&self, task: usize, iteration: usize) -> bool {
        let every = self.trainer.config().evaluation.gap_every;
        every > 0 && task > 1 && (iteration == 1 || iteration.is_multiple_of(every))
    }

    /// Logs the accuracy on the past classes.
    fn glance(&mut self, task: usize, iteration: usize) -> Result<(), Error> {
        let begun = Instant::now();
        let past = self.trainer.tasks().classes_seen(task - 1);
        let found = self.evaluation.glance(&self.trainer.sampling(), self.trainer.source(), &past);
        self.log(&Event::Gap {
            task,
            iteration,
            accuracy: found.iter().map(|(_, accuracy)| accuracy).sum::<f64>() / found.len() as f64,
            classes: found.into_iter().collect(),
            samples: self.trainer.config().evaluation.gap_samples,
            scorer: self.evaluation.scorer().sha256().into(),
            seconds: begun.elapsed().as_secs_f64(),
        })
    }

    /// Writes an event to the log, and tells the observer.
    fn log(&mut self, event: &Event) -> Result<(), Error> {
        self.events.write(event)?;
        self.observer.happened(&Happening::Logged(event));
        Ok(())
    }

    fn save(&mut self) -> Result<(), Error> {
        let Position { tasks, iterations } = checkpoints::position(&self.trainer);
        self.log(&Event::Checkpoint { tasks, iterations, seconds: self.seconds })?;
        checkpoints::save(self.run, &self.trainer)?;
        self.observer.happened(&Happening::Saved { tasks, iterations });
        self.saved = Instant::now();
        Ok(())
    }

    /// Writes the results of a learned task: samples, the generator, and last its scores.
    fn finish_task(&mut self, task: usize) -> Result<(), Error> {
        let begun = Instant::now();
        let folder = self.run.task(task);
        make_folder(&folder)?;
        let trained = self.trained(task);
        self.write_samples(&self.run.samples(task), &trained.usage.classes)?;
        self.events.samples(task, &self.run.samples(task))?;
        trained.save(&self.run.generator(task))?;
        let Config { seed, evaluation, .. } = self.trainer.config();
        let measured = self.evaluation.task(self.run, &trained, task, evaluation.samples, *seed)?;
        measured.save(self.run)?;

        let mean = measured.scores.get(ACCURACY, None).expect("every task has an accuracy").value;
        let (seconds, kept) = (begun.elapsed().as_secs_f64(), Some(self.kept()));
        self.log(&Event::Evaluation { task, accuracy: mean, seconds, kept })?;
        self.observer.happened(&Happening::Scored(&measured.scores));
        Ok(())
    }

    /// Returns what is kept of the tasks learned so far.
    fn kept(&self) -> Kept {
        let mergan_strategies::Kept { generator_parameters, classifier_parameters, images } = self.trainer.kept();
        let numbers = size_of::<f32>() * (generator_parameters + classifier_parameters);
        let image: usize = self.data.train.image_shape().iter().product();
        Kept {
            generator_parameters: generator_parameters as u64,
            classifier_parameters: classifier_parameters as u64,
            images: images as u64,
            bytes: (numbers + images * image) as u64,
        }
    }

    fn trained(&self, task: usize) -> Trained {
        let source = self.trainer.source();
        let sampling = self.trainer.sampling();
        let classes = self.trainer.tasks().classes_seen(task);
        let class_names = classes.iter().map(|&class| self.data.class_names[class].clone()).collect();
        Trained {
            generator: source.generator.clone(),
            sampler: source.sampler.boxed(),
            standing: sampling.standing(source, &classes),
            checked: true,
            usage: Usage { classes, class_names, batch: sampling.batch, grouping: sampling.grouping },
        }
    }

    /// Writes a grid of images of these classes, always at the same latents.
    fn write_samples(&self, path: &Path, classes: &[usize]) -> Result<(), Error> {
        let rows = self.trainer.sampling().grid(self.trainer.source(), classes, COLUMNS);
        write_rows(path, rows.iter().map(|row| row.view()))
    }

    /// Writes real images of the classes of all tasks.
    fn write_real(&self) -> Result<(), Error> {
        let tasks = self.trainer.tasks();
        let classes = tasks.classes_seen(tasks.tasks().len());
        let train = &self.data.train;
        let row = |&class: &usize| train.select(&train.indices_of(class).into_iter().take(COLUMNS).collect::<Vec<_>>());
        let rows: Vec<_> = classes.iter().map(row).collect();
        let rows = rows.iter().map(Labelled::images).collect::<Result<Vec<_>, _>>()?;
        write_rows(&self.run.real(), rows.iter().map(|row| row.view()))
    }

    fn show(&self, work: &Work, losses: &Losses) {
        let config = self.trainer.config();
        let Position { tasks, iterations: iteration } = checkpoints::position(&self.trainer);
        let (done, total) = (iterations(config, tasks) + iteration as u64, iterations(config, config.tasks));
        self.observer.happened(&Happening::Iteration(&Iteration {
            work,
            task: tasks + 1,
            tasks: config.tasks,
            iteration,
            iterations: config.iterations(tasks),
            done,
            total,
            left: self.pace.left(total - done),
            losses,
        }));
    }
}

impl Pace {
    fn add(&mut self, took: Duration) {
        let took = took.as_secs_f64();
        self.0 = Some(self.0.map_or(took, |pace| 0.95 * pace + 0.05 * took));
    }

    fn left(&self, iterations: u64) -> Duration {
        Duration::from_secs_f64(self.0.unwrap_or_default() * iterations as f64)
    }
}

/// Returns the number of iterations of the first `tasks` tasks.
fn iterations(config: &Config, tasks: usize) -> u64 {
    (0..tasks).map(|task| config.iterations(task) as u64).sum()
}

fn write_rows<'i>(path: &Path, rows: impl Iterator<Item = ArrayView4<'i, u8>>) -> Result<(), Error> {
    image_grid::write(path, &rows.collect::<Vec<_>>(), COLUMNS)
}
