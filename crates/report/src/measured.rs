//! The metrics of `scores.json` as people read them.

use crate::table::{NONE, Table};
use mergan_metrics::{
    ACCURACY, COVERAGE, DENSITY, FID, FID_POOLED, FRECHET, FRECHET_CNN, FRECHET_CNN_POOLED, FRECHET_POOLED,
    INITIAL_ACCURACY, KID, NEXT_ACCURACY, PRECISION, RECALL, REPLAY_ACCURACY, REPLAY_CONFIDENCE, REPLAY_SHIFT,
    REVERSE_ACCURACY, STANDING_ACCURACY, Score, TaskScores,
};

/// A metric that is measured when a task is learned.
pub(crate) struct Measured<'n> {
    /// Its name in `scores.json` and `results.json`.
    pub key: &'n str,
    /// Its name in tables, with its unit.
    pub name: &'n str,
    /// The unit as a multiple of the value in JSON.
    pub scale: f64,
    /// Digits behind the point.
    pub digits: usize,
}

pub(crate) const MEASURED: [Measured<'static>; 19] = [
    Measured { key: ACCURACY, name: "accuracy, %", scale: 100.0, digits: 2 },
    Measured { key: STANDING_ACCURACY, name: "accuracy with standing statistics, %", scale: 100.0, digits: 2 },
    Measured { key: REVERSE_ACCURACY, name: "reverse accuracy, %", scale: 100.0, digits: 2 },
    Measured { key: FRECHET, name: "FD-mlp-1024-512-256-128", scale: 1.0, digits: 2 },
    Measured { key: FRECHET_POOLED, name: "FD-mlp-1024-512-256-128, all classes at once", scale: 1.0, digits: 2 },
    Measured { key: FRECHET_CNN, name: "FD-cnn", scale: 1.0, digits: 2 },
    Measured { key: FRECHET_CNN_POOLED, name: "FD-cnn, all classes at once", scale: 1.0, digits: 2 },
    Measured { key: FID, name: "FID", scale: 1.0, digits: 2 },
    Measured { key: FID_POOLED, name: "FID, all classes at once", scale: 1.0, digits: 2 },
    Measured { key: KID, name: "KID", scale: 1.0, digits: 5 },
    Measured { key: PRECISION, name: "precision, %", scale: 100.0, digits: 2 },
    Measured { key: RECALL, name: "recall, %", scale: 100.0, digits: 2 },
    Measured { key: DENSITY, name: "density", scale: 1.0, digits: 4 },
    Measured { key: COVERAGE, name: "coverage, %", scale: 100.0, digits: 2 },
    Measured { key: NEXT_ACCURACY, name: "accuracy before the class is learned, %", scale: 100.0, digits: 2 },
    Measured { key: INITIAL_ACCURACY, name: "accuracy of the untrained generator, %", scale: 100.0, digits: 2 },
    Measured { key: REPLAY_CONFIDENCE, name: "confidence in the past, %", scale: 100.0, digits: 2 },
    Measured { key: REPLAY_ACCURACY, name: "accuracy of the past, %", scale: 100.0, digits: 2 },
    Measured { key: REPLAY_SHIFT, name: "mean squared pixel difference from the past", scale: 1.0, digits: 4 },
];

impl Measured<'_> {
    /// The metric of this name in JSON.
    pub fn of(key: &str) -> &'static Measured<'static> {
        MEASURED.iter().find(|metric| metric.key == key).expect("the metrics of this crate are in its list")
    }

    /// A value of JSON as tables show it.
    pub fn show(&self, value: f64) -> String {
        format!("{:.*}", self.digits, self.scale * value)
    }
}

/// The scores of one task for a terminal: a line for each metric, a column for each class and one for their mean.
///
/// `names` are those of all classes of the dataset. Metrics of all classes at once have a value in the last column only;
/// a value with a warning carries a `*`, and the first warning follows.
pub fn scores_table(scores: &TaskScores, names: &[String]) -> String {
    let scored = |class: &usize| scores.scores.iter().any(|row| row.class == Some(*class));
    let classes: Vec<_> = (0..names.len()).filter(scored).collect();
    let columns: Vec<_> = classes.iter().copied().map(Some).chain([None]).collect();
    // Distances of a network that somebody brought have names of their own.
    let mut others: Vec<&str> = scores.scores.iter().map(|row| row.score.metric.as_str()).collect();
    others.retain(|key| MEASURED.iter().all(|metric| metric.key != *key));
    others.sort_unstable();
    others.dedup();
    let others: Vec<_> = others.into_iter().map(|key| Measured { key, name: key, scale: 1.0, digits: 4 }).collect();
    let row = |metric: &Measured| {
        let found: Vec<_> = columns.iter().map(|&class| scores.get(metric.key, class)).collect();
        let cell = |score: &Option<&Score>| match score {
            None => NONE.into(),
            Some(score) => metric.show(score.value) + if score.warning.is_some() { "*" } else { "" },
        };
        let measured = found.iter().any(Option::is_some);
        measured.then(|| [metric.name.into()].into_iter().chain(found.iter().map(cell)).collect())
    };
    let header = ["".into()].into_iter().chain(classes.iter().map(|&class| names[class].clone()));
    let table = Table {
        header: header.chain(["mean".into()]).collect(),
        rows: MEASURED.iter().chain(&others).filter_map(row).collect(),
    };
    let warning = scores.scores.iter().find_map(|row| row.score.warning.as_ref());
    table.text() + &warning.map_or(String::new(), |text| format!("\n* {text}\n"))
}
