//! The iteration in this project's libraries.

use anyhow::Result;
use mergan_models::{Conditions, Critic, Generator, Network};
use mergan_tensor::{Adam, AdamOptions, Tensor, no_grad};

use super::{ADAM_EPSILON, BATCH, BETAS, CLASS, RATE, Start, Trainer};
use crate::Side;

struct Ours {
    generator: Generator,
    critic: Critic,
    /// The optimisers of the generator and the critic.
    adams: [Adam; 2],
    real: Tensor,
    latents: Vec<Tensor>,
}

pub fn side(start: &Start) -> Box<dyn Side> {
    let [beta1, beta2] = BETAS;
    let adam = Adam::new(AdamOptions { beta1, beta2, epsilon: ADAM_EPSILON });
    Box::new(Ours {
        generator: start.generator.trainable(),
        critic: start.critic.trainable(),
        adams: [adam.clone(), adam],
        real: start.real.clone(),
        latents: start.latents.clone(),
    })
}

impl Trainer for Ours {
    fn generator_step(&mut self) -> Result<f32> {
        let verdict = self.critic.forward(&self.generator.forward(&self.latents[0], &class()));
        let loss = verdict.logits.cross_entropy(&[CLASS; BATCH]) - verdict.score.mean();
        self.generator.descend(&loss, &mut self.adams[0], RATE);
        Ok(loss.item() as f32)
    }

    fn critic_step(&mut self, latents: usize) -> Result<f32> {
        let fake = no_grad(|| self.generator.forward(&self.latents[latents], &class()));
        let verdict = self.critic.forward(&Tensor::concat(0, &[&self.real, &fake]));
        let [of_real, of_fake] = [0, BATCH].map(|from| verdict.score.slice(0, from..from + BATCH).mean());
        let loss = of_fake - of_real + verdict.logits.slice(0, 0..BATCH).cross_entropy(&[CLASS; BATCH]);
        self.critic.descend(&loss, &mut self.adams[1], RATE);
        Ok(loss.item() as f32)
    }
}

fn class() -> Conditions {
    Conditions::pure(&[CLASS])
}
