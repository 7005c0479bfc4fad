//! Runs of continual image generators as a library.

mod checkpoints;
mod dir;
mod error;
pub mod evaluation;
pub mod export;
mod extension;
pub mod fid;
mod log;
mod observer;
mod run;
mod scorer;
mod session;
mod trained;

pub use dir::RunDir;
pub use error::Error;
pub use evaluation::{Evaluation, InceptionScores, Measured};
pub use extension::{Effect, NewClass, effect, extend};
pub use observer::{Happening, Iteration, Observer, Unobserved, Work};
pub use run::{Estimate, Outcome, Run, load_data, require_startable};
pub use scorer::Scorer;
pub use trained::{Trained, Usage};
