//! How long scoring will take, measured on a few images.

use std::hint::black_box;
use std::time::Instant;

use mergan_datasets::TaskSequence;
use mergan_models::{Classifier, Conditions, FitOptions};
use mergan_strategies::{Config, EvaluationOptions, Purpose, Trainer};
use mergan_tensor::{Device, Random};

use super::is_milestone;

/// The seconds that the parts of scoring take.
struct Parts {
    /// To generate an image and recognise it.
    image: f64,
    /// To train a classifier on an image once.
    lesson: f64,
}

/// Returns the seconds that the measurements in each task take, those while it is learned and those after it. Sampling
/// until a solver has named enough images is not counted, nor are the embedding and the neighbours.
pub(crate) fn seconds(trainer: &Trainer) -> Vec<f64> {
    let shape = trainer.source().generator.config().image_shape();
    sums(trainer.config(), trainer.tasks(), shape, &Parts::measure(trainer, shape))
}

fn sums(config: &Config, tasks: &TaskSequence, shape: [usize; 3], parts: &Parts) -> Vec<f64> {
    let seen = |task: usize| tasks.classes_seen(task).len();
    let EvaluationOptions { samples, reverse_samples, gap_every, gap_samples, .. } = config.evaluation;
    let of_task = |task: usize| {
        let (past, learned) = (seen(task - 1), seen(task));
        let next = seen((task + 1).min(config.tasks)) - learned;
        let initial = if task == 1 { seen(config.tasks) } else { 0 };
        // Accuracy under both kinds of statistics, both sides of the replay audit, forward transfer.
        let scored = samples * (2 * learned + 2 * past + next + initial);
        let glances = config.iterations(task - 1).checked_div(gap_every).map_or(0, |intervals| 1 + intervals);
        let reverse = if is_milestone(task, config.tasks) && learned > 1 { reverse_samples.min(samples) } else { 0 };
        let lessons = reverse * learned * FitOptions::of_images(shape, reverse * learned).epochs;
        parts.image * (scored + glances * gap_samples * past) as f64 + parts.lesson * lessons as f64
    };
    (1..=config.tasks).map(of_task).collect()
}

impl Parts {
    fn measure(trainer: &Trainer, shape: [usize; 3]) -> Self {
        let (sampling, source) = (trainer.sampling(), trainer.source());
        let Config { seed, .. } = *trainer.config();
        let class = trainer.tasks().classes_seen(1)[0];
        let draw = || {
            let latents = sampling.latents(source.generator, Purpose::Evaluation, class, 0, sampling.batch);
            source.bytes(&latents, &Conditions::pure(&[class]))
        };
        let classes = source.generator.config().classes;
        let classifier = Classifier::new(shape, classes, Random::new(seed), Device::Cpu);
        let each = |began: Instant| began.elapsed().as_secs_f64() / sampling.batch as f64;
        // The first images wait for memory.
        let images = draw();
        let began = Instant::now();
        black_box(classifier.read(draw().view()));
        let image = each(began);
        let began = Instant::now();
        let options = FitOptions { epochs: 1, ..FitOptions::of_images(shape, sampling.batch) };
        let labels = vec![class; sampling.batch];
        black_box(Classifier::fit(images.view(), &labels, classes, options, Random::new(seed), |_| {}));
        Parts { image, lesson: each(began) }
    }
}

#[cfg(test)]
mod tests {
    use mergan_strategies::{Choice, Strategies};

    use super::*;

    #[test]
    fn every_measurement_is_counted() {
        let sums = |changes: &str, parts| {
            let choice = Choice {
                dataset: "shapes".into(),
                strategy: "sft".into(),
                preset: "smoke".into(),
                tasks: Some(3),
                changes: changes.parse().unwrap(),
                ..Choice::default()
            };
            let config = Config::resolve(&choice, &Strategies::built_in(), 10).unwrap();
            sums(&config, &config.task_sequence(10).unwrap(), [1, 32, 32], &parts)
        };
        let images = Parts { image: 1.0, lesson: 0.0 };
        // Both statistics, the audit, the next class, and after the first task the untrained generator.
        let scored = [2 + 1 + 3, 4 + 2 + 1, 6 + 4].map(|classes| f64::from(100 * classes));
        assert_eq!(sums("evaluation = { samples = 100, gap_every = 0 }", images), scored);
        let glances =
            sums("evaluation = { samples = 1, gap_every = 3, gap_samples = 10 }", Parts { image: 1.0, lesson: 0.0 });
        assert_eq!(glances, [6.0, 7.0 + 30.0, 10.0 + 60.0]);
        // The last task trains a classifier, for five epochs on so few images.
        let lessons = sums("evaluation = { samples = 100, reverse_samples = 40 }", Parts { image: 0.0, lesson: 1.0 });
        assert_eq!(lessons, [0.0, 0.0, 5.0 * 3.0 * 40.0]);
    }
}
