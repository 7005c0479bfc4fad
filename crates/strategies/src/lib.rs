#![doc = include_str!("../README.md")]

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
