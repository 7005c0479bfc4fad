//! Runs of continual image generators: one strategy, trained on a sequence of tasks and scored after each. A run has
//! a directory of its own, from which it can be resumed at any time.
//!
//! [`Run::start`] begins a run, [`Run::open`] opens an existing one, and [`Run::train`] continues either until all
//! tasks are learned. A run that was stopped or killed continues to bit-identical results. Each task leaves a
//! [`Trained`] generator, which can be sampled or exported ([`export`]) for other programs. Nothing is printed: an
//! [`Observer`] is told what happens.
//!
//! ```
//! use mergan_runs::{Outcome, Run, Scorer, Trained, Unobserved};
//! use mergan_strategies::{Choice, Config, Strategies};
//!
//! # let folder = tempfile::tempdir()?;
//! # let (dir, cache) = (folder.path().join("ra"), folder.path().join("cache"));
//! let data = mergan_datasets::load("shapes", &Default::default())?;
//! let strategies = Strategies::built_in();
//! let choice = Choice {
//!     dataset: "shapes".into(),
//!     strategy: "ra".into(),
//!     preset: "smoke".into(),
//!     tasks: Some(2),
//!     ..Choice::default()
//! };
//! let config = Config::resolve(&choice, &strategies, data.class_names.len())?;
//!
//! // One classifier scores all runs of a dataset; it is trained once and kept.
//! let scorer = Scorer::obtain(None, &data, &cache, &Unobserved)?;
//! let mut run = Run::start(&dir, config, &data, &strategies)?.scored_by(scorer.clone());
//! assert_eq!(run.train(&Unobserved, &|| false)?, Outcome::Finished);
//!
//! let scores = run.evaluate(&scorer)?;
//! assert_eq!(scores.class_names, ["disc", "ring"]);
//! let images = Trained::load(&dir)?.draw("ring", 16, 0)?;
//! assert_eq!(images.dim(), (16, 1, 32, 32));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | to | there is |
//! |---|---|
//! | begin with another run's first task, as the paper's comparisons do | [`Run::fork`] |
//! | find a run's data again | [`load_data`] |
//! | say how long it will take | [`Estimate`], [`Run::estimate`] |
//! | teach a finished run one class more, without the data before it | [`extend`], [`effect`] |
//! | choose what is scored, and with which classifier | [`Evaluation`], [`Scorer`] |

mod checkpoints;
mod checksum;
mod dir;
mod error;
mod evaluation;
pub mod export;
mod extension;
mod host;
mod identity;
mod images;
mod log;
mod memory;
mod observer;
mod run;
mod scorer;
mod session;
mod trained;

pub use dir::RunDir;
pub use error::Error;
pub use evaluation::{Evaluation, InceptionScores, Measure, Measured, Scored};
pub use extension::{Effect, NewClass, effect, extend};
pub use host::default_threads;
pub use images::open_images;
pub use observer::{Happening, Iteration, Observer, Unobserved, Work};
pub use run::{Estimate, Outcome, Run, configure, load_data, new_trainer, require_startable};
pub use scorer::Scorer;
pub use trained::{Trained, Usage};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
