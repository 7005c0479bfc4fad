//! The rows in which scores are kept: `scores.json` for each task of a run, `results.json` over many runs.

use crate::Card;
use serde::{Deserialize, Serialize};

/// The name of the metric that every scored task has: see [`class_accuracy`](crate::class_accuracy).
pub const ACCURACY: &str = "accuracy";

/// One number and how it was measured.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Score {
    /// The metric's name, such as `accuracy`.
    pub metric: String,
    /// The metric's value; accuracies are fractions from 0 to 1.
    pub value: f64,
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
        let row =
            |class, value| ClassScore { class, score: Score { metric: metric.into(), value, card: card.clone() } };
        let mean = values.iter().map(|(_, value)| value).sum::<f64>() / values.len() as f64;
        self.scores.extend(values.iter().map(|&(class, value)| row(Some(class), value)));
        self.scores.push(row(None, mean));
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
            sha256: "00".repeat(32),
            test_accuracy: 0.98,
            samples_per_class: 64,
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
    fn json_is_flat_and_reads_back() {
        let row = ResultRow { strategy: "ra".into(), seed: 3, task: 2, score: scores().scores[2].clone() };
        let json = serde_json::to_value(&row).unwrap();
        assert_eq!(json["class"], serde_json::Value::Null);
        assert_eq!((json["metric"].as_str(), json["value"].as_f64()), (Some("accuracy"), Some(0.75)));
        assert_eq!(json["card"]["network"], "digit-mlp");
        assert_eq!(serde_json::from_value::<ResultRow>(json).unwrap(), row);

        let text = serde_json::to_string(&scores()).unwrap();
        assert_eq!(serde_json::from_str::<TaskScores>(&text).unwrap(), scores());
    }
}
