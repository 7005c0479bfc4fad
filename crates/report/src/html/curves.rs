//! Curves of percentages over tasks or iterations, one colour per strategy: the mean over its seeds, in a band of one
//! standard deviation to either side.

use super::charts::{Drawn, INK, Plane, draw_marks, legend, percent_plane, series, svg};
use crate::comparison::{Comparison, Group, percent};
use crate::{Error, Run};
use maud::{Markup, html};
use mergan_metrics::Spread;
use plotters::prelude::*;
use std::collections::BTreeMap;

/// Points of one strategy, in percent; a strategy may have several lines.
type Line = Vec<(f64, Spread)>;

/// One share of each run.
type Shares<'r> = Vec<(&'r Run, f64)>;

/// The width and height of a chart of percentages.
const SIZE: (u32, u32) = (520, 310);

/// The contents of a chart.
struct Chart<'c, 'r> {
    comparison: &'c Comparison<'r>,
    /// The description for readers who cannot see the chart.
    what: &'static str,
    over: &'static str,
    /// The lines of each strategy.
    lines: Vec<Vec<Line>>,
    /// The positions of vertical lines.
    rules: Vec<f64>,
    /// Whether every point has a mark, or only the last of each line.
    marks_all: bool,
}

/// Draws the average accuracy over the learned classes after each task.
pub(super) fn accuracy(comparison: &Comparison) -> Result<Markup, Error> {
    let point = |group: &Group, task| group.accuracy(task, None).map(percent);
    over_tasks(comparison, "average accuracy after each task", 1, point)
}

/// Draws how far the classes have fallen from their best, on average, after each task. Returns `None` while nothing
/// can be forgotten yet.
pub(super) fn forgetting(comparison: &Comparison) -> Result<Option<Markup>, Error> {
    if comparison.tasks() < 2 {
        return Ok(None);
    }
    let point = |group: &Group, task| group.forgetting(task).map(percent);
    over_tasks(comparison, "forgetting after each task", 2, point).map(Some)
}

/// Draws the accuracy on past classes while later tasks are learned. Returns `None` if it was not recorded.
pub(super) fn past_accuracy(comparison: &Comparison) -> Result<Option<Markup>, Error> {
    let lines: Vec<Vec<Line>> = comparison.groups.iter().map(past_lines).collect();
    if lines.iter().flatten().next().is_none() {
        return Ok(None);
    }
    let starts = comparison.runs().map(|run| run.history.task_starts());
    let starts = starts.max_by_key(BTreeMap::len).unwrap_or_default();
    let rules = starts.into_values().skip(1).map(|start| start as f64).collect();
    let (what, over) = ("accuracy on past classes against the iteration", "iterations of all tasks");
    Chart { comparison, what, over, lines, rules, marks_all: false }.draw().map(Some)
}

/// Returns one line per task, because the set of past classes changes with each.
fn past_lines(group: &Group) -> Vec<Line> {
    let mut tasks: BTreeMap<usize, BTreeMap<u64, Shares>> = BTreeMap::new();
    for &run in &group.runs {
        for (task, points) in run.history.past_accuracy().into_iter().enumerate() {
            for (iteration, share) in points {
                tasks.entry(task).or_default().entry(iteration as u64).or_default().push((run, share));
            }
        }
    }
    let point = |(iteration, shares): (u64, Shares)| Some((iteration as f64, percent(group.spread_of(shares)?)));
    tasks.into_values().map(|points| points.into_iter().filter_map(point).collect()).collect()
}

fn over_tasks(
    comparison: &Comparison,
    what: &'static str,
    first: usize,
    point: impl Fn(&Group, usize) -> Option<Spread>,
) -> Result<Markup, Error> {
    let tasks = first..=comparison.tasks();
    let line = |group: &Group| tasks.clone().filter_map(|task| Some((task as f64, point(group, task)?))).collect();
    let lines = comparison.groups.iter().map(|group| vec![line(group)]).collect();
    Chart { comparison, what, over: "tasks learned", lines, rules: Vec::new(), marks_all: true }.draw()
}

impl Chart<'_, '_> {
    fn draw(&self) -> Result<Markup, Error> {
        let points = || self.lines.iter().flatten().flatten();
        let [begin, end] =
            points().fold([f64::INFINITY, 0.0], |[begin, end], point| [begin.min(point.0), end.max(point.0)]);
        let low = points().fold(0.0, |low: f64, point| low.min(point.1.mean));
        // A chart over tasks needs extra space for the marks at its ends.
        let (range, labels) = match self.marks_all {
            true => (begin - 0.2..end.max(begin + 1.0) + 0.2, (end - begin + 1.0).min(12.0) as usize),
            false => (begin..end.max(begin + 1.0), 6),
        };
        let label = |x: &f64| match self.marks_all && x.fract() != 0.0 {
            true => String::new(),
            false => format!("{x:.0}"),
        };
        let chart = svg(self.what, SIZE, |root| {
            let mut chart = percent_plane(root, range, low, self.over, labels, &label)?;
            for &rule in &self.rules {
                chart.draw_series(LineSeries::new([(rule, low), (rule, 102.0)], INK.stroke_width(1)))?;
            }
            for (lines, (_, series)) in self.lines.iter().zip(series()) {
                for line in lines {
                    draw_band(&mut chart, line, series.light)?;
                    let means: Vec<_> = line.iter().map(|(x, spread)| (*x, spread.mean)).collect();
                    let width = if self.marks_all { 3 } else { 2 };
                    chart.draw_series(LineSeries::new(means.iter().copied(), series.light.stroke_width(width)))?;
                    let marked = if self.marks_all { &means[..] } else { &means[means.len().saturating_sub(1)..] };
                    draw_marks(&mut chart, marked, &series)?;
                }
            }
            Ok(())
        })?;
        let last = self.lines.iter().map(|lines| Some(lines.last()?.last()?.1.mean));
        Ok(html! { figure.chart { (chart) (legend(self.comparison, last)) } })
    }
}

/// Fills the area between the mean minus and plus one standard deviation, if several seeds define one.
fn draw_band(chart: &mut Plane, line: &Line, colour: RGBColor) -> Drawn {
    let bounds: Vec<_> = line
        .iter()
        .filter_map(|(x, Spread { mean, deviation, .. })| Some((*x, (mean - (*deviation)?, mean + (*deviation)?))))
        .collect();
    let upper = bounds.iter().map(|&(x, (_, high))| (x, high));
    let lower = bounds.iter().rev().map(|&(x, (low, _))| (x, low));
    let outline: Vec<_> = upper.chain(lower).collect();
    if bounds.len() > 1 {
        chart.draw_series([Polygon::new(outline, colour.mix(0.18).filled())])?;
    }
    Ok(())
}
