//! The random numbers of a training step, each drawn at an address of its own.

use mergan_tensor::{Address, Device, Random, Shape, Tensor};

/// A source of random numbers: [`Random`] in training, and known numbers in tests.
pub trait Noise: Send + Sync {
    /// Draws numbers from the standard normal distribution.
    fn normal(&self, address: Address, shape: Shape, device: Device) -> Tensor;
    /// Draws numbers from the uniform distribution over [0, 1).
    fn uniform(&self, address: Address, shape: Shape, device: Device) -> Tensor;
    /// Draws `count` integers from the uniform distribution over `0..bound`.
    fn below(&self, address: Address, count: usize, bound: usize) -> Vec<usize>;
    /// Returns the integers `0..len` in random order.
    fn permutation(&self, address: Address, len: usize) -> Vec<usize>;
}

impl Noise for Random {
    fn normal(&self, address: Address, shape: Shape, device: Device) -> Tensor {
        Random::normal(self, address, shape, device)
    }
    fn uniform(&self, address: Address, shape: Shape, device: Device) -> Tensor {
        Random::uniform(self, address, shape, device)
    }
    fn below(&self, address: Address, count: usize, bound: usize) -> Vec<usize> {
        Random::below(self, address, count, bound)
    }
    fn permutation(&self, address: Address, len: usize) -> Vec<usize> {
        Random::permutation(self, address, len)
    }
}

/// The purpose of random numbers. The numbers of the purposes determine the results of every run, so new purposes
/// are added at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Purpose {
    /// Latents of the generator step's images.
    GeneratorLatents = 1,
    /// Classes of the generator step's images, in mixed batches.
    GeneratorLabels,
    /// Latents at which a strategy replays in the generator step.
    GeneratorReplay,
    /// The past classes that a strategy chooses to replay in the generator step.
    GeneratorChoice,
    /// The order of the real images.
    Order,
    /// Latents of the critic step's images.
    CriticLatents,
    /// Classes of the critic step's images, in mixed batches.
    CriticLabels,
    /// Interpolation factors between real and fake images for the gradient penalty.
    Interpolation,
    /// Latents at which a strategy replays in the critic step.
    CriticReplay,
    /// Latents of the images that are scored.
    Evaluation,
    /// Latents of the sample grids, the same after every task.
    Grid,
    /// Latents that standing statistics are measured on.
    Standing,
    /// Latents of the samples that a Fisher information is estimated from.
    Fisher,
    /// Latents at which a strategy replays when a task ends.
    EndReplay,
    /// The choice of exemplars for the critic's batch.
    CriticExemplars,
    /// Latents of the images of past classes that are scored while a task is learned.
    Gap,
    /// Which of the critic step's real images are mirrored.
    Mirror,
    /// Changes of the images that the critic sees in the generator step.
    GeneratorView,
    /// Changes of the images that the critic sees in its own step.
    CriticView,
    /// Changes of the images at which the gradient penalty is taken.
    PenaltyView,
    /// Changes of the replayed images that the critic sees in the generator step.
    GeneratorReplayView,
    /// Changes of the replayed images that the critic sees in its own step.
    CriticReplayView,
    /// The past classes that a strategy chooses to replay in the critic step.
    CriticChoice,
}

/// The random numbers of one step of training.
#[derive(Clone, Copy)]
pub struct Draws<'a> {
    /// The source of the numbers.
    pub noise: &'a dyn Noise,
    /// The device on which the tensors are created.
    pub device: Device,
    /// The length of a latent vector.
    pub latent: usize,
    /// The task, counted from 0.
    pub task: usize,
    /// The iteration within the task, counted from 0.
    pub iteration: usize,
    /// The step within the iteration, counted from 0.
    pub inner: usize,
}

impl Draws<'_> {
    /// Draws latent vectors `[n, latent]`.
    pub fn latents(&self, purpose: Purpose, n: usize) -> Tensor {
        self.noise.normal(self.address(purpose), [n, self.latent].into(), self.device)
    }

    /// Draws one number in [0, 1) for each of `n` images: `[n, 1, 1, 1]`.
    pub fn fractions(&self, purpose: Purpose, n: usize) -> Tensor {
        self.uniform(purpose, [n, 1, 1, 1])
    }

    /// Draws numbers in [0, 1).
    pub fn uniform(&self, purpose: Purpose, shape: impl Into<Shape>) -> Tensor {
        self.noise.uniform(self.address(purpose), shape.into(), self.device)
    }

    /// Draws `n` of `classes` at random, with replacement.
    pub fn labels(&self, purpose: Purpose, n: usize, classes: &[usize]) -> Vec<usize> {
        self.noise.below(self.address(purpose), n, classes.len()).into_iter().map(|i| classes[i]).collect()
    }

    /// Draws `count` of `classes` at random, without replacement, and returns them in their original order. Returns all
    /// classes if there are no more than `count`.
    pub fn choice(&self, purpose: Purpose, count: usize, classes: &[usize]) -> Vec<usize> {
        // Where there is no choice nothing is drawn, because drawing on the host keeps a step from being recorded.
        if count == 0 || count >= classes.len() {
            return classes[..count.min(classes.len())].to_vec();
        }
        let mut chosen = self.noise.permutation(self.address(purpose), classes.len());
        chosen.truncate(count);
        chosen.sort_unstable();
        chosen.into_iter().map(|i| classes[i]).collect()
    }

    fn address(&self, purpose: Purpose) -> Address {
        Address {
            stream: purpose as u16,
            part: self.task as u16,
            step: self.iteration as u32,
            substep: self.inner as u32,
        }
    }
}
