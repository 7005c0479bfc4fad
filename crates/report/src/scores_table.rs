//! The scores of a task for a terminal.

use crate::table::{NONE, Table};
use mergan_record::metric::{METRICS, Metric};
use mergan_record::{Score, TaskScores};
use std::collections::BTreeSet;

/// Decimal places of a metric that is not in the list.
const DIGITS: usize = 4;

/// Formats the scores of one task for a terminal: a line per metric, a column per class and one for their mean.
///
/// `names` lists all classes of the dataset. Metrics over all classes at once have a value in the last column only. A
/// value with a warning is marked with `*`, and the first warning follows the table.
pub fn scores_table(scores: &TaskScores, names: &[String]) -> String {
    let scored = |class: &usize| scores.scores.iter().any(|row| row.class == Some(*class));
    let classes: Vec<_> = (0..names.len()).filter(scored).collect();
    let columns: Vec<_> = classes.iter().copied().map(Some).chain([None]).collect();
    let row = |key: &str, title: String, show: &dyn Fn(f64) -> String| {
        let found: Vec<_> = columns.iter().map(|&class| scores.get(key, class)).collect();
        let cell = |score: &Option<&Score>| match score {
            None => NONE.into(),
            Some(score) => show(score.value) + if score.warning.is_some() { "*" } else { "" },
        };
        let measured = found.iter().any(Option::is_some);
        measured.then(|| [title].into_iter().chain(found.iter().map(cell)).collect())
    };
    let known = METRICS.iter().filter_map(|metric| row(metric.key, metric.title(), &|value| metric.show(value)));
    // Distances on a network that the user supplied have names of their own.
    let keys: BTreeSet<&str> = scores.scores.iter().map(|row| row.score.metric.as_str()).collect();
    let others = keys.into_iter().filter(|key| Metric::of(key).is_none());
    let others = others.filter_map(|key| row(key, key.into(), &|value| format!("{value:.DIGITS$}")));
    let header = ["".into()].into_iter().chain(classes.iter().map(|&class| names[class].clone()));
    let table = Table { header: header.chain(["mean".into()]).collect(), rows: known.chain(others).collect() };
    let warning = scores.scores.iter().find_map(|row| row.score.warning.as_ref());
    table.text() + &warning.map_or(String::new(), |text| format!("\n* {text}\n"))
}
