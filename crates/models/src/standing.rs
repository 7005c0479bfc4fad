//! Standing statistics: what stands in for the statistics of the batch, so that an image does not depend on those that
//! are made with it.

use mergan_tensor::{Shape, Tensor, no_grad};

use crate::layers::Conditions;
use crate::networks::Generator;
use crate::parameters::Network;

/// Mean and variance of every channel before each of a generator's normalisations, one row a class.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Mean and variance, tables of classes x channels, in the order of the normalisations.
    layers: Vec<[Tensor; 2]>,
}

/// What batches of one class add up to in one layer, channel by channel, in f64.
#[derive(Clone, Default)]
struct Sums {
    batches: f64,
    mean: Vec<f64>,
    mean_square: Vec<f64>,
    /// Of the variances within the batches.
    variance: Vec<f64>,
}

impl Standing {
    /// The moments over batches of latents (N x latent) of equal size, each of one class and generated with its own statistics, as in
    /// training. A class without a batch has mean 0 and variance 0.
    ///
    /// # Panics
    /// When a class is out of range. Without any batch there is nothing to generate with.
    pub fn measure(generator: &Generator, batches: impl IntoIterator<Item = (usize, Tensor)>) -> Self {
        let (classes, device) = (generator.config().classes, generator.device());
        let mut layers: Vec<Vec<Sums>> = Vec::new();
        let mut channels = Vec::new();
        for (class, latents) in batches {
            let conditions = Conditions::pure(&[class]);
            no_grad(|| {
                generator.through(&latents, &conditions, |layer, norm, maps| {
                    if layers.len() == layer {
                        layers.push(vec![Sums::default(); classes]);
                        channels.push(maps.shape().c);
                    }
                    layers[layer][class].add(maps);
                    norm.forward_relu(maps, &conditions)
                })
            });
        }
        let table = |sums: &[Sums], channels: usize, value: fn(&Sums, usize) -> f64| {
            let values = sums.iter().flat_map(|sums| (0..channels).map(move |channel| sums.over(channel, value)));
            Tensor::from_vec::<f64>(values.collect(), Shape::matrix(classes, channels), device)
        };
        let tables = |(sums, channels): (&Vec<Sums>, usize)| {
            [table(sums, channels, Sums::mean), table(sums, channels, Sums::variance)]
        };
        Standing { layers: layers.iter().zip(channels).map(tables).collect() }
    }

    /// Mean and variance of a layer's channels for each of `classes`.
    pub(crate) fn rows(&self, layer: usize, classes: &[usize]) -> [Tensor; 2] {
        self.layers[layer].each_ref().map(|table| table.select_rows(classes))
    }
}

impl Sums {
    fn add(&mut self, maps: &Tensor) {
        let vector = Shape::vector(maps.shape().c);
        let mean = maps.mean_to(vector);
        let variance = (maps - &mean).square().mean_to(vector).to_vec::<f64>();
        let mean = mean.to_vec::<f64>();
        self.batches += 1.0;
        let square = mean.iter().map(|mean| mean * mean).collect::<Vec<_>>();
        for (sum, values) in [(&mut self.mean, mean), (&mut self.mean_square, square), (&mut self.variance, variance)] {
            sum.resize(values.len(), 0.0);
            sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
    }

    /// A moment of a channel; 0 where nothing was added.
    fn over(&self, channel: usize, moment: fn(&Sums, usize) -> f64) -> f64 {
        if self.batches == 0.0 { 0.0 } else { moment(self, channel) }
    }

    fn mean(&self, channel: usize) -> f64 {
        self.mean[channel] / self.batches
    }

    /// Within the batches and between them.
    fn variance(&self, channel: usize) -> f64 {
        let between = self.mean_square[channel] / self.batches - self.mean(channel).powi(2);
        self.variance[channel] / self.batches + between.max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::networks::ModelConfig;
    use mergan_tensor::{Address, Device, Random};

    fn generator() -> Generator {
        let sizes = ModelConfig { width: 2, classes: 4, latent: 8, ..ModelConfig::default() };
        Generator::new(sizes, Random::new(0), Device::Cpu).on(Device::Reference)
    }

    fn latents(inner: u32, n: usize) -> Tensor {
        Random::new(1).normal(Address { inner, ..Address::default() }, [n, 8, 1, 1], Device::Reference)
    }

    #[test]
    fn of_one_batch_they_are_the_batch_statistics() {
        let (generator, latents) = (generator(), latents(0, 6));
        let standing = Standing::measure(&generator, [(2, latents.clone())]);
        let conditions = Conditions::pure(&[2]);
        let [batch, standing] =
            [generator.forward(&latents, &conditions), generator.forward_standing(&latents, &conditions, &standing)]
                .map(|images| images.to_vec::<f64>());
        for (a, b) in batch.iter().zip(&standing) {
            approx::assert_abs_diff_eq!(*a, *b, epsilon = 1e-9);
        }
    }

    /// Before the first normalisation two batches are one: the law of total variance.
    #[test]
    fn the_variance_counts_what_lies_between_batches() {
        let (generator, a, b) = (generator(), latents(0, 6), latents(1, 6));
        let apart = Standing::measure(&generator, [(1, a.clone()), (1, b.clone())]).rows(0, &[1]);
        let together = Standing::measure(&generator, [(1, Tensor::concat(&[&a, &b]))]).rows(0, &[1]);
        for (apart, together) in apart.iter().zip(&together) {
            for (a, b) in apart.to_vec::<f64>().iter().zip(together.to_vec::<f64>()) {
                approx::assert_abs_diff_eq!(*a, b, epsilon = 1e-9);
            }
        }
    }

    #[test]
    fn an_image_does_not_depend_on_its_batch() {
        let generator = generator();
        let standing = Standing::measure(&generator, [(1, latents(0, 16)), (3, latents(1, 16)), (1, latents(2, 16))]);
        let latents = latents(3, 4);
        let together = generator.forward_standing(&latents, &Conditions::pure(&[1, 3]), &standing);
        let alone = generator.forward_standing(&latents.rows(3..4), &Conditions::pure(&[3]), &standing);
        for (a, b) in together.rows(3..4).to_vec::<f64>().iter().zip(alone.to_vec::<f64>()) {
            approx::assert_abs_diff_eq!(*a, b, epsilon = 1e-12);
        }
    }
}
