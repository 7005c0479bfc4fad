//! Sample grids, class x latent, with a slider over the tasks.

use crate::comparison::Comparison;
use crate::{Grid, Run, paper};
use maud::{Markup, html};

/// Shows the samples of every strategy's first seed, so that one slider moves all of them.
pub(super) fn section(comparison: &Comparison) -> Markup {
    let runs: Vec<_> = comparison.groups.iter().map(|group| group.runs[0]).collect();
    html! {
        section #samples {
            h2 { "Samples at fixed latents" }
            p {
                "One row a class, one column a latent: the same latents after every task, so a strategy that remembers "
                "keeps its rows."
            }
            (stepper(&runs))
        }
    }
}

/// Shows real images and the samples of some runs under one slider over the tasks.
///
/// Without JavaScript the slider is hidden and each run shows its last task.
pub(super) fn stepper(runs: &[&Run]) -> Markup {
    let longest = runs.iter().max_by_key(|run| run.tasks.len()).expect("a report has at least one run");
    let real = &longest.real;
    let names = &longest.last().scores.class_names;
    let figures = html! {
        (figure(html! { "real images" }, names, (real.rows, real.columns), image(real, "real images")))
        @for run in runs { (samples(run, names)) }
    };
    stepper_of(1, longest.tasks.len(), figures)
}

/// Places figures whose parts belong to tasks, from `first` to `last`, under a slider.
pub(super) fn stepper_of(first: usize, last: usize, figures: Markup) -> Markup {
    html! {
        div.stepper data-stepper {
            label.slider hidden[true] {
                span { "After task " output { (last) } " of " (last) }
                input type="range" min=(first) max=(last) value=(last) step="1" aria-label="tasks learned";
            }
            div.figures { (figures) }
        }
    }
}

fn samples(run: &Run, names: &[String]) -> Markup {
    let label = paper::label(&run.config.strategy);
    let last = run.tasks.len();
    let caption = html! {
        b { (label) }
        @for task in 1..=last {
            span data-task=(task) hidden[task != last] {
                @if let Some(accuracy) = run.accuracy(task, None) { (format!(" {:.1} %", 100.0 * accuracy)) }
            }
        }
    };
    let frames = html! {
        @for (task, learned) in (1..).zip(&run.tasks) {
            div data-task=(task) hidden[task != last] {
                (image(&learned.samples, &format!("{label} samples after task {task}")))
            }
        }
    };
    // The frame has a row for every class of the sequence, so that the page does not shift while tasks are added.
    let columns = run.last().samples.columns;
    figure(caption, names, (run.real.rows, columns), frames)
}

/// Places images in a frame of (rows, columns) cells, with the names of the classes beside the rows.
pub(super) fn figure(caption: Markup, names: &[String], (rows, columns): (u32, u32), images: Markup) -> Markup {
    let shape = format!("--rows:{rows};--columns:{columns}");
    html! {
        figure style=(shape) {
            figcaption { (caption) }
            div.grid {
                div.labels aria-hidden="true" { @for name in names { span { (name) } } }
                div.frames { (images) }
            }
        }
    }
}

pub(super) fn image(grid: &Grid, alt: &str) -> Markup {
    html! { img src=(grid.data_uri()) alt=(alt) width=(grid.columns * grid.cell) height=(grid.rows * grid.cell); }
}
