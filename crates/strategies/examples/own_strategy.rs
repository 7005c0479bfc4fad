//! Defines a strategy outside the crate, which preserves the mean images of past classes. The training is interrupted
//! and resumed from its checkpoint, and its result is bit-identical to that of an uninterrupted one.
//!
//! ```sh
//! cargo run --release --example own_strategy
//! ```

use std::error::Error;

use mergan_models::Network;
use mergan_strategies::{
    Advance, Choice, Config, FromOptions, Losses, Replayed, Step, Strategies, Strategy, Term, Trainer,
};

/// Holds the mean image of the past classes to what the last task's generator makes of them.
struct MeanAlignment {
    lambda: f64,
}

/// `lambda` has a default, so that every preset works although none knows this strategy.
#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    lambda: f64,
}

impl Default for Options {
    fn default() -> Self {
        Options { lambda: 10.0 }
    }
}

impl Strategy for MeanAlignment {
    // This makes the trainer keep the networks as the last task left them, in memory and in checkpoints.
    fn needs_snapshot(&self, _task: usize) -> bool {
        true
    }

    fn generator_terms(&self, step: &Step) -> Vec<Term> {
        let Some(Replayed { images: old, latents, conditions }) =
            step.replay(step.inputs.past, step.share(step.inputs.past.len()))
        else {
            return Vec::new();
        };
        let new = step.generator.forward(&latents, &conditions);
        let difference = new.mean_axes(&[0]) - old.mean_axes(&[0]);
        vec![Term::new("mean_alignment", self.lambda, difference.square().mean())]
    }
}

impl FromOptions for MeanAlignment {
    type Options = Options;
    const NAME: &'static str = "mean-alignment";
    fn from_options(Options { lambda }: Options) -> Result<Self, String> {
        if lambda > 0.0 {
            Ok(MeanAlignment { lambda })
        } else {
            Err(format!("lambda is {lambda}; it must be positive"))
        }
    }
}

/// Trains to the end and returns the losses of the last iteration and the generator's weights.
fn finish(mut trainer: Trainer) -> Result<(Losses, Vec<f32>), mergan_strategies::Error> {
    let mut last = Losses::default();
    while let Some(advance) = trainer.advance()? {
        if let Advance::Iteration { losses, .. } = advance {
            last = losses;
        }
    }
    let weights = trainer.generator().values().iter().flat_map(|value| value.to_vec::<f32>()).collect();
    Ok((last, weights))
}

fn main() -> Result<(), Box<dyn Error>> {
    let data = mergan_datasets::load("shapes", &Default::default())?;
    let classes = data.class_names.len();
    let strategies = Strategies::built_in().with::<MeanAlignment>();
    let [dataset, strategy, preset] = ["shapes", "mean-alignment", "smoke"].map(String::from);
    let choice = Choice { dataset, strategy, preset, tasks: Some(3), ..Choice::default() };
    let config = Config::resolve(&choice, &strategies, classes)?;

    let (losses, weights) = finish(Trainer::new(config.clone(), &strategies, classes, &data.train)?)?;

    let folder = tempfile::tempdir()?;
    let checkpoint = folder.path().join("checkpoint.safetensors");
    let mut interrupted = Trainer::new(config.clone(), &strategies, classes, &data.train)?;
    while interrupted.tasks_learned() < 1 || interrupted.iterations_done() < 2 {
        interrupted.advance()?;
    }
    interrupted.save(&checkpoint)?;
    drop(interrupted);
    let (_, resumed) = finish(Trainer::resume(config, &strategies, classes, &data.train, &checkpoint)?)?;

    for (name, value) in losses.read() {
        println!("{name:<16} {value:.4}");
    }
    println!("resumed to the same bits: {}", weights == resumed);
    Ok(())
}
