//! The iteration in burn.

use anyhow::Result;
use burn::backend::{Autodiff, Flex};
use burn::module::{AutodiffModule, Module, Param};
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{Adam, AdamConfig, GradientsParams, Optimizer};
use burn::tensor::activation::{leaky_relu, relu};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::module::{conv_transpose2d, conv2d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use burn::tensor::{ElementConversion, Int, Tensor, TensorData};
use mergan_models::{Network, Parameter};

use super::{ADAM_EPSILON, BATCH, BETAS, CLASS, NORM_EPSILON, RATE, SLOPE, Start, Trainer};
use crate::Side;

struct Burn<B: AutodiffBackend> {
    generator: Trainee<B, Generator<B>>,
    critic: Trainee<B, Critic<B>>,
    real: Tensor<B, 4>,
    latents: Vec<Tensor<B, 2>>,
    labels: Tensor<B, 1, Int>,
    cross_entropy: CrossEntropyLoss<B>,
}

struct Trainee<B: AutodiffBackend, M: AutodiffModule<B>> {
    network: M,
    adam: OptimizerAdaptor<Adam, M, B>,
}

/// A layer's weight and bias, or the scales and shifts of a normalisation.
#[derive(Module, Debug)]
struct Layer<B: Backend, const W: usize, const V: usize> {
    weight: Param<Tensor<B, W>>,
    bias: Param<Tensor<B, V>>,
}

#[derive(Module, Debug)]
struct Generator<B: Backend> {
    input: Layer<B, 2, 1>,
    blocks: Vec<(Layer<B, 2, 2>, Layer<B, 4, 1>)>,
}

#[derive(Module, Debug)]
struct Critic<B: Backend> {
    convolutions: Vec<Layer<B, 4, 1>>,
    heads: [Layer<B, 2, 1>; 2],
}

pub fn side(start: &Start) -> Box<dyn Side> {
    let device = Default::default();
    Box::new(Burn::<Autodiff<Flex>> {
        generator: Trainee::new(Generator::new(&mut start.generator.parameters().into_iter())),
        critic: Trainee::new(Critic::new(&mut start.critic.parameters().into_iter())),
        real: tensor(&start.real),
        latents: start.latents.iter().map(tensor).collect(),
        labels: Tensor::full([BATCH], CLASS as i64, &device),
        cross_entropy: CrossEntropyLossConfig::new().init(&device),
    })
}

impl<B: AutodiffBackend> Trainer for Burn<B> {
    fn generator_step(&mut self) -> Result<f32> {
        let fake = self.generator.network.forward(self.latents[0].clone());
        let [score, logits] = self.critic.network.clone().no_grad().forward(fake);
        let loss = self.cross_entropy.forward(logits, self.labels.clone()) - score.mean();
        self.generator.descend(&loss);
        Ok(loss.into_scalar().elem())
    }

    fn critic_step(&mut self, latents: usize) -> Result<f32> {
        let fake = self.generator.network.clone().no_grad().forward(self.latents[latents].clone());
        let [score, logits] = self.critic.network.forward(Tensor::cat(vec![self.real.clone(), fake], 0));
        let [of_real, of_fake] = [0, BATCH].map(|from| score.clone().narrow(0, from, BATCH).mean());
        let class = self.cross_entropy.forward(logits.narrow(0, 0, BATCH), self.labels.clone());
        let loss = of_fake - of_real + class;
        self.critic.descend(&loss);
        Ok(loss.into_scalar().elem())
    }
}

impl<B: AutodiffBackend, M: AutodiffModule<B>> Trainee<B, M> {
    fn new(network: M) -> Self {
        let [beta1, beta2] = BETAS.map(|beta| beta as f32);
        let adam = AdamConfig::new().with_beta_1(beta1).with_beta_2(beta2).with_epsilon(ADAM_EPSILON as f32);
        Trainee { network, adam: adam.init() }
    }

    fn descend(&mut self, loss: &Tensor<B, 1>) {
        let gradients = GradientsParams::from_grads(loss.backward(), &self.network);
        self.network = self.adam.step(RATE, self.network.clone(), gradients);
    }
}

fn tensor<B: Backend, const D: usize>(ours: &mergan_tensor::Tensor) -> Tensor<B, D> {
    Tensor::from_data(TensorData::new(ours.to_vec::<f32>(), ours.shape().axes()), &B::Device::default())
}

impl<B: Backend, const W: usize, const V: usize> Layer<B, W, V> {
    /// Takes the parameters of a layer, which are in the order of the state dictionary.
    fn new(parameters: &mut impl Iterator<Item = Parameter>) -> Self {
        let mut next = || parameters.next().expect("the networks have the same layers").value;
        Layer { weight: Param::from_tensor(tensor(&next())), bias: Param::from_tensor(tensor(&next())) }
    }
}

impl<B: Backend> Layer<B, 2, 1> {
    fn linear(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        x.matmul(self.weight.val().transpose()) + self.bias.val().unsqueeze()
    }
}

impl<B: Backend> Layer<B, 2, 2> {
    /// Normalises the maps of each channel, and scales and shifts them by the class's row of the tables.
    fn batch_norm(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let axes = [0, 2, 3];
        let x = x.clone() - x.mean_dims(&axes);
        let deviation = (x.clone().square().mean_dims(&axes) + NORM_EPSILON).sqrt();
        let row = |table: &Param<Tensor<B, 2>>| table.val().narrow(0, CLASS, 1).reshape([1, -1, 1, 1]);
        x * (row(&self.weight) / deviation) + row(&self.bias)
    }
}

impl<B: Backend> Generator<B> {
    fn new(parameters: &mut impl Iterator<Item = Parameter>) -> Self {
        Generator {
            input: Layer::new(parameters),
            blocks: (0..3).map(|_| (Layer::new(parameters), Layer::new(parameters))).collect(),
        }
    }

    /// Maps latents, N x 128, to images `[n, 1, 32, 32]`.
    fn forward(&self, latents: Tensor<B, 2>) -> Tensor<B, 4> {
        let rows = self.input.linear(latents);
        let mut x = rows.reshape([BATCH as i32, -1, 4, 4]);
        for (norm, Layer { weight, bias }) in &self.blocks {
            let doubling = ConvTransposeOptions::new([2, 2], [2, 2], [1, 1], [1, 1], 1);
            x = conv_transpose2d(relu(norm.batch_norm(x)), weight.val(), Some(bias.val()), doubling);
        }
        x.tanh()
    }
}

impl<B: Backend> Critic<B> {
    fn new(parameters: &mut impl Iterator<Item = Parameter>) -> Self {
        Critic {
            convolutions: (0..3).map(|_| Layer::new(parameters)).collect(),
            heads: [Layer::new(parameters), Layer::new(parameters)],
        }
    }

    /// Maps images to scores, N x 1, and logits, N x classes.
    fn forward(&self, images: Tensor<B, 4>) -> [Tensor<B, 2>; 2] {
        let mut x = images;
        for Layer { weight, bias } in &self.convolutions {
            let halving = ConvOptions::new([2, 2], [2, 2], [1, 1], 1);
            x = leaky_relu(conv2d(x, weight.val(), Some(bias.val()), halving), SLOPE);
        }
        let x: Tensor<B, 2> = x.flatten(1, 3);
        self.heads.each_ref().map(|head| head.linear(x.clone()))
    }
}
