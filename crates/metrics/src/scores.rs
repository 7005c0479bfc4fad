//! The rows in which scores are kept: `scores.json` for each task of a run, `results.json` over many runs.

use crate::Card;
use serde::{Deserialize, Serialize};

/// The share of generated images that are recognised as the class asked for, which every scored task has: see
/// [`class_accuracy`](crate::class_accuracy).
pub const ACCURACY: &str = "accuracy";
/// The accuracy where standing statistics normalise the images, so that each is made by itself, as a generator is shipped.
pub const STANDING_ACCURACY: &str = "standing_accuracy";
/// The accuracy on the classes of the next task, before they are learned. With `new_classes = "mean"`, as in the preset
/// `quick`, their parameters already are the mean of the learned ones: part of it is that start.
pub const NEXT_ACCURACY: &str = "next_accuracy";
/// The accuracy of the untrained generator on the classes of all tasks.
pub const INITIAL_ACCURACY: &str = "initial_accuracy";
/// The share of real test images that a classifier recognises which was trained on generated images alone. It finds
/// what the accuracy cannot: a generator that makes a few good images over and over.
pub const REVERSE_ACCURACY: &str = "reverse_accuracy";
/// The [Frechet distance](crate::frechet_distance) of each class on the features of the classifier that scores. It is no
/// FID, whose features are Inception's.
pub const FRECHET: &str = "fd_mlp";
/// The same distance over all learned classes at once.
pub const FRECHET_POOLED: &str = "fd_mlp_pooled";
/// [`FRECHET`] where the classifier that scores has convolutions.
pub const FRECHET_CNN: &str = "fd_cnn";
/// [`FRECHET_POOLED`] where the classifier that scores has convolutions.
pub const FRECHET_CNN_POOLED: &str = "fd_cnn_pooled";
/// The Frechet distance of each class on the features of the network that FID is defined by; the paper's FID of LSUN is
/// their mean.
pub const FID: &str = "fid";
/// The same distance over all learned classes at once.
pub const FID_POOLED: &str = "fid_pooled";
/// The [kernel distance](crate::kernel_distance) of each class on the same features, over subsets.
pub const KID: &str = "kid";
/// [Precision](crate::Neighbourhoods::precision) on the same features.
pub const PRECISION: &str = "precision";
/// [Recall](crate::Neighbourhoods::recall) on the same features.
pub const RECALL: &str = "recall";
/// [Density](crate::Neighbourhoods::density) on the same features.
pub const DENSITY: &str = "density";
/// [Coverage](crate::Neighbourhoods::coverage) on the same features.
pub const COVERAGE: &str = "coverage";
/// How many images of a class were replayed in a task.
pub const REPLAYED_IMAGES: &str = "replayed_images";
/// Of the previous task's generator, from which the past was replayed: the mean probability that the classifier gives
/// the class asked for.
pub const REPLAY_CONFIDENCE: &str = "replay_confidence";
/// Of the previous task's generator: its accuracy.
pub const REPLAY_ACCURACY: &str = "replay_accuracy";
/// How far the generator moved in a task: the mean squared difference of the pixels, from -1 to 1, of its images and the
/// previous task's generator's at the same latents.
pub const REPLAY_SHIFT: &str = "replay_shift";

/// The metrics of the Frechet distance on the features of the network that a card names: of classes, and over all at once.
pub fn frechet_metrics(network: &str) -> [&'static str; 2] {
    if network.starts_with("cnn") { [FRECHET_CNN, FRECHET_CNN_POOLED] } else { [FRECHET, FRECHET_POOLED] }
}

/// One number and how it was measured.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Score {
    /// The metric's name, such as `accuracy`.
    pub metric: String,
    /// The metric's value; accuracies are fractions from 0 to 1.
    pub value: f64,
    /// Why the value is not to be relied on, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// How it was measured.
    pub card: Card,
}

/// A score of one class, or the mean over the classes learned so far.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ClassScore {
    /// The class, or `None` (`null` in JSON) for the mean over the learned classes.
    pub class: Option<usize>,
    /// The number, in the same JSON object.
    #[serde(flatten)]
    pub score: Score,
}

/// The content of a run's `tasks/NN/scores.json`: every score measured when a task had been trained.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TaskScores {
    /// The number of tasks learned so far, from 1.
    pub task: usize,
    /// The classes learned so far, in the order they were learned.
    pub classes: Vec<usize>,
    /// Their names, in the same order.
    pub class_names: Vec<String>,
    /// The scores.
    pub scores: Vec<ClassScore>,
}

impl TaskScores {
    /// Adds one metric: a row for each `(class, value)`, then the row of their mean.
    ///
    /// Without values nothing is added.
    pub fn record(&mut self, metric: &str, values: &[(usize, f64)], card: &Card) {
        if values.is_empty() {
            return;
        }
        let mean = values.iter().map(|(_, value)| value).sum::<f64>() / values.len() as f64;
        let classes = values.iter().map(|&(class, value)| (Some(class), value));
        self.scores.extend(classes.chain([(None, mean)]).map(|(class, value)| {
            let score = Score { metric: metric.into(), value, warning: None, card: card.clone() };
            ClassScore { class, score }
        }));
    }

    /// Says of one score, of a class or of the mean, why it is not to be relied on.
    pub fn warn(&mut self, metric: &str, class: Option<usize>, warning: String) {
        let found = self.scores.iter_mut().find(|row| row.class == class && row.score.metric == metric);
        if let Some(row) = found {
            row.score.warning = Some(warning);
        }
    }

    /// The score of a class, or of the mean over the classes (`None`), where it was measured.
    pub fn get(&self, metric: &str, class: Option<usize>) -> Option<&Score> {
        let found = self.scores.iter().find(|row| row.class == class && row.score.metric == metric);
        found.map(|row| &row.score)
    }
}

/// One object of `results.json`: a number, and the run it belongs to.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ResultRow {
    /// The strategy's name, such as `ra`.
    pub strategy: String,
    /// The seed of the run.
    pub seed: u64,
    /// The number of tasks learned so far, from 1.
    pub task: usize,
    /// The class and its score, in the same JSON object.
    #[serde(flatten)]
    pub score: ClassScore,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> Card {
        Card {
            network: "digit-mlp".into(),
            sha256: Some("00".repeat(32)),
            test_accuracy: Some(0.98),
            samples_per_class: Some(64),
            real_images: None,
            resize: None,
            estimator: None,
            statistics: "batch of 64".into(),
            grouping: "pure".into(),
            preset: "smoke".into(),
            seed: 3,
            commit: None,
        }
    }

    fn scores() -> TaskScores {
        let names = vec!["four".into(), "two".into()];
        let mut scores = TaskScores { task: 2, classes: vec![4, 2], class_names: names, scores: vec![] };
        scores.record(ACCURACY, &[(4, 0.5), (2, 1.0)], &card());
        scores
    }

    #[test]
    fn records_each_class_and_the_mean() {
        let value = |class| scores().get(ACCURACY, class).map(|score| score.value);
        assert_eq!(
            [value(Some(4)), value(Some(2)), value(None), value(Some(9))],
            [Some(0.5), Some(1.0), Some(0.75), None]
        );
    }

    #[test]
    fn a_warning_stays_with_its_score() {
        let mut scores = scores();
        scores.warn(ACCURACY, Some(2), "two samples".into());
        let warning = |class| scores.get(ACCURACY, class).unwrap().warning.as_deref();
        assert_eq!([warning(Some(4)), warning(Some(2)), warning(None)], [None, Some("two samples"), None]);
        let json = serde_json::to_string(&scores).unwrap();
        assert_eq!(serde_json::from_str::<TaskScores>(&json).unwrap(), scores);
    }

    #[test]
    fn json_is_flat_and_reads_back() {
        let row = ResultRow { strategy: "ra".into(), seed: 3, task: 2, score: scores().scores[2].clone() };
        let json = serde_json::to_value(&row).unwrap();
        assert_eq!(json["class"], serde_json::Value::Null);
        assert_eq!((json["metric"].as_str(), json["value"].as_f64()), (Some("accuracy"), Some(0.75)));
        assert_eq!(json["card"]["network"], "digit-mlp");
        assert!(json.get("warning").is_none());
        assert_eq!(serde_json::from_value::<ResultRow>(json).unwrap(), row);

        let text = serde_json::to_string(&scores()).unwrap();
        assert_eq!(serde_json::from_str::<TaskScores>(&text).unwrap(), scores());
    }
}
