#![doc = include_str!("../README.md")]
//!
//! # What is read
//!
//! A *run directory* is what training one strategy leaves behind, as [`mergan_record`] describes it. [`load_run`]
//! reads it. The run may still be growing, because only finished tasks count.
//!
//! Numbers whose cards differ are never put into one table or chart: every function that would do so returns
//! [`Error::Incomparable`] instead.

mod compare;
mod comparison;
mod error;
mod grid;
mod history;
mod html;
mod ledger;
mod paper;
mod results;
mod run;
mod scores_table;
mod table;
mod verdict;
mod write;

pub use compare::{ComparedRow, compare, compared_rows};
pub use error::Error;
pub use grid::Grid;
pub use history::History;
pub use html::html;
pub use ledger::{ledger, table};
pub use paper::{TASK_COUNTS, paper_accuracy};
pub use results::results;
pub use run::{Run, Task, load_run};
pub use scores_table::scores_table;
pub use write::{write_growing_report, write_report};
