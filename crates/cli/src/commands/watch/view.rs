//! Draws watched runs side by side.

use indicatif::FormattedDuration;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, Gauge, GraphType, Paragraph};

use super::pixels::{self, Colours};
use super::run::{State, Watched};
use crate::console::short;

/// The least width of a run, in characters.
const NARROWEST: u16 = 38;
/// The least width at which the samples stand beside the charts instead of below them.
const WIDE: u16 = 72;
/// The colours of curves, in the order of their names.
const CURVES: [Color; 6] = [Color::Cyan, Color::Yellow, Color::Magenta, Color::Green, Color::Blue, Color::Red];

/// Returns how many runs of at least the least width stand side by side.
pub fn fits(width: u16, runs: usize) -> usize {
    usize::from(width / NARROWEST).clamp(1, runs.max(1))
}

/// Draws the runs from `first` on, as many as there is room for.
pub fn draw(frame: &mut Frame, runs: &[Watched], first: usize, colours: Colours) {
    let [body, foot] = Layout::vertical([Constraint::Min(0), Constraint::Length(1)]).areas(frame.area());
    let count = fits(body.width, runs.len());
    let areas = Layout::horizontal(vec![Constraint::Fill(1); count]).split(body);
    for (run, area) in runs.iter().skip(first).zip(areas.iter()) {
        draw_run(frame, run, *area, colours);
    }
    let mut keys = "q quits".to_string();
    if count < runs.len() {
        keys += &format!("   ← → other runs ({} to {} of {})", first + 1, first + count, runs.len());
    }
    frame.render_widget(Paragraph::new(keys).style(colours.faint()), foot);
}

fn draw_run(frame: &mut Frame, run: &Watched, area: Rect, colours: Colours) {
    let config = &run.config;
    let title = format!(" {}: {} on {} ", run.name, config.strategy.to_uppercase(), dataset(&config.dataset));
    let block = Block::bordered().border_style(colours.faint()).title(Span::styled(title, Modifier::BOLD));
    let inner = block.inner(area);
    frame.render_widget(block, area);

    let [bar, text, body] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(2), Constraint::Min(0)]).areas(inner);
    let (done, total) = run.iterations();
    let gauge = Gauge::default().ratio(done as f64 / total.max(1) as f64).use_unicode(true);
    frame.render_widget(gauge.gauge_style(colours.of(Color::Cyan)), bar);
    frame.render_widget(Paragraph::new(facts(run)), text);

    let (charts, samples) = if area.width >= WIDE {
        let [charts, samples] = Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).spacing(1).areas(body);
        (charts, samples)
    } else {
        let [charts, samples] = Layout::vertical([Constraint::Fill(2), Constraint::Fill(1)]).areas(body);
        (charts, samples)
    };
    let accuracy = run.history.past_accuracy();
    // One chart that can be read is better than two that cannot.
    if accuracy.is_empty() || charts.height < 8 {
        match accuracy.is_empty() {
            true => draw_losses(frame, run, charts, colours),
            false => draw_accuracy(frame, run, &accuracy, charts, colours),
        }
    } else {
        let [losses, past] = Layout::vertical([Constraint::Fill(1); 2]).areas(charts);
        draw_losses(frame, run, losses, colours);
        draw_accuracy(frame, run, &accuracy, past, colours);
    }
    draw_samples(frame, run, samples, colours);
}

/// Returns the last part of a dataset's path, or its name.
fn dataset(name: &str) -> &str {
    name.rsplit(std::path::is_separator).find(|part| !part.is_empty()).unwrap_or(name)
}

/// Returns two lines: where the run is, and what it is doing and has reached.
fn facts(run: &Watched) -> Vec<Line<'static>> {
    let (task, iteration) = run.position;
    let (tasks, iterations) = (run.config.tasks, run.config.iterations(task - 1));
    let mut facts = match run.state() {
        State::Finished => vec!["finished".into()],
        State::Silent(silence) => vec![format!("nothing new for {}", FormattedDuration(silence))],
        State::Busy => {
            let left = run.left().map(|left| format!("{} left", FormattedDuration(left)));
            left.into_iter().chain(run.seconds_per_iteration().map(rate)).collect()
        }
    };
    if let Some((task, (accuracy, _))) = run.scored.last_key_value() {
        facts.push(format!("{:.1} % right after task {task}", 100.0 * accuracy));
    }
    vec![format!("task {task}/{tasks}  iteration {iteration}/{iterations}").into(), facts.join("  ").into()]
}

/// Formats a pace, as in `12.4 it/s` or `3.2 s/it`.
fn rate(seconds: f64) -> String {
    if seconds < 1.0 { format!("{} it/s", short(1.0 / seconds)) } else { format!("{} s/it", short(seconds)) }
}

fn draw_losses(frame: &mut Frame, run: &Watched, area: Rect, colours: Colours) {
    let names: Vec<_> = run.history.loss_names().into_iter().collect();
    let curves: Vec<_> = names.iter().map(|name| run.history.curve(name)).collect();
    let styles = CURVES.into_iter().cycle().map(|colour| colours.of(colour));
    let legend = names.iter().zip(&curves).zip(styles.clone()).map(|((name, curve), style)| {
        let last = curve.last().map(|(_, value)| short(*value)).unwrap_or_default();
        Span::styled(format!("{name} {last}"), style)
    });
    let legend = wrapped(legend.collect(), area.width);
    let lines = Constraint::Length(legend.len() as u16);
    let [text, chart] = Layout::vertical([lines, Constraint::Min(0)]).areas(area);
    frame.render_widget(Paragraph::new(legend), text);
    let range = typical(curves.iter().flatten().map(|(_, value)| *value).collect());
    let datasets = curves.iter().zip(styles).map(|(curve, style)| curve_of(curve, style));
    frame.render_widget(chart_of(datasets.collect(), run, range, range.map(short), colours), chart);
}

fn draw_accuracy(frame: &mut Frame, run: &Watched, past: &[Vec<(f64, f64)>], area: Rect, colours: Colours) {
    let [text, chart] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
    let style = colours.of(Color::Green);
    let last = past.last().and_then(|points| points.last()).map_or(0.0, |(_, accuracy)| 100.0 * accuracy);
    frame.render_widget(Paragraph::new(Span::styled(format!("past classes {last:.0} % right"), style)), text);
    let datasets = past.iter().map(|points| curve_of(points, style)).collect();
    frame.render_widget(chart_of(datasets, run, [-0.02, 1.02], ["0 %".into(), "100 %".into()], colours), chart);
}

fn draw_samples(frame: &mut Frame, run: &Watched, area: Rect, colours: Colours) {
    if let Some(grid) = &run.samples {
        let [text, images] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
        frame.render_widget(Paragraph::new("newest samples").style(colours.faint()), text);
        pixels::draw(frame.buffer_mut(), images, grid, colours);
    }
}

fn curve_of(points: &[(f64, f64)], style: Style) -> Dataset<'_> {
    Dataset::default().data(points).graph_type(GraphType::Line).marker(Marker::Braille).style(style)
}

/// Returns a chart over the iterations of all tasks.
fn chart_of<'d>(
    datasets: Vec<Dataset<'d>>,
    run: &Watched,
    range: [f64; 2],
    labels: [String; 2],
    colours: Colours,
) -> Chart<'d> {
    let (_, total) = run.iterations();
    let across = Axis::default().bounds([0.0, total as f64]).style(colours.faint());
    let up = Axis::default().bounds(range).labels(labels).style(colours.faint());
    Chart::new(datasets).x_axis(across).y_axis(up)
}

/// Returns the range of all values but the few farthest, such as those of the first iterations.
fn typical(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values.get((share * values.len().saturating_sub(1) as f64).round() as usize);
    match (at(0.03), at(0.97)) {
        (Some(&low), Some(&high)) if low < high => [low, high],
        (Some(&low), _) => [low - 0.5, low + 0.5],
        _ => [0.0, 1.0],
    }
}

/// Divides entries into lines of at most `width` characters.
fn wrapped(entries: Vec<Span<'static>>, width: u16) -> Vec<Line<'static>> {
    let mut lines: Vec<Line> = Vec::new();
    for entry in entries {
        match lines.last_mut() {
            Some(line) if line.width() + 2 + entry.width() <= usize::from(width) => {
                line.push_span("  ");
                line.push_span(entry);
            }
            _ => lines.push(entry.into()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    use image::RgbImage;
    use mergan_record::Event;
    use mergan_strategies::{Choice, Strategies};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    /// Writes what is read of a run in the middle of its second task of three.
    fn write_run(dir: &Path, strategy: &str) -> Watched {
        let choice = Choice {
            dataset: "shapes".into(),
            strategy: strategy.into(),
            preset: "demo".into(),
            tasks: Some(3),
            ..Choice::default()
        };
        let config = mergan_strategies::Config::resolve(&choice, &Strategies::built_in(), 10).unwrap();
        fs::create_dir_all(dir.join("frames")).unwrap();
        fs::write(dir.join("config.toml"), config.to_toml()).unwrap();
        let progress = |task, iteration: usize| {
            let losses = BTreeMap::from([("penalty".into(), Some(0.25)), ("wasserstein".into(), Some(-12.345))]);
            let iterations = config.iterations(task - 1);
            Event::Progress { task, iteration, iterations, losses, seconds: 0.05 * iteration as f64 }
        };
        let gap = |iteration, accuracy| Event::Gap {
            task: 2,
            iteration,
            accuracy,
            classes: BTreeMap::from([(1, accuracy)]),
            samples: 32,
            scorer: "5e".into(),
            seconds: 0.1,
        };
        let events = [
            progress(1, 500),
            progress(1, 1000),
            Event::TaskEnd { task: 1, seconds: 50.0, critic_images: None, replayed: BTreeMap::new() },
            Event::Evaluation { task: 1, accuracy: 0.975, seconds: 10.0, kept: None },
            progress(2, 100),
            gap(100, 1.0),
            progress(2, 200),
            gap(200, 0.42),
        ];
        let lines: String = events.iter().map(|event| event.to_line("2026-11-27T00:20:36Z")).collect();
        fs::write(dir.join("events.jsonl"), lines).unwrap();
        RgbImage::from_pixel(320, 64, image::Rgb([255; 3])).save(dir.join("frames/02-000128.png")).unwrap();
        Watched::open(dir).unwrap()
    }

    /// Returns the lines of a screen of this size on which the runs are drawn.
    fn screen(width: u16, height: u16, runs: &[Watched], first: usize) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, runs, first, Colours::None)).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(line).collect()
    }

    #[test]
    fn a_screen_of_80_by_24_shows_all_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let screen = screen(80, 24, &[write_run(&folder.path().join("ra"), "ra")], 0).join("\n");
        for text in [
            " ra: RA on shapes ",
            "task 2/3  iteration 200/500",
            // 800 iterations of 0.05 seconds, and two scorings of two and three classes instead of one.
            "00:01:30 left  20.0 it/s  97.5 % right after task 1",
            "penalty 0.250  wasserstein -12.3",
            "past classes 42 % right",
            "newest samples",
            "@@@@@@@@",
            "q quits",
        ] {
            assert!(screen.contains(text), "no `{text}` in\n{screen}");
        }
        assert!(screen.contains(['⠉', '⠒', '⣀', '⠤', '⡀']), "no curve in\n{screen}");
    }

    #[test]
    fn runs_stand_side_by_side_as_far_as_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["sft", "ra", "jtr"];
        let runs = names.map(|name| write_run(&folder.path().join(name), name));
        let titles = |width, first| {
            let screen = screen(width, 50, &runs, first);
            let shown = names.map(|name| screen[0].contains(&format!(" {name}: ")));
            (shown, screen.last().unwrap().trim_end().to_string())
        };
        assert_eq!(titles(160, 0), ([true; 3], "q quits".into()));
        assert_eq!(titles(80, 0).0, [true, true, false]);
        assert_eq!(titles(80, 1), ([false, true, true], "q quits   ← → other runs (2 to 3 of 3)".into()));
        // Nothing is too small to be drawn on.
        for (width, height) in [(1, 1), (20, 5), (38, 10), (300, 3)] {
            screen(width, height, &runs, 0);
        }
    }

    #[test]
    fn outliers_do_not_flatten_a_chart() {
        let values = (0..100).map(f64::from).chain([1e9]).collect();
        let [low, high] = typical(values);
        assert!((0.0..5.0).contains(&low) && (95.0..100.0).contains(&high), "{low} {high}");
        assert_eq!([typical(vec![3.0; 9]), typical(Vec::new())], [[2.5, 3.5], [0.0, 1.0]]);
    }
}
