//! Sequential training of conditional GANs: one trainer, and the strategies that keep a generator from forgetting.
//!
//! ```
//! use mergan_strategies::{Advance, Choice, Config, Strategies, Trainer};
//!
//! let data = mergan_datasets::load("shapes", &Default::default())?;
//! let choice = Choice {
//!     dataset: "shapes".into(),
//!     strategy: "ra".into(),
//!     preset: "smoke".into(),
//!     tasks: Some(2),
//!     ..Choice::default()
//! };
//! let strategies = Strategies::built_in();
//! let config = Config::resolve(&choice, &strategies, data.class_names.len())?;
//! let mut trainer = Trainer::new(config, &strategies, data.class_names.len(), &data.train)?;
//! while let Some(advance) = trainer.advance()? {
//!     if let Advance::TaskEnd { task } = advance {
//!         let learned = trainer.tasks().classes_seen(task);
//!         let images = trainer.sampling().images(trainer.generator(), &learned, 4);
//!         assert_eq!(images.len(), task);
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod augmentation;
mod batches;
mod checkpoint;
mod comments;
mod config;
mod draws;
mod error;
mod learner;
pub mod losses;
mod memory;
mod recorder;
mod sampler;
mod sampling;
mod step;
mod strategies;
mod strategy;
mod trainer;

pub use augmentation::{Augmentation, View};
pub use batches::{Batch, Grouping};
pub use config::{Choice, Config, EvaluationOptions, Extension, ModelOptions, NewClasses, TrainingOptions, presets};
pub use draws::{Draws, Noise, Purpose};
pub use error::Error;
pub use learner::{Learner, Losses, Trainee};
pub use losses::Term;
pub use memory::LeastMemory;
pub use recorder::Recorder;
pub use sampler::{ClassConditional, Sampler};
pub use sampling::{Sampling, Source};
pub use step::{ReplayCounter, Replayed, Role, Snapshot, Step, StepInputs};
pub use strategies::Strategies;
pub use strategy::{FromOptions, Kept, Learned, Strategy, TaskEnd, TaskStart};
pub use trainer::{Advance, Trainer};
