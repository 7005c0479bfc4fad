//! The answer at a glance: which strategy forgets.

use crate::comparison::{Comparison, percent};
use crate::ledger::counted;
use crate::paper;
use maud::{Markup, html};

/// Ranks the strategies by how much they have forgotten, the least first. Shows nothing while nothing can be
/// forgotten yet.
pub(super) fn verdict(comparison: &Comparison) -> Markup {
    let tasks = comparison.common_tasks();
    let rows = comparison.groups.iter().filter_map(|group| {
        let [kept, forgotten] = [group.accuracy(tasks, None)?, group.forgetting(tasks)?].map(percent);
        Some((paper::label(group.strategy), kept, forgotten))
    });
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by(|left, right| left.2.mean.total_cmp(&right.2.mean));
    if rows.is_empty() {
        return html! {};
    }
    html! {
        h3 { "Who forgets, after " (counted(tasks, "task")) }
        ul.verdict {
            @for (strategy, kept, forgotten) in &rows {
                li {
                    b { (strategy) }
                    span.bar aria-hidden="true" style=(format!("--value:{:.1}%", kept.mean)) {}
                    span { (format!("{:.1} % right", kept.mean)) }
                    span { (format!("{:.1} points forgotten", forgotten.mean)) }
                }
            }
        }
    }
}
