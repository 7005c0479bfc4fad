//! Images beside those they are compared with: the old generator's images, training images, and real images in the
//! plane.

use super::charts::{Plane, SERIES, svg};
use super::grid::{figure, image, stepper_of};
use crate::comparison::Comparison;
use crate::{Error, Grid, Run, paper};
use maud::{Markup, html};
use mergan_record::{Embedding, Neighbours, Point};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// The number of latents at which old and new images are shown.
const LATENTS: u32 = 8;

/// Shows images before and after each task at the same latents, for strategies whose generator is conditioned on a
/// class.
pub(super) fn same_latents(comparison: &Comparison) -> Result<Markup, Error> {
    let firsts = comparison.groups.iter().map(|group| group.runs[0]);
    let runs: Vec<_> =
        firsts.filter(|run| run.tasks.len() > 1 && !paper::replays_uncounted(&run.config.strategy)).collect();
    let Some(longest) = runs.iter().max_by_key(|run| run.tasks.len()) else { return Ok(html! {}) };
    let last = longest.tasks.len();
    let names = longest.tasks[last - 2].scores.class_names.iter();
    let names: Vec<_> = names.flat_map(|name| [name.clone(), "after".into()]).collect();
    let figures = runs.iter().map(|run| before_and_after(run, &names)).collect::<Result<Vec<_>, _>>()?;
    Ok(html! {
        section #instances {
            h2 { "The same latents before and after a task" }
            p {
                "Two rows for each class of the past: what the generator made before the task, and under it what it makes of "
                "the same latents after it. Replay alignment (RA) keeps the image; joint training with replay (JTR) keeps the "
                "class, but makes another image of it; fine-tuning (SFT) keeps neither."
            }
            (stepper_of(2, last, html! { @for figure in figures { (figure) } }))
        }
    })
}

fn before_and_after(run: &Run, names: &[String]) -> Result<Markup, Error> {
    let label = paper::label(&run.config.strategy);
    let last = run.tasks.len();
    let frames = (2..=last).map(|task| {
        let [old, new] = [task - 2, task - 1].map(|task| &run.tasks[task].samples);
        Ok((task, Grid::interleaved(old, new, LATENTS)?))
    });
    let frames = frames.collect::<Result<Vec<_>, Error>>()?;
    let columns = frames.iter().map(|(_, grid)| grid.columns).max().unwrap_or(1);
    let frames = html! {
        @for (task, grid) in &frames {
            div data-task=(task) hidden[*task != last] {
                (image(grid, &format!("{label} before and after task {task}, row by row")))
            }
        }
    };
    Ok(figure(html! { b { (label) } }, names, (names.len() as u32, columns), frames))
}

/// Shows where images lie among real ones, and what they are nearest to. Shows nothing if no run has measured it.
pub(super) fn among_real(comparison: &Comparison) -> Result<Markup, Error> {
    let runs: Vec<_> = comparison.groups.iter().map(|group| group.runs[0]).collect();
    let embedded = runs.iter().filter_map(|run| Some((*run, run.exhibit(|task| task.embedding.as_ref())?)));
    let planes = embedded.map(|(run, (task, embedding))| plane(run, task, embedding)).collect::<Result<Vec<_>, _>>()?;
    let neighbours: Vec<_> =
        runs.iter().filter_map(|run| Some((*run, run.exhibit(|task| task.neighbours.as_ref())?))).collect();
    if planes.is_empty() && neighbours.is_empty() {
        return Ok(html! {});
    }
    Ok(html! {
        section #real {
            h2 { "Generated images among real ones" }
            @if let Some((_, (_, embedding))) = runs.iter().find_map(|run| Some((run, run.exhibit(|task| task.embedding.as_ref())?))) {
                h3 { "Features in the plane" }
                div.losses { @for plane in planes { (plane) } }
                p.note {
                    "t-SNE (perplexity " (embedding.perplexity) ") of the features of " (embedding.network) ": real test images are "
                    "empty squares, named by their class; generated ones are filled, in the colour of the class asked for. Each "
                    "strategy has a plane of its own. What a strategy remembers lies among the real images of its class."
                }
            }
            @if !neighbours.is_empty() {
                h3 { "Nearest training images" }
                div.figures {
                    @for (run, (task, (_, grid))) in &neighbours {
                        @let label = paper::label(&run.config.strategy);
                        @let names = &run.tasks[*task - 1].scores.class_names;
                        (figure(
                            html! { b { (label) } " after task " (task) },
                            names,
                            (grid.rows, grid.columns),
                            image(grid, &format!("{label}: generated images, each followed by its nearest training image")),
                        ))
                    }
                }
                (distances(&neighbours.iter().map(|(run, (task, (found, _)))| (*run, *task, found)).collect::<Vec<_>>()))
                p.note {
                    "In each pair the generated image is on the left, and the nearest training image of its class, by pixels, on "
                    "the right. The table has the mean distance to it (root mean square, pixels from -1 to 1): a generator that "
                    "repeats training images is much nearer to them than real test images are."
                }
            }
        }
    })
}

/// Draws real images as squares with the names of their classes, and generated ones as discs.
fn plane(run: &Run, task: usize, embedding: &Embedding) -> Result<Markup, Error> {
    let scores = &run.tasks[task - 1].scores;
    let extent = |of: fn(&Point) -> f32| {
        let values = embedding.points.iter().map(of).filter(|value| value.is_finite());
        let [low, high] = values.fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], x| [low.min(x), high.max(x)]);
        f64::from(low) - 1.0..f64::from(high) + 1.0
    };
    let label = paper::label(&run.config.strategy);
    let what = format!("{label} after task {task}: features of real and generated images");
    let chart = svg(&what, (360, 320), |root| {
        let mut plane =
            ChartBuilder::on(root).margin(6).build_cartesian_2d(extent(|point| point.x), extent(|point| point.y))?;
        for (place, (class, name)) in scores.classes.iter().zip(&scores.class_names).enumerate() {
            let colour = SERIES[place % SERIES.len()].light;
            let of_class =
                |real| embedding.points.iter().filter(move |point| point.class == *class && point.real == real);
            let at = |point: &Point| (f64::from(point.x), f64::from(point.y));
            plane.draw_series(of_class(true).map(|point| {
                EmptyElement::at(at(point)) + Rectangle::new([(-2, -2), (2, 2)], colour.stroke_width(1))
            }))?;
            plane.draw_series(of_class(false).map(|point| Circle::new(at(point), 3, colour.filled())))?;
            write_name(&mut plane, of_class(true).map(at), name)?;
        }
        Ok(())
    })?;
    Ok(html! { figure.chart { figcaption { b { (label) } " after task " (task) } (chart) } })
}

/// Writes the name of a class in the middle of its real images.
fn write_name(plane: &mut Plane, points: impl Iterator<Item = (f64, f64)> + Clone, name: &str) -> super::charts::Drawn {
    let count = points.clone().count();
    if count > 0 {
        let sum = points.fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        let middle = (sum.0 / count as f64, sum.1 / count as f64);
        let style = ("sans-serif", 17).into_font().color(&super::charts::INK).pos(Pos::new(HPos::Center, VPos::Center));
        plane.draw_series([Text::new(name.to_owned(), middle, style)])?;
    }
    Ok(())
}

/// Tabulates the distance to the nearest training image, class by class: of real test images, and of each strategy's
/// images.
fn distances(found: &[(&Run, usize, &Neighbours)]) -> Markup {
    let Some((longest, task, classes)) = found.iter().max_by_key(|(.., found)| found.classes.len()) else {
        return html! {};
    };
    let names = &longest.tasks[task - 1].scores.class_names;
    let number =
        |distance: Option<f64>| distance.map_or(crate::table::NONE.into(), |distance| format!("{distance:.3}"));
    let test =
        ["real test images".to_owned()].into_iter().chain(classes.classes.iter().map(|class| number(class.test)));
    let rows = found.iter().map(|(run, task, found)| {
        let name = format!("{}, after task {task}", paper::label(&run.config.strategy));
        let cells = classes.classes.iter().map(|class| {
            number(found.classes.iter().find(|other| other.class == class.class).and_then(|class| class.generated))
        });
        [name].into_iter().chain(cells).collect()
    });
    let header = ["images".to_owned()].into_iter().chain(names.iter().cloned()).collect();
    super::tables::plain(&crate::table::Table { header, rows: [test.collect()].into_iter().chain(rows).collect() })
}
