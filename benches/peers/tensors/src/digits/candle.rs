//! The iteration in candle.

use anyhow::Result;
use candle_core::{Device, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW, loss, ops};
use mergan_models::Network;

use super::{ADAM_EPSILON, BATCH, BETAS, CLASS, NORM_EPSILON, RATE, SLOPE, Start, Trainer};
use crate::Side;

struct Candle {
    generator: Trainee,
    critic: Trainee,
    real: Tensor,
    latents: Vec<Tensor>,
    labels: Tensor,
}

/// The parameters of a network in the order of its state dictionary, and their optimiser.
struct Trainee {
    parameters: Vec<Var>,
    adam: AdamW,
}

pub fn side(start: &Start) -> Result<Box<dyn Side>> {
    Ok(Box::new(Candle {
        generator: Trainee::new(&start.generator)?,
        critic: Trainee::new(&start.critic)?,
        real: tensor(&start.real)?,
        latents: start.latents.iter().map(tensor).collect::<Result<_>>()?,
        labels: Tensor::full(CLASS as u32, BATCH, &Device::Cpu)?,
    }))
}

impl Trainer for Candle {
    fn generator_step(&mut self) -> Result<f32> {
        let fake = generate(&self.generator.variables(), &self.latents[0])?;
        let [score, logits] = judge(&self.critic.constants(), &fake)?;
        let loss = (loss::cross_entropy(&logits, &self.labels)? - score.mean_all()?)?;
        self.generator.adam.backward_step(&loss)?;
        Ok(loss.to_scalar()?)
    }

    fn critic_step(&mut self, latents: usize) -> Result<f32> {
        let fake = generate(&self.generator.constants(), &self.latents[latents])?;
        let [score, logits] = judge(&self.critic.variables(), &Tensor::cat(&[&self.real, &fake], 0)?)?;
        let [of_real, of_fake] = [0, BATCH].map(|from| score.narrow(0, from, BATCH)?.mean_all());
        let class = loss::cross_entropy(&logits.narrow(0, 0, BATCH)?, &self.labels)?;
        let loss = ((of_fake? - of_real?)? + class)?;
        self.critic.adam.backward_step(&loss)?;
        Ok(loss.to_scalar()?)
    }
}

impl Trainee {
    fn new(network: &impl Network) -> Result<Self> {
        let values =
            network.parameters().into_iter().map(|parameter| Ok(Var::from_tensor(&tensor(&parameter.value)?)?));
        let parameters = values.collect::<Result<Vec<_>>>()?;
        let [beta1, beta2] = BETAS;
        let options = ParamsAdamW { lr: RATE, beta1, beta2, eps: ADAM_EPSILON, weight_decay: 0.0 };
        Ok(Trainee { adam: AdamW::new(parameters.clone(), options)?, parameters })
    }

    fn variables(&self) -> Vec<Tensor> {
        self.parameters.iter().map(|parameter| parameter.as_tensor().clone()).collect()
    }

    fn constants(&self) -> Vec<Tensor> {
        self.parameters.iter().map(|parameter| parameter.as_detached_tensor()).collect()
    }
}

fn tensor(ours: &mergan_tensor::Tensor) -> Result<Tensor> {
    Ok(Tensor::from_vec(ours.to_vec::<f32>(), ours.shape().axes(), &Device::Cpu)?)
}

/// Applies the generator with these parameters: latents, N x 128, to images `[n, 1, 32, 32]`.
fn generate(parameters: &[Tensor], latents: &Tensor) -> Result<Tensor> {
    let [weight, bias, blocks @ ..] = parameters else { unreachable!("a generator starts with a linear layer") };
    let rows = latents.matmul(&weight.t()?)?.broadcast_add(bias)?;
    let mut x = rows.reshape((rows.dim(0)?, (), 4, 4))?;
    for block in blocks.chunks_exact(4) {
        let [scales, shifts, weight, bias] = block else {
            unreachable!("a block of the generator has four parameters")
        };
        let maps = batch_norm(&x, scales, shifts)?.relu()?;
        x = maps.conv_transpose2d(weight, 2, 1, 2, 1)?.broadcast_add(&per_channel(bias)?)?;
    }
    Ok(x.tanh()?)
}

/// Normalises the maps of each channel, and scales and shifts them by the class's row of the tables.
fn batch_norm(x: &Tensor, scales: &Tensor, shifts: &Tensor) -> Result<Tensor> {
    let axes = (0, 2, 3);
    let x = x.broadcast_sub(&x.mean_keepdim(axes)?)?;
    let deviation = (x.sqr()?.mean_keepdim(axes)? + NORM_EPSILON)?.sqrt()?;
    let [scale, shift] = [scales, shifts].map(|table| per_channel(&table.get(CLASS)?));
    Ok(x.broadcast_mul(&scale?.broadcast_div(&deviation)?)?.broadcast_add(&shift?)?)
}

/// Applies the critic with these parameters: images to scores, N x 1, and logits, N x classes.
fn judge(parameters: &[Tensor], images: &Tensor) -> Result<[Tensor; 2]> {
    let (convolutions, heads) = parameters.split_at(6);
    let mut x = images.clone();
    for layer in convolutions.chunks_exact(2) {
        let maps = x.conv2d(&layer[0], 2, 2, 1, 1)?;
        x = ops::leaky_relu(&maps.broadcast_add(&per_channel(&layer[1])?)?, SLOPE)?;
    }
    let x = x.flatten_from(1)?;
    let head = |layer: &[Tensor]| Ok::<_, anyhow::Error>(x.matmul(&layer[0].t()?)?.broadcast_add(&layer[1])?);
    Ok([head(&heads[..2])?, head(&heads[2..])?])
}

/// Reshapes a vector to be broadcast over maps.
fn per_channel(vector: &Tensor) -> Result<Tensor> {
    Ok(vector.reshape((1, (), 1, 1))?)
}
