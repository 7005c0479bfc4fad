//! Reports of training runs: `results.json`, `ledger.md` beside the paper's numbers, and `report.html`.
//!
//! A *run directory* is what training one strategy leaves behind; [`load_run`] reads it, and it may still be
//! growing, for only finished tasks count:
//!
//! ```text
//! config.toml            strategy, preset, seed, dataset, tasks; optionally deviations
//! events.jsonl           the command, losses and seconds, one JSON object a line
//! real.png               one row of real images for each class of the sequence
//! tasks/01/samples.png   one row for each class learned so far, at the same latents in every task
//! tasks/01/scores.json   the scores after the task (mergan_metrics::TaskScores)
//! tasks/05/embedding.json, neighbours.json, neighbours.png
//!                        where they were measured: how its images lie among real ones
//! ```
//!
//! Numbers whose cards differ are never put into one table or chart: every function that would do so returns
//! [`Error::Incomparable`] instead.
//!
//! # Example
//!
//! ```no_run
//! use mergan_report::{load_run, table, write_report};
//! use std::path::Path;
//!
//! let runs = [load_run(Path::new("runs/sft"))?, load_run(Path::new("runs/ra"))?];
//! write_report(&runs, Path::new("runs/report.html"))?;
//! println!("{}", table(&runs)?);
//! # Ok::<(), mergan_report::Error>(())
//! ```

mod compare;
mod comparison;
mod error;
mod events;
mod exhibits;
mod grid;
mod html;
mod ledger;
mod measured;
mod paper;
mod results;
mod run;
mod table;
mod write;

pub use compare::{ComparedRow, compare, compared_rows};
pub use error::Error;
pub use events::History;
pub use exhibits::{ClassNeighbours, EMBEDDING, Embedding, NEIGHBOURS, NEIGHBOURS_GRID, Neighbours, Point};
pub use grid::Grid;
pub use html::html;
pub use ledger::{ledger, table};
pub use measured::scores_table;
pub use paper::{TASK_COUNTS, paper_accuracy};
pub use results::results;
pub use run::{Config, Run, Task, load_run};
pub use write::write_report;
