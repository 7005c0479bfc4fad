//! Our side of the timings on a GPU: `gpu-step WIDTH ITERATIONS PRECISION [plain]` prints the median of the
//! milliseconds of an iteration of the released code's recipe (a generator step and five critic steps of fine-tuning)
//! on random images. With `plain`, kernels are launched one by one instead of as CUDA graphs.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use mergan_models::{Architecture, Critic, Generator, ModelConfig};
use mergan_strategies::losses::LossWeights;
use mergan_strategies::{Batch, Draws, Grouping, Learner, Recorder, ReplayCounter, StepInputs, Strategies};
use mergan_tensor::cuda::{self, Options, Precision};
use mergan_tensor::{AdamOptions, Address, Random};

const BATCH: usize = 64;
const CRITIC_STEPS: usize = 5;

fn main() -> Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let graphs = arguments.pop_if(|last| last == "plain").is_none();
    let usage = "usage: gpu-step WIDTH ITERATIONS f32|tf32 [plain]";
    let [width, iterations, precision] = arguments.as_slice() else { bail!(usage) };
    let (width, iterations): (usize, usize) = (width.parse()?, iterations.parse()?);
    let mut precisions = [Precision::F32, Precision::Tf32].into_iter();
    let precision = precisions.find(|known| known.to_string() == *precision).context(usage)?;
    let device = cuda::open(0, Options { precision, graphs })?;
    let sizes = ModelConfig { architecture: Architecture::Digit, width, channels: 1, classes: 10, latent: 128 };
    let (random, replay_counter) = (Random::new(0), ReplayCounter::default());
    let (generator, critic) = (Generator::new(sizes, random, device), Critic::new(sizes, random, device));
    let mut learner =
        Learner::new(&generator, &critic, AdamOptions { beta1: 0.0, beta2: 0.9, epsilon: 1e-8 }, |_| true);
    let mut recorder = Recorder::default();
    let strategy = Strategies::built_in().build("sft", &toml::Table::new())?;
    let images = random.uniform(Address::default(), [BATCH, 1, 32, 32], device);
    let mut iterate = |iteration| {
        let inputs = |inner| StepInputs {
            old: None,
            conditions: &[0],
            past: &[],
            grouping: Grouping::Pure,
            batch: BATCH,
            images: BATCH,
            weights: LossWeights::default(),
            rate: 1e-4,
            draws: Draws { noise: &random, device, latent: sizes.latent, task: 0, iteration, inner },
            replay_counter: &replay_counter,
        };
        let start = Instant::now();
        let mut losses = recorder.generator_step(&mut learner, &*strategy, &inputs(0));
        for inner in 0..CRITIC_STEPS {
            losses = recorder.critic_step(
                &mut learner,
                &*strategy,
                &inputs(inner),
                Batch { images: images.clone(), labels: vec![0; BATCH] },
            );
        }
        // Reading the losses waits for the device.
        losses.read();
        start.elapsed().as_secs_f64() * 1e3
    };
    // The first iterations are not timed: they load kernels, fill the pool and record the graphs.
    (0..3).for_each(|iteration| _ = iterate(iteration));
    let mut times: Vec<f64> = (3..3 + iterations).map(iterate).collect();
    times.sort_by(f64::total_cmp);
    println!("mergan, width {width}, {precision}: {:.3} ms", times[times.len() / 2]);
    Ok(())
}
