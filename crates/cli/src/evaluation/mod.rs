//! Everything that is measured when a task is learned, as `scores.json` holds it.

mod audit;
mod distance;
mod reverse;

use std::cell::OnceCell;

use anyhow::Result;
use mergan_datasets::{Dataset, TaskSequence};
use mergan_metrics::{ACCURACY, Card, INITIAL_ACCURACY, NEXT_ACCURACY, TaskScores, class_accuracy};
use mergan_models::{Generator, Reading};
use mergan_strategies::{Config, Purpose, Sampling, Source};
use mergan_tensor::{Device, Random};
use ndarray::{Array4, Axis};

use crate::console::Console;
use crate::generator::Trained;
use crate::run_dir::RunDir;
use crate::scorer::Scorer;
use distance::Features;

/// How the generators of one run are scored.
pub struct Evaluation<'e> {
    config: Config,
    tasks: TaskSequence,
    data: &'e Dataset,
    scorer: Scorer,
    console: &'e Console,
    /// Of the real test images, once they are needed.
    real: OnceCell<Features>,
}

/// The images to be scored after a task.
struct Scored<'t> {
    task: usize,
    trained: &'t Trained,
    sampling: Sampling,
    /// Of each learned class.
    samples: usize,
    /// Class by class, in the order they were learned.
    images: Vec<Array4<u8>>,
    /// What the scoring classifier makes of them.
    readings: Vec<Reading>,
}

impl<'e> Evaluation<'e> {
    /// The evaluation of a run with this configuration.
    ///
    /// # Errors
    /// When the configuration's tasks do not fit the data.
    pub fn new(config: &Config, data: &'e Dataset, scorer: Scorer, console: &'e Console) -> Result<Self> {
        let tasks = TaskSequence::new(data.class_names.len(), &config.task_options())?;
        Ok(Evaluation { config: config.clone(), tasks, data, scorer, console, real: OnceCell::new() })
    }

    /// The classifier that scores.
    pub fn scorer(&self) -> &Scorer {
        &self.scorer
    }

    /// Scores `samples` images of each class that a run's generator has learned in `task` tasks.
    ///
    /// # Errors
    /// When the generator of the task before cannot be read, or features are no numbers.
    pub fn task(&self, run: &RunDir, trained: &Trained, task: usize, samples: usize, seed: u64) -> Result<TaskScores> {
        let classes = &trained.usage.classes;
        let sampling = trained.sampling(seed);
        let images = sampling.images(trained.source(), classes, samples);
        let readings = self.read(&images);
        let scored = Scored { task, trained, sampling, samples, images, readings };

        let class_names = trained.usage.class_names.clone();
        let mut scores = TaskScores { task, classes: classes.clone(), class_names, scores: Vec::new() };
        scores.record(ACCURACY, &accuracies(classes, &scored.readings), &self.card(&scored));
        self.transfer(&scored, &mut scores);
        self.distances(&scored, &mut scores)?;
        self.reverse(&scored, &mut scores);
        if task > 1 {
            let old = Trained::load(&run.generator(task - 1))?;
            self.audit(&scored, &old, &mut scores);
        }
        Ok(scores)
    }

    /// What forward transfer is made of: the accuracy on the classes of the next task, and once, after the first task, the
    /// untrained generator's on all. No solver knows these classes; its generator makes the same images whatever is asked.
    fn transfer(&self, scored: &Scored, scores: &mut TaskScores) {
        let mut score = |metric, generator: &Generator, classes: &[usize]| {
            let solver = scored.trained.solver.as_ref();
            let asked: Vec<_> = classes.iter().map(|&class| solver.map_or(class, |solver| solver.classes[0])).collect();
            let images = scored.sampling.images(generator, &asked, scored.samples);
            scores.record(metric, &accuracies(classes, &self.read(&images)), &self.card(scored));
        };
        let generator = &scored.trained.generator;
        if let Some(next) = self.tasks.tasks().get(scored.task) {
            score(NEXT_ACCURACY, generator, next);
        }
        if scored.task == 1 {
            let untrained = Generator::new(generator.config(), Random::new(self.config.seed), Device::Cpu);
            score(INITIAL_ACCURACY, &untrained, &self.tasks.classes_seen(self.tasks.tasks().len()));
        }
    }

    /// The accuracy of a generator in training on each class of the past, from 0 to 1, on a few images at latents of their
    /// own.
    pub fn glance(&self, sampling: &Sampling, source: Source, past: &[usize]) -> Vec<(usize, f64)> {
        let samples = self.config.evaluation.gap_samples;
        let images = match source.solver {
            None => sampling.images_at(Purpose::Gap, source, past, samples),
            // A look must stay cheap: what the solver names, not as many of each class as it takes.
            Some(solver) => {
                let all =
                    sampling.images_at(Purpose::Gap, source.generator, &[solver.classes[0]], samples * past.len());
                let names = solver.classifier.predict(all[0].view());
                past.iter().map(|&class| all[0].select(Axis(0), &positions(&names, class))).collect()
            }
        };
        accuracies(past, &self.read(&images))
    }

    /// What the scoring classifier makes of images, class by class.
    fn read(&self, images: &[Array4<u8>]) -> Vec<Reading> {
        images.iter().map(|images| self.scorer.classifier().read(images.view())).collect()
    }

    fn card(&self, scored: &Scored) -> Card {
        self.scorer.card(&self.config, &scored.sampling, scored.samples)
    }
}

/// The accuracy of each class. One that a solver never names has no images, and is not recognised.
fn accuracies(classes: &[usize], readings: &[Reading]) -> Vec<(usize, f64)> {
    let pairs = classes.iter().zip(readings);
    pairs.map(|(&class, reading)| (class, class_accuracy(&reading.labels(), class).unwrap_or(0.0))).collect()
}

/// Where the images are that are named `class`.
fn positions(names: &[usize], class: usize) -> Vec<usize> {
    (0..names.len()).filter(|&i| names[i] == class).collect()
}
