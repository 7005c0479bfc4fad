//! The files of a run of continual image generation, described once for programs that write them and that read them.
//!
//! A *run* is one strategy trained on a sequence of tasks. All its files lie in one directory:
//!
//! ```text
//! config.toml       everything that decides the result; readers need its head
//! data.json         the fingerprint of the data that it learns from
//! events.jsonl      one line per event: losses, times, the accuracy on past classes during training
//! real.png          real images, one row per class of the sequence
//! checkpoint/       task02-000400.safetensors, task02-end.safetensors: the newest two
//! frames/           02-000128.png: sample grids after 1, 2, 4, 8 ... iterations of each task
//! tasks/03/         generator.safetensors, samples.png and scores.json; if they were measured also
//!                   embedding.json, neighbours.json and neighbours.png
//! scorer.safetensors
//!                   the classifier that scores a run that was extended
//! tensorboard/      event files, on request
//! .lock             held by the process that trains
//! ```
//!
//! * [`Layout`] - where each file is. [`Position`] names checkpoints, and [`Owner`] tells the run's files from
//!   others,
//! * [`Config`] - the head of `config.toml`,
//! * [`Event`] - a line of `events.jsonl`, which [`events::read`] reads,
//! * [`TaskScores`] - the content of a `scores.json`: numbers, each with the [`Card`] that says how it was measured.
//!   [`comparable`] refuses to compare numbers measured differently. [`ResultRow`] is a number in a `results.json`
//!   over runs,
//! * [`metric`] - the list of metrics, with the names and units used in tables,
//! * [`Embedding`], [`Neighbours`] - how a task's images lie among real ones,
//! * [`quoted`] - a word of a command, as it is shown to a user,
//! * [`rename_durably`] - renames a file or directory so that a power cut does not undo it,
//! * [`write_whole`] - writes a file so that it never appears incomplete. All files but the log are written this way.
//!
//! Nothing here trains, draws or measures, so a program that only reads runs needs no tensors.
//!
//! # Example
//!
//! This prints the results of a run, and how long it took:
//!
//! ```no_run
//! use mergan_record::metric::{ACCURACY, Metric};
//! use mergan_record::{Config, Event, Layout, TaskScores, events};
//!
//! let run = Layout::new("runs/ra");
//! let config = Config::read(&run.config())?;
//! let accuracy = Metric::of(ACCURACY).expect("it is in the list");
//! for task in (1..=config.tasks).take_while(|&task| run.scores(task).exists()) {
//!     let scores = TaskScores::read(&run, task)?;
//!     let mean = scores.get(ACCURACY, None).expect("scores that are read have it");
//!     println!("task {task}: {} {}", accuracy.title(), accuracy.show(mean.value));
//! }
//! for event in events::read(&run.events())? {
//!     if let Event::TaskEnd { task, seconds, .. } = event {
//!         println!("task {task} took {seconds:.0} s");
//!     }
//! }
//! # Ok::<(), mergan_record::Error>(())
//! ```

mod card;
mod config;
mod error;
pub mod events;
mod exhibits;
mod follow;
mod layout;
pub mod metric;
mod owner;
mod position;
mod quoted;
mod scores;
mod seal;
mod write;

pub use card::{Card, Difference, comparable};
pub use config::{Config, Sequence, Training, preset_warning, show_order};
pub use error::Error;
pub use events::{Event, Host, Kept, Start};
pub use exhibits::{ClassNeighbours, Embedding, Neighbours, Point};
pub use follow::{Follower, News};
pub use layout::Layout;
pub use mergan_files::{rename_durably, write_whole};
pub use owner::Owner;
pub use position::Position;
pub use quoted::quoted;
pub use scores::{ClassScore, ResultRow, Score, TaskScores};
pub use seal::{sealed_json, sealed_toml};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
