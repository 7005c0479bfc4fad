//! Tables of text cells, for Markdown, terminals and the page.

use crate::Run;
use crate::comparison::{Comparison, Group, Over, Pairs, show};
use crate::paper;
use mergan_metrics::Spread;
use mergan_record::metric::{
    ACCURACY, BUDGET, Column, KEPT_BYTES, METRICS, Metric, Shown, TRAINING_SECONDS, frechet_metrics, shown_in,
};

/// A header and rows of the same number of cells. The first column is text, the others are numbers.
pub(crate) struct Table {
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// The first cells of the row of real images. What is known of them is of all classes of the dataset at once.
const REAL: [&str; 2] = ["real images", "all classes"];

/// The text of a cell without a number.
pub(crate) const NONE: &str = "–";

impl Table {
    /// Tabulates our average accuracy beside the paper's, including numbers of the paper that were not run if
    /// `not_run` is set.
    pub fn beside_paper(comparison: &Comparison, not_run: bool) -> Self {
        let units = comparison.over.many();
        let header = ["strategy", "tasks", "ours, %", "paper, %", "difference", "kept", units, "preset", "verdict"];
        let preset = &comparison.first().config.preset;
        let rows = comparison.beside_paper().into_iter().filter(|row| not_run || row.ours.is_some()).map(|row| {
            vec![
                paper::label(row.strategy),
                row.tasks.to_string(),
                row.ours.map_or("not run".into(), |ours| format!("{ours:.2}")),
                row.paper.map_or(NONE.into(), |paper| format!("{paper:.2}")),
                row.difference().map_or(NONE.into(), |difference| format!("{difference:+.2}")),
                row.kept.map_or(NONE.into(), size),
                row.ours.map_or(NONE.into(), |ours| ours.count.to_string()),
                row.ours.map_or(NONE.into(), |_| preset.clone()),
                row.verdict().show(units),
            ]
        });
        let mut real = vec![NONE.to_owned(); header.len()];
        real[..2].clone_from_slice(&REAL.map(String::from));
        let real = comparison.real_accuracy().map(|accuracy| {
            real[2] = accuracy;
            real
        });
        Self { header: header.map(String::from).into(), rows: real.into_iter().chain(rows).collect() }
    }

    /// Tabulates the quality of the generated images, after as many tasks as the paper measured and after the last
    /// one, below what is known of real images.
    pub fn measured(comparison: &Comparison) -> Self {
        let of_scorer = frechet_metrics(&comparison.first().card().network);
        let stands = |metric: &Metric, shown: &Shown| match shown {
            Shown::Images(Column::Always) => true,
            Shown::Images(Column::OfScorer) => of_scorer.contains(&metric.key),
            Shown::Images(Column::Measured) => comparison.has(metric.key),
            _ => false,
        };
        let metrics = METRICS.iter().filter(|metric| metric.shown.iter().any(|shown| stands(metric, shown)));
        let metrics: Vec<_> = metrics.collect();
        let mut table = Self::of_means(comparison, comparison.task_counts(), metrics.iter().copied());
        if let Some(accuracy) = comparison.real_accuracy() {
            let cell = |metric: &&Metric| if metric.key == ACCURACY { accuracy.clone() } else { NONE.into() };
            table.rows.insert(0, REAL.map(String::from).into_iter().chain(metrics.iter().map(cell)).collect());
        }
        table
    }

    /// Tabulates what the scores of [`measured`](Self::measured) cost: work, and what is kept from a task to the next.
    pub fn budget(comparison: &Comparison) -> Self {
        let metrics = BUDGET.iter().filter_map(|key| Metric::of(key));
        let show = |metric: &Metric, value| match metric.key {
            TRAINING_SECONDS => duration(value),
            KEPT_BYTES => size(value),
            _ => metric.show(value),
        };
        let row = |tasks: usize, group: &Group| {
            let costs: Vec<_> =
                metrics.clone().map(|metric| Some(show(metric, group.budget(tasks, metric.key)?))).collect();
            let first = [paper::label(group.strategy), tasks.to_string()];
            let cells = costs.iter().map(|cost| cost.clone().unwrap_or(NONE.into()));
            costs.iter().any(Option::is_some).then(|| first.into_iter().chain(cells).collect())
        };
        let rows = comparison.task_counts();
        let rows = rows.flat_map(|tasks| comparison.groups.iter().filter_map(move |group| row(tasks, group)));
        let titles = metrics.clone().map(|metric| match metric.key {
            TRAINING_SECONDS => "training".into(),
            KEPT_BYTES => "kept in all".into(),
            _ => metric.title(),
        });
        Self {
            header: ["strategy", "tasks"].map(String::from).into_iter().chain(titles).collect(),
            rows: rows.collect(),
        }
    }

    /// Reproduces the paper's Table 2.
    pub fn paper_lsun() -> Self {
        let names = paper::TABLE_2.iter().map(|(name, _)| name.to_string());
        let row = |(column, strategy): (usize, &str)| {
            let numbers = paper::TABLE_2.iter().map(|(_, numbers)| format!("{:.2}", numbers[column]));
            [paper::label(strategy)].into_iter().chain(numbers).collect()
        };
        let rows = paper::strategies_of_table_2().enumerate().map(row).collect();
        Self { header: ["strategy".to_owned()].into_iter().chain(names).collect(), rows }
    }

    /// Tabulates the replay audit after each task but the first, as means over the past classes.
    pub fn audit(comparison: &Comparison) -> Self {
        Self::of_means(comparison, 2..=comparison.tasks(), shown_in(Shown::Audit))
    }

    /// Tabulates how many images of each class (rows) a run replayed in each task but the first (columns).
    pub fn replayed(run: &Run) -> Self {
        let tasks = 2..=run.tasks.len();
        let header = ["class".to_owned()].into_iter().chain(tasks.clone().map(|task| format!("task {task}")));
        let scores = &run.last().scores;
        let count = |task, class| run.history.replayed(task).find(|&(known, _)| known == class);
        let rows = scores.classes.iter().zip(&scores.class_names).map(|(&class, name)| {
            let cells =
                tasks.clone().map(|task| count(task, class).map_or(NONE.into(), |(_, count)| count.to_string()));
            [name.clone()].into_iter().chain(cells).collect::<Vec<_>>()
        });
        let rows = rows.filter(|row| row[1..].iter().any(|cell| cell != NONE)).collect();
        Self { header: header.collect(), rows }
    }

    /// Tabulates means over the classes, with a row for every strategy after each of `tasks` for which there are any.
    fn of_means(
        comparison: &Comparison,
        tasks: impl Iterator<Item = usize>,
        metrics: impl Iterator<Item = &'static Metric>,
    ) -> Self {
        let metrics: Vec<_> = metrics.collect();
        let row = |tasks: usize, group: &Group| {
            let spreads: Vec<_> = metrics.iter().map(|metric| group.score(tasks, metric.key, None)).collect();
            let cell = |(metric, spread): (&&Metric, &Option<Spread>)| {
                spread.map_or(NONE.into(), |spread| show(metric, spread))
            };
            let cells = metrics.iter().zip(&spreads).map(cell);
            let measured = spreads.iter().any(Option::is_some);
            measured.then(|| [paper::label(group.strategy), tasks.to_string()].into_iter().chain(cells).collect())
        };
        let rows =
            tasks.flat_map(|tasks| comparison.groups.iter().filter_map(|group| row(tasks, group)).collect::<Vec<_>>());
        let header = ["strategy", "tasks"].map(String::from).into_iter();
        Self { header: header.chain(metrics.iter().map(|metric| metric.title())).collect(), rows: rows.collect() }
    }

    /// Tabulates every two strategies over the seeds or the class orders that both have.
    pub fn paired(pairs: &Pairs, over: Over) -> Self {
        let header = [
            "difference",
            over.many(),
            "mean, points",
            "standard deviation",
            "95 % interval",
            "ahead in",
            "p",
            "p, Holm",
            "told apart",
        ];
        let rows = pairs.compared.iter().map(|pair| {
            let paired = &pair.paired;
            let seeds = paired.differences.len();
            let (low, high) = paired.interval();
            vec![
                format!("{} minus {}", paper::label(pair.first), paper::label(pair.second)),
                seeds.to_string(),
                format!("{:+.2}", paired.mean),
                format!("{:.2}", paired.deviation),
                format!("{low:+.2} to {high:+.2}"),
                format!("{} of {seeds}", paired.ahead()),
                probability(paired.p_value()),
                probability(pair.corrected),
                if pair.is_told_apart() { "yes" } else { "no" }.into(),
            ]
        });
        Self { header: header.map(String::from).into(), rows: rows.collect() }
    }

    /// Tabulates the continual metrics of each strategy after its last task.
    pub fn continual(comparison: &Comparison) -> Self {
        let metrics = || shown_in(Shown::Continual);
        let header = ["strategy", "runs"].map(String::from).into_iter().chain(metrics().map(Metric::title));
        let rows = comparison.groups.iter().map(|group| {
            let values =
                metrics().map(|metric| group.continual(metric.key).map_or(NONE.into(), |spread| show(metric, spread)));
            [paper::label(group.strategy), group.runs.len().to_string()].into_iter().chain(values).collect()
        });
        Self { header: header.collect(), rows: rows.collect() }
    }

    /// Tabulates the training time of each strategy, task by task and in total.
    pub fn wall_time(comparison: &Comparison) -> Self {
        let tasks = 1..=comparison.tasks();
        let header = ["strategy".to_owned(), "all tasks".to_owned()].into_iter();
        let rows = comparison.groups.iter().map(|group| {
            let seconds = [group.seconds()].into_iter().chain(tasks.clone().map(|task| group.task_seconds(task)));
            let cells = seconds.map(|seconds| seconds.map_or(NONE.into(), duration));
            [paper::label(group.strategy)].into_iter().chain(cells).collect()
        });
        let rows = rows.collect();
        Self { header: header.chain(tasks.map(|task| format!("task {task}"))).collect(), rows }
    }

    /// Leaves out the columns without a number.
    pub fn compact(self) -> Self {
        let kept: Vec<bool> =
            (0..self.header.len()).map(|column| self.rows.iter().any(|row| row[column] != NONE)).collect();
        let keep =
            |row: Vec<String>| row.into_iter().zip(&kept).filter(|(_, kept)| **kept).map(|(cell, _)| cell).collect();
        Self { header: keep(self.header), rows: self.rows.into_iter().map(keep).collect() }
    }

    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| {
            format!("| {} |\n", cells.iter().map(|cell| escape(cell)).collect::<Vec<_>>().join(" | "))
        };
        let rule = format!("|---{}|\n", "|---:".repeat(self.header.len() - 1));
        line(&self.header) + &rule + &self.rows.iter().map(|row| line(row)).collect::<String>()
    }

    /// Formats aligned columns for a terminal. A header is broken between words where that makes its column narrower; the
    /// first column is not.
    pub fn text(&self) -> String {
        let cells = |column: usize| self.rows.iter().map(move |row| length(&row[column])).max().unwrap_or(0);
        let headers = self.header.iter().enumerate().map(|(column, header)| match column {
            0 => vec![header.clone()],
            _ => broken(header, cells(column).max(NARROW)),
        });
        let headers: Vec<Vec<String>> = headers.collect();
        let height = headers.iter().map(Vec::len).max().unwrap_or(0);
        let line_of_header = |line: usize| -> Vec<String> {
            let above = |header: &Vec<String>| height - header.len();
            headers
                .iter()
                .map(|header| line.checked_sub(above(header)).map_or_else(String::new, |line| header[line].clone()))
                .collect()
        };
        let lines: Vec<Vec<String>> = (0..height).map(line_of_header).chain(self.rows.iter().cloned()).collect();
        let width = |column: usize| lines.iter().map(|row| length(&row[column])).max().unwrap_or(0);
        let widths: Vec<_> = (0..self.header.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
                if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
        };
        lines.iter().map(line).collect()
    }
}

/// The width up to which the header of a column in a terminal is not broken.
const NARROW: usize = 16;

/// Returns how many characters a text has.
fn length(text: &str) -> usize {
    text.chars().count()
}

/// Breaks a text between words into lines of at most `width` characters, or of as many as its longest word has.
fn broken(text: &str, width: usize) -> Vec<String> {
    let width = text.split(' ').map(length).max().unwrap_or(0).max(width);
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is a line");
        if line.is_empty() {
            *line += word;
        } else if length(line) + 1 + length(word) <= width {
            *line += " ";
            *line += word;
        } else {
            lines.push(word.into());
        }
    }
    lines
}

/// Escapes a text so that it cannot end its cell, or its line, in Markdown.
pub(crate) fn escape(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

/// Formats a probability, as in `0.0412` or `< 0.0001`.
fn probability(p: f64) -> String {
    if p < 1e-4 { "< 0.0001".into() } else { format!("{p:.4}") }
}

/// Formats a size, as in `12.0 kB` or `1.6 MB`.
fn size(bytes: f64) -> String {
    match bytes {
        ..1e6 => format!("{:.1} kB", bytes / 1e3),
        ..1e9 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.1} GB", bytes / 1e9),
    }
}

/// Formats a duration, as in `42 s`, `3 min 05 s` or `2 h 07 min`.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        assert_eq!([90.0, 12_030.0, 1.55e6, 2e9].map(size), ["0.1 kB", "12.0 kB", "1.6 MB", "2.0 GB"]);
    }

    #[test]
    fn probabilities_read_well() {
        assert_eq!(
            [1.0, 0.04123, 1e-4, 9e-5, 0.0].map(probability),
            ["1.0000", "0.0412", "0.0001", "< 0.0001", "< 0.0001"]
        );
    }

    #[test]
    fn durations_read_well() {
        let shown = [0.25, 42.0, 59.7, 185.2, 7620.0].map(duration);
        assert_eq!(shown, ["0.2 s", "42.0 s", "1 min 00 s", "3 min 05 s", "2 h 07 min"]);
    }

    #[test]
    fn cells_stay_in_their_columns() {
        let table = Table {
            header: vec!["name".into(), "n".into()],
            rows: vec![vec!["a|b\nc".into(), "100".into()], vec!["é".into(), "1".into()]],
        };
        assert_eq!(table.markdown(), "| name | n |\n|---|---:|\n| a\\|b c | 100 |\n| é | 1 |\n");
        let text = Table { rows: vec![vec!["é".into(), "100".into()]], ..table }.text();
        assert_eq!(text, "name    n\né     100\n");
    }

    #[test]
    fn headers_are_broken_where_that_makes_a_column_narrower() {
        let table = Table {
            header: ["after 2 tasks", "distance, all classes at once", "a count, %"].map(String::from).into(),
            rows: vec![["a", "12.34 ± 0.56", "100"].map(String::from).into()],
        };
        let expected = "                 distance, all\n\
                        after 2 tasks  classes at once  a count, %\n\
                        a                 12.34 ± 0.56         100\n";
        assert_eq!(table.text(), expected);
    }
}
