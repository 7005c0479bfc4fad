//! Charts as inline SVG.
//!
//! plotters writes colours as attributes. The page's style sheet replaces each by one of its own variables
//! ([`palette`]), so that charts follow the reader's light or dark mode.

use crate::comparison::Comparison;
use crate::{Error, Run, paper};
use maud::{Markup, PreEscaped, html};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use std::fmt::Display;
use std::ops::Range;

/// A categorical colour in light and in dark mode, and the mark that distinguishes its series without colour.
#[derive(Clone, Copy)]
pub(super) struct Series {
    pub(super) light: RGBColor,
    dark: &'static str,
    mark: char,
}

/// Okabe and Ito's colours, which colour-blind readers can tell apart; brighter on a dark background.
pub(super) const SERIES: [Series; 6] = [
    Series { light: RGBColor(0x00, 0x72, 0xb2), dark: "#4aa3df", mark: '●' },
    Series { light: RGBColor(0xd5, 0x5e, 0x00), dark: "#ff8a3d", mark: '▲' },
    Series { light: RGBColor(0x00, 0x9e, 0x73), dark: "#2fc79a", mark: '■' },
    Series { light: RGBColor(0xcc, 0x79, 0xa7), dark: "#e59cc6", mark: '●' },
    Series { light: RGBColor(0xe6, 0x9f, 0x00), dark: "#f0b93a", mark: '▲' },
    Series { light: RGBColor(0x56, 0xb4, 0xe9), dark: "#9ad8ff", mark: '■' },
];

/// The mark of series that reuse the colours, so that twice as many can be told apart.
const MARK_AGAIN: char = '✚';

/// The colours of axes and text, and of the lines behind the data; the style sheet replaces both.
pub(super) const INK: RGBColor = RGBColor(0x01, 0x01, 0x01);
const RULE: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);

/// The most points of a loss curve, each the mean of its neighbours. More could not be seen.
const POINTS: usize = 240;

/// Returns the style sheet's rules for charts.
pub(super) fn palette() -> String {
    let rule = |colour: RGBColor, variable: &str| {
        let colour = hex(colour);
        format!("svg [fill=\"{colour}\"]{{fill:var({variable})}}svg [stroke=\"{colour}\"]{{stroke:var({variable})}}")
    };
    let mut light = String::new();
    let mut dark = String::new();
    let mut rules = rule(INK, "--quiet") + &rule(RULE, "--rule");
    for (index, series) in SERIES.iter().enumerate() {
        let variable = format!("--series-{index}");
        light += &format!("{variable}:{};", hex(series.light));
        dark += &format!("{variable}:{};", series.dark);
        rules += &format!("{}.series-{index}{{color:var({variable})}}", rule(series.light, &variable));
    }
    format!(":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}{rules}")
}

/// Returns the series in order, each with the number of its colour.
pub(super) fn series() -> impl Iterator<Item = (usize, Series)> {
    let again = SERIES.map(|series| Series { mark: MARK_AGAIN, ..series });
    SERIES.into_iter().enumerate().chain(again.into_iter().enumerate()).cycle()
}

/// Draws axes for percentages, from `low` to 100, over tasks or iterations.
pub(super) fn percent_plane<'a, 'b>(
    root: &'a Drawing<'b>,
    range: Range<f64>,
    low: f64,
    over: &str,
    labels: usize,
    label: &dyn Fn(&f64) -> String,
) -> Result<Plane<'a, 'b>, DrawingAreaErrorKind<std::io::Error>> {
    let mut chart = ChartBuilder::on(root)
        .margin(10)
        .margin_right(20)
        .x_label_area_size(46)
        .y_label_area_size(56)
        .build_cartesian_2d(range, low..102.0)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RULE)
        .axis_style(RULE)
        .label_style(("sans-serif", 14, &INK))
        .x_labels(labels)
        .x_label_formatter(&label)
        .y_labels(6)
        .y_label_formatter(&|percent| format!("{percent:.0} %"))
        .x_desc(over)
        .draw()?;
    Ok(chart)
}

/// Draws the mark of a series at points.
pub(super) fn draw_marks(chart: &mut Plane, points: &[(f64, f64)], series: &Series) -> Drawn {
    let filled = series.light.filled();
    let points = points.iter().copied();
    match series.mark {
        '●' => _ = chart.draw_series(points.map(|point| Circle::new(point, 6, filled)))?,
        '▲' => _ = chart.draw_series(points.map(|point| TriangleMarker::new(point, 8, filled)))?,
        MARK_AGAIN => {
            let plus = |point| {
                EmptyElement::at(point)
                    + Rectangle::new([(-7, -2), (7, 2)], filled)
                    + Rectangle::new([(-2, -7), (2, 7)], filled)
            };
            chart.draw_series(points.map(plus))?;
        }
        _ => {
            let square = |point| EmptyElement::at(point) + Rectangle::new([(-5, -5), (5, 5)], filled);
            chart.draw_series(points.map(square))?;
        }
    }
    Ok(())
}

/// Lists the strategies with the colour and mark of their series, and the value that each ends at in percent.
pub(super) fn legend(comparison: &Comparison, last: impl Iterator<Item = Option<f64>>) -> Markup {
    html! {
        figcaption.legend {
            @for ((group, last), (colour, series)) in comparison.groups.iter().zip(last).zip(series()) {
                span {
                    span class={ "series-" (colour) } aria-hidden="true" { (series.mark) }
                    " " (paper::label(group.strategy))
                    @if let Some(last) = last { " " small { (format!("{last:.1} %")) } }
                }
            }
        }
    }
}

/// Draws every loss of a run in a small chart of its own, because their scales are unrelated.
pub(super) fn losses(run: &Run) -> Result<Markup, Error> {
    let history = &run.history;
    let starts: Vec<_> = history.task_starts().into_values().skip(1).collect();
    let charts = history.loss_names().into_iter().map(|name| {
        let chart = loss_chart(name, &thin(&history.curve(name)), &starts)?;
        Ok(html! { figure.chart { figcaption { (name) } (chart) } })
    });
    let charts = charts.collect::<Result<Vec<_>, Error>>()?;
    Ok(html! {
        @if charts.is_empty() {
            p { "No losses were recorded." }
        } @else {
            div.losses { @for chart in charts { (chart) } }
            p.note { "Over the iterations of all tasks; a line marks where a task begins." }
        }
    })
}

fn loss_chart(name: &str, points: &[(f64, f64)], starts: &[usize]) -> Result<Markup, Error> {
    let end = points.iter().fold(1.0, |end: f64, point| end.max(point.0));
    let low = points.iter().fold(f64::INFINITY, |low, point| low.min(point.1));
    let high = points.iter().fold(f64::NEG_INFINITY, |high, point| high.max(point.1));
    // A single point or a constant loss has no extent, so the margin depends on the value.
    let margin = if high > low { 0.05 * (high - low) } else { 0.5 * high.abs().max(1.0) };
    let (low, high) = (low - margin, high + margin);
    let digits = (2.0 - (high - low).log10()).clamp(0.0, 6.0) as usize;

    svg(name, (360, 200), |root| {
        let mut chart = ChartBuilder::on(root)
            .margin(8)
            .margin_right(20)
            .x_label_area_size(26)
            .y_label_area_size(58)
            .build_cartesian_2d(0.0..end, low..high)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(RULE)
            .axis_style(RULE)
            .label_style(("sans-serif", 13, &INK))
            .x_labels(4)
            .x_label_formatter(&|iteration| format!("{iteration:.0}"))
            .y_labels(4)
            .y_label_formatter(&|value| format!("{value:.digits$}"))
            .draw()?;
        for &start in starts {
            let ends = [(start as f64, low), (start as f64, high)];
            chart.draw_series(LineSeries::new(ends, RULE.stroke_width(2)))?;
        }
        chart.draw_series(LineSeries::new(points.iter().copied(), SERIES[0].light.stroke_width(2)))?;
        Ok(())
    })
}

/// Averages neighbouring points so that at most [`POINTS`] are left.
fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let size = points.len().div_ceil(POINTS).max(1);
    let mean = |chunk: &[(f64, f64)]| {
        let sum = chunk.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / chunk.len() as f64, sum.1 / chunk.len() as f64)
    };
    points.chunks(size).map(mean).collect()
}

pub(super) type Drawing<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(super) type Plane<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
pub(super) type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// Draws a chart and removes the outer element: inside a page the chart needs no name space and scales with the page.
pub(super) fn svg(what: &str, size: (u32, u32), draw: impl FnOnce(&Drawing) -> Drawn) -> Result<Markup, Error> {
    let failed = |reason: &dyn Display| Error::Chart { chart: what.into(), reason: reason.to_string() };
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        draw(&root).map_err(|error| failed(&error))?;
        root.present().map_err(|error| failed(&error))?;
    }
    let start = text.find("<svg").and_then(|tag| Some(tag + text[tag..].find('>')? + 1));
    let inner = start.and_then(|start| text[start..].trim_end().strip_suffix("</svg>"));
    let inner = inner.ok_or_else(|| failed(&"no SVG element was written"))?;
    let (width, height) = size;
    Ok(html! {
        svg viewBox={ "0 0 " (width) " " (height) } role="img" aria-label=(what) { (PreEscaped(inner)) }
    })
}

fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}
