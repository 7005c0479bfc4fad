//! Compares runs side by side, one column each, after as many tasks as all of them have finished.

use crate::comparison::{require_comparable, require_same_classes};
use crate::table::{NONE, Table};
use crate::{Error, Run, paper, results};
use mergan_record::ResultRow;
use mergan_record::metric::{ACCURACY, AVERAGE_ACCURACY, BUDGET, METRICS, Metric, Shown, shown_in};
use serde::Serialize;

/// A number of a run, as `mergan compare --json` prints it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparedRow {
    /// The run directory.
    pub run: String,
    /// The number.
    #[serde(flatten)]
    pub row: ResultRow,
}

/// Formats the runs as a table for a terminal: one column per run, one line per metric.
///
/// # Errors
///
/// [`Error::NoRuns`], or [`Error::Incomparable`] if two runs were not measured alike.
pub fn compare(runs: &[Run]) -> Result<String, Error> {
    let runs = alike(runs)?;
    let tasks = runs[0].tasks.len();
    let line = |name: String, cell: &dyn Fn(&Run) -> Option<String>| {
        let cells: Vec<_> = runs.iter().map(cell).collect();
        let row = [name].into_iter().chain(cells.iter().map(|cell| cell.clone().unwrap_or(NONE.into())));
        cells.iter().any(Option::is_some).then(|| row.collect::<Vec<_>>())
    };
    let scores = &runs[0].last().scores;
    let mut lines = vec![
        line("strategy".into(), &|run| Some(paper::label(&run.config.strategy))),
        line("seed".into(), &|run| Some(run.config.seed.to_string())),
    ];
    for metric in METRICS {
        let show = |run: &Run, class| Some(metric.show(run.score(tasks, metric.key, class)?));
        lines.push(line(metric.title(), &|run| show(run, None)));
        if metric.key == ACCURACY {
            lines.push(line("accuracy of real images of all classes, %".into(), &|run| {
                Some(metric.show(run.card().test_accuracy?))
            }));
            for (&class, name) in scores.classes.iter().zip(&scores.class_names) {
                lines.push(line(format!("  {name}"), &|run| show(run, Some(class))));
            }
        }
    }
    // The table already has the average accuracy.
    for metric in shown_in(Shown::Continual).filter(|metric| metric.key != AVERAGE_ACCURACY) {
        lines.push(line(metric.title(), &|run| Some(metric.show(run.continual(metric.key)?))));
    }
    for metric in BUDGET.iter().filter_map(|key| Metric::of(key)) {
        lines.push(line(metric.title(), &|run| Some(metric.show(run.budget(tasks, metric.key)?))));
    }

    let after = format!("after {tasks} task{}", if tasks == 1 { "" } else { "s" });
    let header = [after].into_iter().chain(runs.iter().map(|run| run.dir.display().to_string())).collect();
    Ok(Table { header, rows: lines.into_iter().flatten().collect() }.text())
}

/// Returns the numbers of [`compare`] with their cards, run by run.
///
/// # Errors
///
/// The errors of [`compare`].
pub fn compared_rows(runs: &[Run]) -> Result<Vec<ComparedRow>, Error> {
    let runs = alike(runs)?;
    let rows = runs.iter().flat_map(|run| {
        let rows = results(std::slice::from_ref(run)).into_iter().filter(|row| row.task == run.tasks.len());
        rows.map(|row| ComparedRow { run: run.dir.display().to_string(), row })
    });
    Ok(rows.collect())
}

/// Returns the runs as of the last task that all have finished, provided that they were measured alike.
fn alike(runs: &[Run]) -> Result<Vec<Run>, Error> {
    require_comparable(runs)?;
    require_same_classes(runs.iter())?;
    let tasks = runs.iter().map(|run| run.tasks.len()).min().unwrap_or(0);
    Ok(runs.iter().map(|run| run.after(tasks)).collect())
}
