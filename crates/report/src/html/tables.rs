//! Tables of the page: plain ones, and heat maps of accuracies.

use crate::comparison::Comparison;
use crate::table::Table;
use crate::{Run, paper};
use maud::{Markup, html};

/// The value above which the background of a heat map is so dark that its numbers are written in light ink.
const DEEP: f64 = 0.75;

/// Renders a table that also appears in the ledger.
pub(super) fn plain(table: &Table) -> Markup {
    html! {
        div.wide tabindex="0" {
            table {
                thead { tr { @for name in &table.header { th scope="col" { (name) } } } }
                tbody {
                    @for row in &table.rows {
                        tr {
                            th scope="row" { (row[0]) }
                            @for cell in &row[1..] { td { (cell) } }
                        }
                    }
                }
            }
        }
    }
}

/// Renders a score of each class (rows) after each task (columns), as fractions of 1, with the mean.
pub(super) fn matrix(run: &Run, metric: &str) -> Markup {
    let scores = &run.last().scores;
    let tasks = 1..=run.tasks.len();
    let row = |name: &str, class| {
        let values = tasks.clone().map(|task| run.score(task, metric, class));
        (name.to_owned(), values.collect())
    };
    let classes = scores.classes.iter().zip(&scores.class_names).map(|(&class, name)| row(name, Some(class)));
    let rows = classes.chain([row("mean", None)]).collect::<Vec<_>>();
    let header: Vec<_> = tasks.clone().map(|task| format!("task {task}")).collect();
    heat("class", &header, &rows)
}

/// Renders a score of each class (columns), as fractions of 1, after the last task of each strategy (rows), over its
/// seeds or class orders.
pub(super) fn final_classes(comparison: &Comparison, metric: &str) -> Markup {
    let classes = comparison.classes();
    let rows = comparison.groups.iter().map(|group| {
        let values = classes.iter().map(|&(class, _)| group.final_score(metric, class).map(|spread| spread.mean));
        (paper::label(group.strategy), values.collect())
    });
    let names: Vec<_> = classes.iter().map(|(_, name)| (*name).to_owned()).collect();
    heat("strategy", &names, &rows.collect::<Vec<_>>())
}

/// Renders numbers in percent on a background whose colour follows the value; unknown ones are blank.
fn heat(corner: &str, header: &[String], rows: &[(String, Vec<Option<f64>>)]) -> Markup {
    html! {
        div.wide tabindex="0" {
            table.heat {
                thead { tr { th scope="col" { (corner) } @for name in header { th scope="col" { (name) } } } }
                tbody {
                    @for (name, values) in rows {
                        tr {
                            th scope="row" { (name) }
                            @for value in values {
                                @if let Some(value) = value {
                                    td.strong[*value > DEEP] style=(format!("--value:{:.0}%", 100.0 * value)) {
                                        (format!("{:.1}", 100.0 * value))
                                    }
                                } @else {
                                    td {}
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
