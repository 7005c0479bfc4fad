//! The rows that hold scores: `scores.json` for each task of a run, `results.json` over many runs.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::metric::ACCURACY;
use crate::seal::{self, Seal};
use crate::{Card, Error, Layout};

/// One number and how it was measured.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Score {
    /// The metric's name, such as `accuracy`.
    pub metric: String,
    /// The metric's value; accuracies are fractions from 0 to 1.
    pub value: f64,
    /// Why the value is unreliable, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// The way in which it was measured.
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

/// The content of a run's `tasks/NN/scores.json`: every score measured after a task was trained.
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
    /// Reads the scores of a task (from 1) of a run.
    ///
    /// # Errors
    /// [`Error::Read`], or [`Error::Scores`] if the file is damaged, or if they belong to another task or the accuracy of
    /// a class is missing.
    pub fn read(run: &Layout, task: usize) -> Result<Self, Error> {
        TaskScores::read_checked(run, task).map(|(scores, _)| scores)
    }

    /// Does the same as [`read`](Self::read), and returns whether the file has a checksum. Those of earlier versions
    /// have none.
    ///
    /// # Errors
    /// The errors of [`read`](Self::read).
    pub fn read_checked(run: &Layout, task: usize) -> Result<(Self, bool), Error> {
        let path = run.scores(task);
        let text = fs::read_to_string(&path).map_err(Error::reading(&path))?;
        let seal = seal::check(&text, seal::JSON);
        if seal == Seal::Broken {
            return Err(Error::broken(path));
        }
        let parsed = serde_json::from_str(&text).map_err(|error| format!("no scores of a task ({error})"));
        let complete = parsed.and_then(|scores: Self| scores.require_complete(task).map(|()| scores));
        complete.map(|scores| (scores, seal == Seal::Holds)).map_err(|reason| Error::Scores { path, reason })
    }

    /// Checks that these are the complete scores of a task; the error says what is missing.
    fn require_complete(&self, task: usize) -> Result<(), String> {
        let (classes, names) = (self.classes.len(), self.class_names.len());
        if self.task != task {
            return Err(format!("the scores are of task {}, not {task}", self.task));
        }
        if classes == 0 || classes != names {
            return Err(format!("{classes} classes have {names} names"));
        }
        let mut rows = self.classes.iter().copied().map(Some).chain([None]);
        match rows.find(|&class| self.get(ACCURACY, class).is_none()) {
            None => Ok(()),
            Some(Some(class)) => Err(format!("the accuracy of class {class} is missing")),
            Some(None) => Err("the accuracy of the mean is missing".into()),
        }
    }

    /// Adds one metric: a row for each `(class, value)`, then a row for their mean.
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

    /// Attaches a warning that one score, of a class or of the mean, is unreliable.
    pub fn warn(&mut self, metric: &str, class: Option<usize>, warning: String) {
        let found = self.scores.iter_mut().find(|row| row.class == class && row.score.metric == metric);
        if let Some(row) = found {
            row.score.warning = Some(warning);
        }
    }

    /// Returns the score of a class, or of the mean over the classes (`None`), if it was measured.
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
    /// The classes in the order in which the run learned them; absent for the dataset's own order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Vec<usize>>,
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
            data: None,
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
        let row = ResultRow { strategy: "ra".into(), seed: 3, order: None, task: 2, score: scores().scores[2].clone() };
        let json = serde_json::to_value(&row).unwrap();
        assert_eq!(json["class"], serde_json::Value::Null);
        assert_eq!((json["metric"].as_str(), json["value"].as_f64()), (Some("accuracy"), Some(0.75)));
        assert_eq!(json["card"]["network"], "digit-mlp");
        assert!(json.get("warning").is_none() && json.get("order").is_none());
        assert_eq!(serde_json::from_value::<ResultRow>(json).unwrap(), row);

        let text = serde_json::to_string(&scores()).unwrap();
        assert_eq!(serde_json::from_str::<TaskScores>(&text).unwrap(), scores());
    }

    #[test]
    fn scores_that_are_read_are_complete() {
        let folder = tempfile::tempdir().unwrap();
        let run = Layout::new(folder.path());
        fs::create_dir_all(run.task(2)).unwrap();
        let read = |text: String| {
            fs::write(run.scores(2), text).unwrap();
            TaskScores::read(&run, 2)
        };
        let json = |scores: &TaskScores| serde_json::to_string(scores).unwrap();
        assert_eq!(read(json(&scores())).unwrap(), scores());

        let message = |text: String| {
            let message = read(text).unwrap_err().to_string();
            assert!(
                message.contains("scores.json: ") && message.contains("mergan evaluate --task T --save"),
                "{message}"
            );
            message
        };
        assert!(message("{".into()).contains("no scores of a task (EOF while parsing an object at line 1 column 1)"));
        assert!(message(json(&TaskScores { task: 3, ..scores() })).contains("of task 3, not 2"));
        assert!(message(json(&TaskScores { class_names: vec![], ..scores() })).contains("2 classes have 0 names"));
        let without = |class| TaskScores {
            scores: scores().scores.into_iter().filter(|row| row.class != class).collect(),
            ..scores()
        };
        assert!(message(json(&without(Some(2)))).contains("accuracy of class 2 is missing"));
        assert!(message(json(&without(None))).contains("accuracy of the mean is missing"));
    }
}
