//! Everything measured after a task is learned, as stored in `scores.json`.

mod accuracy;
mod audit;
mod distance;
pub(crate) mod duration;
mod embedding;
mod inception;
mod neighbours;
mod reverse;
mod transfer;

use std::cell::OnceCell;
use std::ops::Range;
use std::path::Path;

use mergan_datasets::{Dataset, TaskSequence};
use mergan_metrics::class_accuracy;
use mergan_models::Reading;
use mergan_record::{Card, Embedding, TaskScores, sealed_json, write_whole};
use mergan_report::TASK_COUNTS;
use mergan_strategies::{Config, Purpose, Sampling, Source, Strategies};
use ndarray::{Array4, Axis};
use serde::Serialize;

use crate::dir::RunDir;
use crate::error::{At, Error};
use crate::export::image_grid;
use crate::memory;
use crate::observer::{Happening, Observer};
use crate::scorer::Scorer;
use crate::trained::Trained;
use distance::Features;
pub use inception::InceptionScores;
use neighbours::Found;

/// The settings by which the generators of one run are scored.
pub struct Evaluation<'e> {
    config: Config,
    /// The known strategies, which include the run's own.
    strategies: Strategies,
    tasks: TaskSequence,
    data: &'e Dataset,
    scorer: Scorer,
    observer: &'e dyn Observer,
    /// The SHA-256 of the data's fingerprint.
    print: String,
    /// The features of the real test images, computed on demand.
    real: OnceCell<Features>,
    measures: Vec<Box<dyn Measure + 'e>>,
}

/// The results measured for a task.
pub struct Measured {
    /// The scores.
    pub scores: TaskScores,
    embedding: Option<Embedding>,
    neighbours: Option<Found>,
}

/// Something measured after a task. The list of metrics ([`mergan_record::metric`]) says how its numbers are named
/// and shown.
pub trait Measure {
    /// Returns whether it needs real images of the classes learned before, which an extended run does not have.
    fn needs_real_images(&self) -> bool {
        false
    }

    /// Measures and records the scores.
    ///
    /// # Errors
    /// When the real images or the generator of the previous task cannot be read, or features are not finite.
    fn measure(&self, evaluation: &Evaluation, scored: &Scored, scores: &mut TaskScores) -> Result<(), Error>;
}

/// The measures of every task, in the order of `scores.json`. Adding one takes a file and a line here.
const MEASURES: [&dyn Measure; 6] = [
    &accuracy::Accuracy,
    &accuracy::StandingAccuracy,
    &transfer::Transfer,
    &distance::Distance,
    &reverse::ReverseAccuracy,
    &audit::ReplayAudit,
];

/// The images that are scored after a task.
pub struct Scored<'t> {
    /// The run.
    pub run: &'t RunDir,
    /// The task, counted from 1.
    pub task: usize,
    /// Its generator.
    pub trained: &'t Trained,
    /// The way in which it is sampled.
    pub sampling: Sampling,
    /// The number of images requested of each learned class.
    pub samples: usize,
    /// The images class by class, in the order they were learned: N x C x H x W.
    pub images: Vec<Array4<u8>>,
    /// The scoring classifier's readings of the images.
    pub readings: Vec<Reading>,
}

impl<'e> Evaluation<'e> {
    /// Creates the evaluation of a run with this configuration, whose strategy is one of `strategies`.
    ///
    /// # Errors
    /// When the configuration's tasks do not fit the data.
    pub fn new(
        config: &Config,
        strategies: &Strategies,
        data: &'e Dataset,
        scorer: Scorer,
        observer: &'e dyn Observer,
    ) -> Result<Self, Error> {
        let tasks = config.task_sequence(data.class_names.len())?;
        let print = data.fingerprint()?.sha256;
        Ok(Evaluation {
            config: config.clone(),
            strategies: strategies.clone(),
            tasks,
            data,
            scorer,
            observer,
            print,
            real: OnceCell::new(),
            measures: Vec::new(),
        })
    }

    /// Adds another measure.
    pub fn with(mut self, measure: impl Measure + 'e) -> Self {
        self.measures.push(Box::new(measure));
        self
    }

    /// Returns the run's configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the real images.
    pub fn data(&self) -> &'e Dataset {
        self.data
    }

    /// Returns the classifier that scores.
    pub fn scorer(&self) -> &Scorer {
        &self.scorer
    }

    /// Scores `samples` images of each class that a run's generator has learned in `task` tasks.
    ///
    /// # Errors
    /// When the generator of the previous task or the real images cannot be read, or features are not finite.
    pub fn task(
        &self,
        run: &RunDir,
        trained: &Trained,
        task: usize,
        samples: usize,
        seed: u64,
    ) -> Result<Measured, Error> {
        let classes = &trained.usage.classes;
        memory::require_for_images(samples, classes.len(), trained.generator.config().image_shape())?;
        let begins = || self.observer.happened(&Happening::Measuring { task });
        begins();
        let sampling = trained.usage.sampling(seed);
        let images = sampling.images(trained.source(), classes, samples);
        let readings = self.read(&images);
        let scored = Scored { run, task, trained, sampling, samples, images, readings };

        let class_names = trained.usage.class_names.clone();
        let mut scores = TaskScores { task, classes: classes.clone(), class_names, scores: Vec::new() };
        let has_real = self.config.extensions.is_empty();
        let measures = MEASURES.into_iter().chain(self.measures.iter().map(AsRef::as_ref));
        for measure in measures.filter(|measure| has_real || !measure.needs_real_images()) {
            begins();
            measure.measure(self, &scored, &mut scores)?;
        }
        begins();
        let (embedding, neighbours) = match has_real && self.is_milestone(task) {
            true => (self.embedding(&scored)?, Some(self.neighbours(&scored)?)),
            false => (None, None),
        };
        Ok(Measured { scores, embedding, neighbours })
    }

    /// Scores these tasks of a run in the same way as when they were learned.
    ///
    /// # Errors
    /// The errors of [`task`](Evaluation::task), and when a generator cannot be read.
    pub fn tasks(&self, run: &RunDir, tasks: Range<usize>) -> Result<Vec<Measured>, Error> {
        let Config { seed, evaluation, .. } = &self.config;
        let task = |task| {
            let trained = Trained::load_with(&run.generator(task), &self.strategies)?;
            self.task(run, &trained, task, evaluation.samples, *seed)
        };
        tasks.map(task).collect()
    }

    fn is_milestone(&self, task: usize) -> bool {
        is_milestone(task, self.config.tasks)
    }

    /// Returns the accuracy of a generator in training on each past class, from 0 to 1. It uses a few images at
    /// latents reserved for this purpose.
    pub fn glance(&self, sampling: &Sampling, source: Source, past: &[usize]) -> Vec<(usize, f64)> {
        let samples = self.config.evaluation.gap_samples;
        // This check must stay cheap: it uses the images at a fixed number of latents rather than drawing until there
        // are enough of each class.
        let images = source.sampler.at_same_latents(sampling, Purpose::Gap, &[source], past, samples).remove(0);
        accuracies(past, &self.read(&images))
    }

    /// Applies the scoring classifier to images, class by class.
    pub fn read(&self, images: &[Array4<u8>]) -> Vec<Reading> {
        images.iter().map(|images| self.scorer.classifier().read(images.view())).collect()
    }

    /// Returns the card of numbers that the scoring classifier measured on the scored images.
    pub fn card(&self, scored: &Scored) -> Card {
        let card = self.scorer.card(&self.config, &scored.sampling, scored.trained.source(), scored.samples);
        Card { data: Some(self.print.clone()), ..card }
    }
}

impl Measured {
    /// Writes all results into the run; the scores are written last.
    pub fn save(&self, run: &RunDir) -> Result<(), Error> {
        let task = self.scores.task;
        if let Some(embedding) = &self.embedding {
            save_json(&run.embedding(task), embedding)?;
        }
        if let Some(Found { neighbours, rows }) = &self.neighbours {
            let rows: Vec<_> = rows.iter().map(|row| row.view()).collect();
            let columns = rows.iter().map(|row| row.len_of(Axis(0))).max().unwrap_or_default();
            image_grid::write(&run.neighbours_grid(task), &rows, columns)?;
            save_json(&run.neighbours(task), neighbours)?;
        }
        save_json(&run.scores(task), &self.scores)
    }
}

/// Returns whether more than scores is measured after a task: after the last one, and after those that the paper
/// measured.
fn is_milestone(task: usize, tasks: usize) -> bool {
    task == tasks || TASK_COUNTS.contains(&task)
}

fn save_json(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    write_whole(path, sealed_json(value).as_bytes()).at("writing", path)
}

/// Warns that metrics rely on classes with fewer than `samples` images, because the component that assigns classes to
/// images ([`Sampler::namer`]) assigned too few to them. The images are those of the first classes, or of all.
///
/// [`Sampler::namer`]: mergan_strategies::Sampler::namer
fn warn_of_few(scores: &mut TaskScores, metrics: &[&str], images: &[Array4<u8>], samples: usize, namer: &str) {
    let counts = scores.classes.iter().zip(images).map(|(&class, images)| (class, images.len_of(Axis(0))));
    let few: Vec<_> = counts.filter(|&(_, count)| count < samples).collect();
    if few.is_empty() {
        return;
    }
    for metric in metrics {
        for &(class, count) in &few {
            scores.warn(metric, Some(class), format!("the {namer} named only {count} of {samples} images"));
        }
        scores.warn(metric, None, format!("the {namer} named fewer than {samples} images of some classes"));
    }
}

/// Returns the accuracy of each class. A class that the generator never makes has no images and counts as not
/// recognised.
fn accuracies(classes: &[usize], readings: &[Reading]) -> Vec<(usize, f64)> {
    let pairs = classes.iter().zip(readings);
    pairs.map(|(&class, reading)| (class, class_accuracy(&reading.labels(), class).unwrap_or(0.0))).collect()
}

#[cfg(test)]
mod tests {
    use mergan_record::metric::ACCURACY;

    use super::*;

    /// Returns a card for made-up scores.
    pub(super) fn card() -> Card {
        Card {
            network: "mlp".into(),
            sha256: None,
            test_accuracy: None,
            samples_per_class: Some(5),
            real_images: None,
            resize: None,
            estimator: None,
            statistics: "batch of 64".into(),
            grouping: "mixed".into(),
            preset: "smoke".into(),
            seed: 0,
            data: None,
            commit: None,
        }
    }

    #[test]
    fn classes_with_too_few_images_are_warned_of() {
        let classes = [4, 2, 7];
        let warnings = |counts: [usize; 3]| {
            let mut scores = TaskScores { task: 1, classes: classes.to_vec(), class_names: vec![], scores: vec![] };
            scores.record(ACCURACY, &classes.map(|class| (class, 0.5)), &card());
            let images = counts.map(|count| Array4::zeros((count, 1, 2, 2)));
            warn_of_few(&mut scores, &[ACCURACY], &images, 5, "solver");
            scores.scores.into_iter().map(|row| row.score.warning).collect::<Vec<_>>()
        };
        assert_eq!(warnings([5, 5, 5]), [None, None, None, None]);
        let found = warnings([5, 3, 0]).into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>();
        let expected = [
            "",
            "the solver named only 3 of 5 images",
            "the solver named only 0 of 5 images",
            "the solver named fewer than 5 images of some classes",
        ];
        assert_eq!(found, expected);
    }
}
