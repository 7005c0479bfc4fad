//! A training step of a convolution with 64 to 128 channels in each library: the convolution, the sum of its result's
//! squares, and the gradients with respect to images and kernel.

use anyhow::Result;
use burn::backend::{Autodiff, Flex, NdArray};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor as BurnTensor, TensorData, module::conv2d};
use candle_core::{Device as CandleDevice, Tensor as CandleTensor, Var};
use mergan_tensor::{Conv2d, Device, Tensor};

use crate::{Side, Sides};

/// Images in a batch, and their height and width.
const BATCH: usize = 32;
const SIDE: usize = 16;
const CHANNELS: [usize; 2] = [64, 128];

/// Returns the sides for a kernel of this height and width. Their results are the gradient with respect to the kernel, in
/// the order `[co, ci, kh, kw]`.
pub fn sides(kernel: usize) -> Result<Sides> {
    let [inputs, outputs] = CHANNELS;
    let step =
        &Step { images: [BATCH, inputs, SIDE, SIDE], kernel: [outputs, inputs, kernel, kernel], padding: kernel / 2 };
    Ok(vec![
        ("mergan-tensor", Ours::make(step)),
        ("burn, flex", Burn::<Flex>::make(step)),
        ("burn, ndarray", Burn::<NdArray>::make(step)),
        ("candle", Candle::make(step)?),
    ])
}

/// The computation that is compared.
struct Step {
    images: [usize; 4],
    kernel: [usize; 4],
    padding: usize,
}

impl Step {
    fn vec(&self, shape: [usize; 4]) -> Vec<f32> {
        let number = |i: usize| ((i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f32 / (1 << 24) as f32 - 0.5;
        (0..shape.iter().product()).map(number).collect()
    }
}

struct Ours {
    images: Tensor,
    kernel: Tensor,
    conv: Conv2d,
}

impl Ours {
    fn make(step: &Step) -> Box<dyn Side> {
        let [images, kernel] =
            [step.images, step.kernel].map(|shape| Tensor::from_vec(step.vec(shape), shape, Device::Cpu).variable());
        Box::new(Ours { images, kernel, conv: Conv2d::square(1, step.padding) })
    }

    fn gradients(&self) -> Vec<Tensor> {
        let loss = self.images.conv2d(&self.kernel, self.conv).square().sum();
        loss.gradients(&[&self.images, &self.kernel])
    }
}

impl Side for Ours {
    fn step(&mut self) -> Result<()> {
        drop(self.gradients());
        Ok(())
    }

    fn results(&mut self) -> Result<Vec<f32>> {
        Ok(self.gradients()[1].to_vec())
    }
}

struct Burn<B: burn::tensor::backend::Backend> {
    images: BurnTensor<Autodiff<B>, 4>,
    kernel: BurnTensor<Autodiff<B>, 4>,
    padding: usize,
}

impl<B: burn::tensor::backend::Backend> Burn<B>
where
    B::Device: Default,
{
    fn make(step: &Step) -> Box<dyn Side>
    where
        B: 'static,
    {
        let [images, kernel] = [step.images, step.kernel].map(|shape| {
            BurnTensor::from_data(TensorData::new(step.vec(shape), shape), &B::Device::default()).require_grad()
        });
        Box::new(Burn::<B> { images, kernel, padding: step.padding })
    }

    fn gradients(&self) -> [Option<BurnTensor<B, 4>>; 2] {
        let padding = [self.padding; 2];
        let options = ConvOptions::new([1, 1], padding, [1, 1], 1);
        let maps = conv2d(self.images.clone(), self.kernel.clone(), None, options);
        let gradients = maps.powf_scalar(2.0).sum().backward();
        [self.images.grad(&gradients), self.kernel.grad(&gradients)]
    }
}

impl<B: burn::tensor::backend::Backend> Side for Burn<B>
where
    B::Device: Default,
{
    fn step(&mut self) -> Result<()> {
        drop(self.gradients());
        Ok(())
    }

    fn results(&mut self) -> Result<Vec<f32>> {
        let [_, kernel] = self.gradients();
        let data = kernel.expect("the loss depends on the kernel").into_data();
        data.to_vec().map_err(|error| anyhow::anyhow!("{error:?}"))
    }
}

struct Candle {
    images: Var,
    kernel: Var,
    padding: usize,
}

impl Candle {
    fn make(step: &Step) -> Result<Box<dyn Side>> {
        let var = |shape: [usize; 4]| Var::from_vec(step.vec(shape), &shape, &CandleDevice::Cpu);
        Ok(Box::new(Candle { images: var(step.images)?, kernel: var(step.kernel)?, padding: step.padding }))
    }

    fn gradients(&self) -> Result<[Option<CandleTensor>; 2]> {
        let maps = self.images.conv2d(&self.kernel, self.padding, 1, 1, 1)?;
        let gradients = maps.sqr()?.sum_all()?.backward()?;
        Ok([gradients.get(&self.images).cloned(), gradients.get(&self.kernel).cloned()])
    }
}

impl Side for Candle {
    fn step(&mut self) -> Result<()> {
        drop(self.gradients()?);
        Ok(())
    }

    fn results(&mut self) -> Result<Vec<f32>> {
        let [_, kernel] = self.gradients()?;
        Ok(kernel.expect("the loss depends on the kernel").flatten_all()?.to_vec1()?)
    }
}
