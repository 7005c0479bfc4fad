//! Standing statistics: fixed statistics that replace those of the batch, so that an image does not depend on the
//! others in its batch.

use std::borrow::Borrow;
use std::path::Path;

use mergan_nn::{Network, Parameter, Rows, Weights, WeightsError};
use mergan_tensor::{Tensor, no_grad};

use crate::conditions::Conditions;
use crate::networks::Generator;
use crate::norm::Norm;

/// The mean and the variance of every channel before each normalisation of a generator, with one row per class.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The tables, classes x channels: the mean and the variance of the first normalisation, then of the second, and so
    /// on.
    tables: Vec<Parameter>,
}

/// The sums over the batches of one class in one layer, per channel, in f64.
#[derive(Clone)]
struct Sums {
    batches: f64,
    mean: Vec<f64>,
    mean_square: Vec<f64>,
    /// The sum of the variances within the batches.
    variance: Vec<f64>,
}

impl Standing {
    /// The prefix of the tables' names in a file.
    pub const PREFIX: &str = "standing.";

    /// Computes the moments over batches of latents (N x latent) of equal size, each normalised by its own statistics
    /// as in training. A batch has one class, or several that are normalised together and then have the same moments. A
    /// class without a batch has mean 0 and variance 0.
    ///
    /// # Panics
    /// Panics if a class is out of range, or if the conditions of a batch have more than one group.
    pub fn measure(generator: &Generator, batches: impl IntoIterator<Item = (Conditions, Tensor)>) -> Self {
        Standing::measure_each(
            generator,
            batches.into_iter().map(|(conditions, latents)| (generator, conditions, latents)),
        )
    }

    /// Does the same as [`Standing::measure`] for classes that are made by generators of their own, each batch by the
    /// one it comes with. All have the sizes of `like`.
    ///
    /// # Panics
    /// Panics under the conditions of [`Standing::measure`].
    pub fn measure_each<G: Borrow<Generator>>(
        like: &Generator,
        batches: impl IntoIterator<Item = (G, Conditions, Tensor)>,
    ) -> Self {
        let (classes, device) = (like.config().classes, like.device());
        let sums = |channels: usize| vec![Sums::new(channels); classes];
        let mut layers: Vec<Vec<Sums>> = channels(like).into_iter().map(sums).collect();
        for (generator, conditions, latents) in batches {
            let classes = conditions.only_group();
            no_grad(|| {
                generator.borrow().through(&latents, &conditions, |layer, norm, maps| {
                    let [mean, variance] = moments(maps);
                    classes.iter().for_each(|&class| layers[layer][class].add(&mean, &variance));
                    norm.relu(maps, &conditions)
                })
            });
        }
        let table = |sums: &[Sums], value: fn(&Sums, usize) -> f64| {
            let channels = sums[0].mean.len();
            let values = sums.iter().flat_map(|sums| (0..channels).map(move |channel| sums.over(channel, value)));
            Tensor::from_vec::<f64>(values.collect(), [classes, channels], device)
        };
        let tables = |sums: &Vec<Sums>| [table(sums, Sums::mean), table(sums, Sums::variance)];
        Standing::of_layers(layers.iter().map(tables))
    }

    /// Adds the tables to a generator's file: `standing.LAYER.mean` and `standing.LAYER.variance`, classes x channels.
    /// Normalisations are numbered from 0.
    pub fn save(&self, weights: &mut Weights) {
        weights.insert_network(Standing::PREFIX, self);
    }

    /// Returns the tables of a file for this generator, if there are any. `path` names the file in errors.
    ///
    /// # Errors
    /// Returns an error if the sizes of the tables do not match the generator.
    pub fn restore(path: &Path, weights: &Weights, generator: &Generator) -> Result<Option<Self>, WeightsError> {
        if !weights.names().any(|name| name.starts_with(Standing::PREFIX)) {
            return Ok(None);
        }
        let zeros = |channels| Tensor::zeros([generator.config().classes, channels], generator.device());
        let layers = channels(generator).into_iter().map(|channels| [zeros(channels), zeros(channels)]);
        weights.network(path, Standing::PREFIX, &Standing::of_layers(layers)).map(Some)
    }

    /// Returns the scale and the shift that each normalisation applies with its class parameters: tables of classes x
    /// channels.
    pub fn affine(&self, generator: &Generator) -> Vec<[Tensor; 2]> {
        let every = Conditions::pure(&(0..generator.config().classes).collect::<Vec<_>>());
        let mut tables = Vec::new();
        visit(generator, |layer, norm, _| tables.push(norm.affine(self.rows(layer, &every), &every)));
        tables
    }

    /// Returns the mean and the variance of a layer's channels, with a row for each label.
    fn rows(&self, layer: usize, conditions: &Conditions) -> [Tensor; 2] {
        [2 * layer, 2 * layer + 1].map(|table| conditions.rows(&self.tables[table].value))
    }

    /// Creates the tables from the mean and the variance of each normalisation.
    fn of_layers(layers: impl Iterator<Item = [Tensor; 2]>) -> Self {
        let named = |(layer, [mean, variance]): (usize, [Tensor; 2])| {
            [("mean", mean), ("variance", variance)].map(|(name, value)| Parameter {
                name: format!("{layer}.{name}"),
                rows: Rows::PerClass,
                buffer: true,
                value,
            })
        };
        Standing { tables: layers.enumerate().flat_map(named).collect() }
    }
}

impl Generator {
    /// Does the same as [`Generator::forward`] with standing statistics: an image does not depend on the others in its
    /// batch, except for rounding.
    pub fn forward_standing(&self, latents: &Tensor, conditions: &Conditions, standing: &Standing) -> Tensor {
        self.through(latents, conditions, |layer, norm, maps| {
            norm.relu_by(standing.rows(layer, conditions), maps, conditions)
        })
    }
}

/// The tables are not trained. They are a network so that they can be saved like one.
impl Network for Standing {
    fn parameters(&self) -> Vec<Parameter> {
        self.tables.clone()
    }

    fn parameters_mut(&mut self) -> Vec<&mut Parameter> {
        self.tables.iter_mut().collect()
    }
}

/// Returns the number of channels of each normalisation.
fn channels(generator: &Generator) -> Vec<usize> {
    let mut channels = Vec::new();
    visit(generator, |_, _, maps| channels.push(maps.shape()[1]));
    channels
}

/// Calls `see` for each normalisation with an example of its input, in the order in which they are applied.
fn visit(generator: &Generator, mut see: impl FnMut(usize, Norm, &Tensor)) {
    let latent = Tensor::zeros([1, generator.config().latent], generator.device());
    let conditions = Conditions::pure(&[0]);
    no_grad(|| {
        generator.through(&latent, &conditions, |layer, norm, maps| {
            see(layer, norm, maps);
            norm.relu(maps, &conditions)
        })
    });
}

/// Returns the mean and the variance of each channel of a batch.
fn moments(maps: &Tensor) -> [Vec<f64>; 2] {
    let per_channel = [maps.shape()[1], 1, 1];
    let mean = maps.mean_to(per_channel);
    let variance = (maps - &mean).square().mean_to(per_channel);
    [mean, variance].map(|moment| moment.to_vec())
}

impl Sums {
    fn new(channels: usize) -> Self {
        let zeros = || vec![0.0; channels];
        Sums { batches: 0.0, mean: zeros(), mean_square: zeros(), variance: zeros() }
    }

    /// Adds the moments of a batch.
    fn add(&mut self, mean: &[f64], variance: &[f64]) {
        self.batches += 1.0;
        for (channel, (mean, variance)) in mean.iter().zip(variance).enumerate() {
            self.mean[channel] += mean;
            self.mean_square[channel] += mean * mean;
            self.variance[channel] += variance;
        }
    }

    /// Returns a moment of a channel, or 0 if nothing was added.
    fn over(&self, channel: usize, moment: fn(&Sums, usize) -> f64) -> f64 {
        if self.batches == 0.0 { 0.0 } else { moment(self, channel) }
    }

    fn mean(&self, channel: usize) -> f64 {
        self.mean[channel] / self.batches
    }

    /// Returns the sum of the variance within the batches and the variance between them.
    fn variance(&self, channel: usize) -> f64 {
        let between = self.mean_square[channel] / self.batches - self.mean(channel).powi(2);
        self.variance[channel] / self.batches + between.max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelConfig;
    use mergan_tensor::{Address, Device, Random};

    fn generator() -> Generator {
        let sizes = ModelConfig { width: 2, classes: 4, latent: 8, ..ModelConfig::default() };
        Generator::new(sizes, Random::new(0), Device::Cpu).on(Device::Reference)
    }

    fn latents(inner: u32, n: usize) -> Tensor {
        Random::new(1).normal(Address { substep: inner, ..Address::default() }, [n, 8], Device::Reference)
    }

    /// Asserts that the standing statistics of one batch give the same images as the batch's own.
    fn assert_of_the_batch(conditions: &Conditions, latents: &Tensor) {
        let generator = generator();
        let standing = Standing::measure(&generator, [(conditions.clone(), latents.clone())]);
        let [batch, standing] =
            [generator.forward(latents, conditions), generator.forward_standing(latents, conditions, &standing)]
                .map(|images| images.to_vec::<f64>());
        for (a, b) in batch.iter().zip(&standing) {
            approx::assert_abs_diff_eq!(*a, *b, epsilon = 1e-9);
        }
    }

    #[test]
    fn of_one_batch_they_are_the_batch_statistics() {
        assert_of_the_batch(&Conditions::pure(&[2]), &latents(0, 6));
    }

    /// Before the first normalisation, two batches have the same moments as one batch that joins them: the law of total
    /// variance.
    #[test]
    fn the_variance_counts_what_lies_between_batches() {
        let (generator, a, b) = (generator(), latents(0, 6), latents(1, 6));
        let pure = |latents: Tensor| (Conditions::pure(&[1]), latents);
        let apart = Standing::measure(&generator, [pure(a.clone()), pure(b.clone())]).rows(0, &Conditions::pure(&[1]));
        let together =
            Standing::measure(&generator, [pure(Tensor::concat(0, &[&a, &b]))]).rows(0, &Conditions::pure(&[1]));
        for (apart, together) in apart.iter().zip(&together) {
            for (a, b) in apart.to_vec::<f64>().iter().zip(together.to_vec::<f64>()) {
                approx::assert_abs_diff_eq!(*a, b, epsilon = 1e-9);
            }
        }
    }

    #[test]
    fn an_image_does_not_depend_on_its_batch() {
        let generator = generator();
        let batches = [1, 3, 1].iter().zip(0..).map(|(class, i)| (Conditions::pure(&[*class]), latents(i, 16)));
        let standing = Standing::measure(&generator, batches);
        let latents = latents(3, 4);
        let together = generator.forward_standing(&latents, &Conditions::pure(&[1, 3]), &standing);
        let alone = generator.forward_standing(&latents.slice(0, 3..4), &Conditions::pure(&[3]), &standing);
        for (a, b) in together.slice(0, 3..4).to_vec::<f64>().iter().zip(alone.to_vec::<f64>()) {
            approx::assert_abs_diff_eq!(*a, b, epsilon = 1e-12);
        }
    }

    #[test]
    fn classes_that_are_normalised_together_have_the_same_moments() {
        assert_of_the_batch(&Conditions::mixed(&[0, 3, 0, 3, 3, 3, 0, 0]), &latents(0, 8));
    }

    #[test]
    fn they_survive_the_round_trip_and_fit_their_generator_only() {
        let generator = generator();
        let standing = Standing::measure(&generator, [(Conditions::pure(&[2]), latents(0, 6))]);
        let mut weights = Weights::default();
        let file = Path::new("generator.safetensors");
        assert!(Standing::restore(file, &weights, &generator).unwrap().is_none());
        standing.save(&mut weights);
        assert_eq!(weights.names().collect::<Vec<_>>()[..2], ["standing.0.mean", "standing.0.variance"]);
        assert_eq!(weights.get("standing.2.mean").unwrap().shape(), [4, 2]);
        let restored = Standing::restore(file, &weights, &generator).unwrap().unwrap();
        for (here, there) in standing.values().iter().zip(restored.values()) {
            assert_eq!(here.to_vec::<f64>(), there.to_vec::<f64>());
        }
        let wider = Generator::new(ModelConfig { width: 3, ..generator.config() }, Random::new(0), Device::Cpu);
        let error = Standing::restore(file, &weights, &wider).unwrap_err().to_string();
        assert!(error.contains("`standing.0.mean`") && error.contains("[4, 12]"), "{error}");
    }
}
