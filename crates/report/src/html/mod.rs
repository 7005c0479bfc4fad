//! `report.html`: a single page that needs no network, no other files, and no JavaScript to be read.

mod charts;
mod curves;
mod grid;
mod images;
mod tables;
mod verdict;

use crate::comparison::{Comparison, Group};
use crate::ledger::{
    AUDIT, BUDGET, NO_DEVIATION, counted, order, pairing, pairings, quality, reading, scoring, setting,
};
use crate::table::Table;
use crate::{Error, Run, paper};
use std::time::Duration;

use maud::{DOCTYPE, Markup, PreEscaped, html as markup};
use mergan_record::metric::{METRICS, Metric, Shown};
use mergan_record::preset_warning;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Renders the report of the runs as one HTML page.
///
/// Runs of one strategy count as its seeds: tables and the chart show their mean, and the strategy's section shows
/// each run.
///
/// # Errors
///
/// [`Error::NoRuns`], [`Error::Incomparable`] if two runs were not measured alike, or [`Error::Chart`].
pub fn html(runs: &[Run]) -> Result<String, Error> {
    page(runs, None)
}

/// Renders the same page, which a browser loads again at this interval if one is given.
pub(crate) fn page(runs: &[Run], reload: Option<Duration>) -> Result<String, Error> {
    let comparison = Comparison::of(runs)?;
    let config = &comparison.first().config;
    let dataset = paper::dataset(&config.dataset);
    let title = format!("MeRGAN on {dataset}: preset {}, {}", config.preset, comparison.seeds());
    let sections = comparison.groups.iter().map(strategy).collect::<Result<Vec<_>, _>>()?;
    let (instances, real) = (images::same_latents(&comparison)?, images::among_real(&comparison)?);
    let page = markup! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                @if let Some(every) = reload { meta http-equiv="refresh" content=(every.as_secs()); }
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(charts::palette())) }
            }
            body {
                header {
                    h1 { "Learning " (dataset) ", one task after another" }
                    p.facts {
                        span { "preset " b { (config.preset) } }
                        span { b { (comparison.seeds()) } }
                        span { b { (comparison.tasks()) } " of " b { (counted(config.tasks, "task")) } }
                        span { b { (counted(comparison.runs().count(), "run")) } }
                    }
                    nav {
                        a href="#results" { "Results" }
                        a href="#samples" { "Samples" }
                        @if !instances.0.is_empty() { a href="#instances" { "Before and after" } }
                        a href="#accuracy" { "Accuracy" }
                        a href="#metrics" { "Metrics and time" }
                        @if !real.0.is_empty() { a href="#real" { "Among real images" } }
                        @for group in &comparison.groups {
                            a href={ "#" (anchor(group)) } { (paper::label(group.strategy)) }
                        }
                        a href="#made" { "How this was made" }
                    }
                }
                main {
                    (results(&comparison))
                    (grid::section(&comparison))
                    (instances)
                    (accuracy(&comparison)?)
                    (metrics(&comparison))
                    (real)
                    @for section in sections { (section) }
                    (made(&comparison))
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    Ok(page.into_string())
}

/// Shows our numbers beside the paper's, and what the comparison rests on.
fn results(comparison: &Comparison) -> Markup {
    let deviations = comparison.deviations();
    markup! {
        section #results {
            h2 { "Results" }
            p { (setting(comparison)) }
            @if let Some(warning) = preset_warning(&comparison.first().config.preset) { p.warning { b { "Note: " (warning) "." } } }
            (verdict::verdict(comparison))
            @for change in comparison.data_changes() { p.note { (change) } }
            h3 { "Scores" }
            (tables::plain(&Table::measured(comparison)))
            p.note {
                (scoring(comparison)) " " (quality(comparison))
                @for warning in comparison.warnings() { br; (warning) }
            }
            h3 { "Average accuracy beside the paper" }
            (tables::plain(&Table::beside_paper(comparison, true)))
            p.note { (reading(comparison)) }
            @let budget = Table::budget(comparison);
            @if !budget.rows.is_empty() {
                h3 { "What the scores cost" }
                (tables::plain(&budget))
                p.note { (BUDGET) }
            }
            @if comparison.is_reordered() {
                h3 { "Class orders" }
                ul { @for run in comparison.orders() { li { (order(run)) } } }
            }
            @if paper::is_in_paper(&comparison.first().config.dataset) {
                details {
                    summary { "Where paper and released code differ" }
                    ul { @for (difference, choice) in paper::FOLLOWED { li { (difference) " Preset paper: " (choice) "." } } }
                }
            }
            details {
                summary { "What preset " (comparison.first().config.preset) " changes from the released code" }
                @if deviations.is_empty() {
                    p { (NO_DEVIATION) }
                } @else {
                    ul { @for deviation in deviations { li { (deviation) } } }
                }
            }
        }
    }
}

/// Shows all strategies in one chart, and class by class after the last task.
fn accuracy(comparison: &Comparison) -> Result<Markup, Error> {
    Ok(markup! {
        section #accuracy {
            h2 { "Average accuracy as tasks arrive" }
            (curves::accuracy(comparison)?)
            @for (metric, shown) in metrics_shown() {
                @if let Shown::LastTask { heading, note } = shown && comparison.ends_with(metric.key) {
                    h3 { (heading) }
                    (tables::final_classes(comparison, metric.key))
                    @if let Some(note) = note { p.note { (note) } }
                }
            }
            @if let Some(chart) = curves::forgetting(comparison)? {
                h3 { "Forgetting as tasks arrive" }
                (chart)
                p.note { "How far the classes before the last one are below their best score so far, on average (Chaudhry 2018)." }
            }
            @if let Some(chart) = curves::past_accuracy(comparison)? {
                h3 { "The past while a task is learned" }
                (chart)
                p.note {
                    "Accuracy on the classes of the tasks before, over the iterations of all tasks; a line marks where a "
                    "task begins. A dip that closes again is the stability gap (De Lange et al. 2023)."
                }
            }
            @if comparison.groups.iter().any(|group| group.runs.len() > 1) {
                p.note { "Lines are means over the " (comparison.over.many()) ", bands one sample standard deviation to either side." }
            }
        }
    })
}

/// Returns every metric with every place where it appears.
fn metrics_shown() -> impl Iterator<Item = (&'static Metric, &'static Shown)> {
    METRICS.iter().flat_map(|metric| metric.shown.iter().map(move |shown| (metric, shown)))
}

/// Shows where every figure comes from, and how to reproduce it.
fn made(comparison: &Comparison) -> Markup {
    let sources = [
        (
            "Results, accuracy, metrics",
            "the runs' tasks/NN/scores.json, whose numbers each carry a card: the scoring network and its \
          checksum, samples, statistics, seed, commit",
        ),
        ("Samples, before and after", "tasks/NN/samples.png and real.png"),
        ("What the scores cost, the past while a task is learned, losses, wall time", "events.jsonl"),
        ("Among real images", "tasks/NN/embedding.json, neighbours.json and neighbours.png"),
    ];
    let runs: Vec<_> = comparison.runs().map(|run| run.dir.display().to_string()).collect();
    markup! {
        section #made {
            h2 { "How this was made" }
            p { "Each figure is drawn from files of the runs, and each run from one command. The configuration of a run, which holds \
                all that decides its result, stands with its losses above." }
            ul { @for (figures, source) in sources { li { b { (figures) } ": " (source) "." } } }
            @for run in comparison.runs() {
                h3 { (paper::label(&run.config.strategy)) ", seed " (run.config.seed) @if run.config.order().is_some() { ", in a given class order" } small { (run.name()) } }
                pre tabindex="0" { (run.history.command().unwrap_or("The command was not recorded.")) }
                @for made in run.history.made() { p.note { (made) } }
            }
            h3 { "This page" }
            pre tabindex="0" { "mergan report " (runs.join(" ")) }
        }
    }
}

/// Shows what was kept and what was forgotten, in one number per strategy, and what it cost.
fn metrics(comparison: &Comparison) -> Markup {
    markup! {
        section #metrics {
            h2 { "Continual metrics and time" }
            (tables::plain(&Table::continual(comparison)))
            p.note {
                "BWT: what later tasks did to the score of earlier ones, on average; negative where they were forgotten. "
                "FWT: how much better than by the untrained generator a class is drawn before it is learned; with "
                "new_classes = \"mean\" (preset quick) its parameters then are the mean of the learned ones already, so part "
                "of it is that start. "
                "Forgetting: how far a class fell from its best score before the last task, on average. Learning "
                "accuracy: the score of each class when it had just been learned. Average incremental accuracy: the "
                "mean over tasks of the average accuracy by then."
            }
            @for pairs in pairings(comparison) {
                h3 { "Strategies " (comparison.over.one()) " by " (comparison.over.one()) ": " (pairs.metric.name) }
                (tables::plain(&Table::paired(&pairs, comparison.over)))
                p.note { (pairing(&pairs, comparison.over)) }
            }
            @let audit = Table::audit(comparison);
            @if !audit.rows.is_empty() {
                h3 { "Replay audit" }
                (tables::plain(&audit))
                p.note { (AUDIT) }
            }
            h3 { "Wall time of training" }
            (tables::plain(&Table::wall_time(comparison)))
        }
    }
}

/// Shows everything about one strategy, run by run.
fn strategy(group: &Group) -> Result<Markup, Error> {
    let runs = group.runs.iter().enumerate();
    let runs = runs.map(|(index, run)| self::run(run, index == 0)).collect::<Result<Vec<_>, _>>()?;
    Ok(markup! {
        section id=(anchor(group)) {
            h2 {
                (paper::label(group.strategy))
                @if let Some(known) = paper::known(group.strategy) { small { (known.name) } }
            }
            @for run in runs { (run) }
        }
    })
}

/// Shows one run. The samples of a strategy's `first` run are in the page's section of samples.
fn run(run: &Run, first: bool) -> Result<Markup, Error> {
    let config = &run.config;
    Ok(markup! {
        details.run open[first] {
            summary { "Seed " (config.seed) @if config.order().is_some() { ", in a given class order" } small { (run.name()) } }
            @if !first { (grid::stepper(&[run])) }
            @for (metric, shown) in metrics_shown() {
                @if let Shown::EveryTask { heading } = shown && run.has(metric.key) {
                    h3 { (heading) }
                    (tables::matrix(run, metric.key))
                }
            }
            @let replayed = Table::replayed(run);
            @if !replayed.rows.is_empty() {
                h3 { "Images of each class that each task replayed" }
                (tables::plain(&replayed))
            } @else if paper::replays_uncounted(&config.strategy) {
                h3 { "Images of each class that each task replayed" }
                p.note { "Not counted: the images that this strategy replays carry no class that they were asked for." }
            }
            h3 { "Losses" }
            (charts::losses(run)?)
            @if let Some(command) = run.history.command() {
                h3 { "Command" }
                pre tabindex="0" { (command) }
            }
            details {
                summary { "Configuration" }
                pre tabindex="0" { (config.text) }
            }
        }
    })
}

/// Returns the anchor of a strategy's section. A strategy's name may hold any characters, so the anchor keeps only
/// letters and digits.
fn anchor(group: &Group) -> String {
    let name = group.strategy.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' });
    format!("strategy-{}", name.collect::<String>())
}
