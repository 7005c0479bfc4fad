//! Our side of the timings on a GPU: `gpu-step WIDTH ITERATIONS` prints the median of the milliseconds of an iteration of
//! the released code's recipe (a generator step and five critic steps of fine-tuning) on random images.

use std::time::Instant;

use anyhow::{Result, bail};
use mergan_models::{Architecture, Critic, Generator, ModelConfig};
use mergan_strategies::{Batch, Draws, Grouping, Learner, Round, Tally, build_strategy};
use mergan_tensor::{AdamOptions, Address, Random, cuda};

const BATCH: usize = 64;
const CRITIC_STEPS: usize = 5;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [width, iterations] = arguments.as_slice() else { bail!("usage: gpu-step WIDTH ITERATIONS") };
    let (width, iterations): (usize, usize) = (width.parse()?, iterations.parse()?);
    let device = cuda::open(0)?;
    let sizes = ModelConfig { architecture: Architecture::Digit, width, channels: 1, classes: 10, latent: 128 };
    let (random, tally) = (Random::new(0), Tally::default());
    let (generator, critic) = (Generator::new(sizes, random, device), Critic::new(sizes, random, device));
    let mut learner = Learner::new(&generator, &critic, AdamOptions::default(), |_| true);
    let strategy = build_strategy("sft", &toml::Table::new())?;
    let images = random.uniform(Address::default(), [BATCH, 1, 32, 32], device);
    let mut iterate = |iteration| {
        let round = |inner| Round {
            strategy: strategy.as_ref(),
            old: None,
            conditions: &[0],
            past: &[],
            grouping: Grouping::Pure,
            batch: BATCH,
            images: BATCH,
            penalty: 10.0,
            rate: 1e-4,
            draws: Draws { noise: &random, device, latent: sizes.latent, task: 0, iteration, inner },
            tally: &tally,
        };
        let start = Instant::now();
        // The losses that a step returns are numbers: it waits for the device.
        learner.generator_step(&round(0));
        for inner in 0..CRITIC_STEPS {
            learner.critic_step(&round(inner), Batch { images: images.clone(), labels: vec![0; BATCH] });
        }
        start.elapsed().as_secs_f64() * 1e3
    };
    // Not timed: the first iterations load kernels and fill the pool.
    (0..3).for_each(|iteration| _ = iterate(iteration));
    let mut times: Vec<f64> = (3..3 + iterations).map(iterate).collect();
    times.sort_by(f64::total_cmp);
    println!("mergan, width {width}, exact f32: {:.3} ms", times[times.len() / 2]);
    Ok(())
}
