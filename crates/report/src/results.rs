//! `results.json`: every number of every run, one object each.

use crate::Run;
use mergan_record::metric::{BUDGET, REPLAYED_IMAGES, Shown, shown_in};
use mergan_record::{ClassScore, ResultRow, Score};

/// Returns all scores of the runs, task by task, with the number of images that each task replayed and what its scores cost,
/// followed by each run's continual metrics.
///
/// The rows go into `results.json` unchanged. Continual metrics carry the card of the accuracies they are computed
/// from, and counts carry a card that names no network. Metrics that need more tasks than a run has are left out.
pub fn results(runs: &[Run]) -> Vec<ResultRow> {
    runs.iter().flat_map(rows).collect()
}

fn rows(run: &Run) -> Vec<ResultRow> {
    let (strategy, order) = (&run.config.strategy, run.config.order());
    let row = |task, score| ResultRow {
        strategy: strategy.clone(),
        seed: run.config.seed,
        order: order.map(<[usize]>::to_vec),
        task,
        score,
    };
    let measured = run.tasks.iter().flat_map(|task| {
        let count = |class, metric: &str, value| {
            let score = Score { metric: metric.into(), value, warning: None, card: task.card().of_count() };
            ClassScore { class, score }
        };
        let replayed = run.history.replayed(task.scores.task);
        let replayed = replayed.map(|(class, images)| count(Some(class), REPLAYED_IMAGES, images as f64));
        let budget =
            BUDGET.iter().filter_map(|metric| Some(count(None, metric, run.budget(task.scores.task, metric)?)));
        let scores = task.scores.scores.iter().cloned().chain(replayed).chain(budget);
        scores.map(|score| row(task.scores.task, score)).collect::<Vec<_>>()
    });
    let derived = shown_in(Shown::Continual).filter_map(|metric| {
        let value = run.continual(metric.key)?;
        let score = Score { metric: metric.key.into(), value, warning: None, card: run.card().clone() };
        Some(row(run.tasks.len(), ClassScore { class: None, score }))
    });
    measured.chain(derived).collect()
}
