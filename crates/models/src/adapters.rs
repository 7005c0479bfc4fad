//! Adapters: low-rank changes of a generator's kernels, one for each class, after LoRA (Hu et al., "LoRA: Low-rank
//! adaptation of large language models", ICLR 2022) and CAM-GAN (Varshney et al., NeurIPS 2021).
//!
//! Class c uses, in place of a kernel W of axes a x b x h x w, the kernel W + A_c B_c with A_c of axes a x rank and B_c
//! of axes rank x (b * h * w). At first all A_c are random and all B_c are 0, so every class uses W. CAM-GAN and GAN
//! Memory also modulate W by factors. Such a factor is left out here: in conditional batch norm a class already scales
//! the channels that a convolution reads, and batch norm cancels any scale of those that it writes.

use std::path::Path;

use mergan_nn::{Network, Parameter, Rows, Weights, WeightsError};
use mergan_tensor::{Address, Random, Tensor};

use crate::networks::Generator;

const ADAPTER_STREAM: u16 = 0x105;

/// The prefix of the tables' names. A kernel `c1.weight` has the tables `adapter.c1.weight.left`, classes x (a * rank),
/// and `adapter.c1.weight.right`, classes x (rank * b * h * w).
const PREFIX: &str = "adapter.";

impl Generator {
    /// Returns a frozen copy in which every class has changes of its own to the kernels, of at most this rank. They
    /// are 0 at first, and training the tables of [`Generator::is_adapter`] alone leaves other classes as they are.
    ///
    /// # Panics
    /// Panics if `rank` is 0.
    pub fn with_adapters(&self, rank: usize, random: Random) -> Generator {
        assert!(rank > 0, "changes of rank 0 change nothing");
        let (classes, device) = (self.config().classes, self.device());
        let adapters = kernels(self.trunk_parameters()).zip(0..).flat_map(|(Parameter { name, value, .. }, number)| {
            let [a, rest] = matrix(value);
            let rank = rank.min(a).min(rest);
            let address = Address { stream: ADAPTER_STREAM, substep: number, ..Address::default() };
            // A row of A then has the norm 1, so entries of W + A B move about as fast as those of B.
            let deviation = 1.0 / (rank as f64).sqrt();
            let left = (random.uniform(address, [classes, a * rank], device) - 0.5) * (2.0 * 3f64.sqrt() * deviation);
            tables(name, [left, Tensor::zeros([classes, rank * rest], device)])
        });
        self.frozen().and_adapters(adapters.collect())
    }

    /// Returns a copy without adapters.
    pub fn trunk(&self) -> Generator {
        self.clone().and_adapters(Vec::new())
    }

    /// Returns a copy of `trunk` with the adapters of this generator.
    ///
    /// # Panics
    /// Panics if the generators have different sizes.
    #[track_caller]
    pub fn on_trunk(&self, trunk: &Generator) -> Generator {
        assert_eq!(self.config(), trunk.config(), "adapters fit only a generator of the same sizes");
        trunk.clone().and_adapters(self.adapters().to_vec())
    }

    /// Returns whether one of its parameters belongs to its adapters.
    pub fn is_adapter(parameter: &Parameter) -> bool {
        parameter.name.starts_with(PREFIX)
    }

    /// Returns which of these classes change the kernels.
    ///
    /// # Panics
    /// Panics if a class is out of range.
    pub fn adapted(&self, classes: &[usize]) -> Vec<usize> {
        let changes = |class: usize| {
            let mut right = self.adapters().chunks_exact(2).map(|tables| &tables[1].value);
            right.any(|table| table.slice(0, class..class + 1).to_vec::<f64>().iter().any(|&number| number != 0.0))
        };
        classes.iter().copied().filter(|&class| changes(class)).collect()
    }
}

/// Returns the adapters of a file for a generator with these parameters and this many classes, or none if the file has
/// none. `path` names the file in errors.
///
/// # Errors
/// Returns an error if a table is missing or has another shape.
pub(crate) fn read(
    path: &Path,
    weights: &Weights,
    parameters: &[Parameter],
    classes: usize,
) -> Result<Vec<Parameter>, WeightsError> {
    if !weights.names().any(|name| name.starts_with(PREFIX)) {
        return Ok(Vec::new());
    }
    let read = |Parameter { name, value, .. }: &Parameter| {
        let [a, rest] = matrix(value);
        let [left, right] = tables(name, [value.clone(), value.clone()]).map(|table| table.name);
        // A missing or empty table gives the rank 1, whose shapes are then found missing or different.
        let rank = (weights.length(&left, 1).unwrap_or(a) / a).max(1);
        let table = |name: &str, columns: usize| weights.require(path, name, [classes, columns].into());
        Ok(tables(name, [table(&left, a * rank)?, table(&right, rank * rest)?]))
    };
    let read = kernels(parameters).map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(read.into_iter().flatten().collect())
}

/// Returns the kernel that a class uses: the shared one with the change in its rows of the two tables.
pub(crate) fn changed(kernel: &Tensor, [left, right]: [Tensor; 2]) -> Tensor {
    let [a, rest] = matrix(kernel);
    let rank = left.shape()[1] / a;
    let change = left.reshape([a, rank]).matmul(&right.reshape([rank, rest]));
    kernel + change.reshape(kernel.shape())
}

/// Returns the kernels among a generator's parameters: those of four axes.
fn kernels(parameters: &[Parameter]) -> impl Iterator<Item = &Parameter> {
    parameters.iter().filter(|parameter| parameter.value.shape().rank() == 4)
}

/// Returns the axes of a kernel as a matrix.
fn matrix(kernel: &Tensor) -> [usize; 2] {
    let [a, b, h, w] = kernel.shape().dims();
    [a, b * h * w]
}

/// Returns the two tables of a kernel.
fn tables(kernel: &str, [left, right]: [Tensor; 2]) -> [Parameter; 2] {
    [("left", left), ("right", right)].map(|(side, value)| Parameter {
        rows: Rows::PerClass,
        ..Parameter::new(format!("{PREFIX}{kernel}.{side}"), value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architectures::Architecture;
    use crate::conditions::Conditions;
    use crate::config::ModelConfig;
    use crate::standing::Standing;
    use mergan_tensor::Device;

    const RANK: usize = 2;

    fn sizes(architecture: Architecture) -> ModelConfig {
        ModelConfig { architecture, width: 2, channels: 3, classes: 4, latent: 5 }
    }

    fn trunk(architecture: Architecture) -> Generator {
        Generator::new(sizes(architecture), Random::new(0), Device::Cpu).on(Device::Reference)
    }

    /// Returns a generator in which the classes 1 and 2 have changes.
    fn adapted(architecture: Architecture) -> Generator {
        let mut generator = trunk(architecture).with_adapters(RANK, Random::new(1));
        for (parameter, number) in generator.parameters_mut().into_iter().zip(0..) {
            if parameter.name.ends_with(".right") {
                let address = Address { substep: number, ..Address::default() };
                let numbers = Random::new(2).normal(address, parameter.value.shape(), Device::Reference);
                let of_two = (numbers * 0.3).index_select(0, &[1, 2]);
                parameter.value = of_two.index_add(0, &[1, 2], parameter.value.shape()[0]);
            }
        }
        generator
    }

    fn latents(n: usize) -> Tensor {
        Random::new(3).normal(Address::default(), [n, 5], Device::Reference)
    }

    fn numbers(images: &Tensor) -> Vec<f64> {
        images.to_vec()
    }

    fn assert_close(left: &Tensor, right: &Tensor) {
        assert_eq!(left.shape(), right.shape());
        for (left, right) in numbers(left).into_iter().zip(numbers(right)) {
            approx::assert_abs_diff_eq!(left, right, epsilon = 1e-12);
        }
    }

    #[test]
    fn a_class_without_changes_is_made_by_the_trunk_to_the_bit() {
        for &architecture in Architecture::ALL {
            let (trunk, generator, latents) = (trunk(architecture), adapted(architecture), latents(4));
            let images =
                |generator: &Generator, class| numbers(&generator.forward(&latents, &Conditions::pure(&[class])));
            assert!(images(&trunk, 0) == images(&generator, 0), "{architecture:?}");
            assert!(images(&trunk, 1) != images(&generator, 1), "{architecture:?}");
            assert!(images(&generator.trunk(), 1) == images(&trunk, 1), "{architecture:?}");
            assert!(images(&generator.on_trunk(&trunk), 1) == images(&generator, 1), "{architecture:?}");
            assert_eq!(generator.adapted(&[0, 1, 2, 3]), [1, 2]);
            assert!(
                trunk.adapted(&[0, 1]).is_empty() && trunk.with_adapters(3, Random::new(1)).adapted(&[0]).is_empty()
            );
        }
    }

    /// The kernels of a class are those of a trunk to which the product of its matrices was added by hand.
    #[test]
    fn a_class_sees_the_sum_of_the_kernel_and_a_product() {
        for &architecture in Architecture::ALL {
            let generator = adapted(architecture);
            let (mut by_hand, tables) = (generator.trunk(), generator.adapters());
            let kernels = by_hand.parameters_mut().into_iter().filter(|kernel| kernel.value.shape().rank() == 4);
            for (kernel, [left, right]) in kernels.zip(tables.as_chunks().0) {
                let [a, b, h, w] = kernel.value.shape().dims();
                let rest = b * h * w;
                let [rows, columns] = [left, right].map(|table| table.value.slice(0, 2..3).to_vec::<f64>());
                let rank = columns.len() / rest;
                assert_eq!(rank, RANK.min(a).min(rest), "{}", kernel.name);
                let mut values = kernel.value.to_vec::<f64>();
                for (i, value) in values.iter_mut().enumerate() {
                    let of = |k: usize| rows[i / rest * rank + k] * columns[k * rest + i % rest];
                    *value += (0..rank).map(of).sum::<f64>();
                }
                kernel.value = Tensor::from_vec(values, [a, b, h, w], Device::Reference);
            }
            let conditions = Conditions::pure(&[2]);
            assert_close(&generator.forward(&latents(4), &conditions), &by_hand.forward(&latents(4), &conditions));
        }
    }

    #[test]
    fn classes_of_one_batch_have_their_own_kernels() {
        let (generator, latents) = (adapted(Architecture::Digit), latents(6));
        let part = |rows: std::ops::Range<usize>, class| {
            generator.forward(&latents.slice(0, rows), &Conditions::pure(&[class]))
        };
        let apart = Tensor::concat(0, &[&part(0..2, 2), &part(2..4, 0), &part(4..6, 1)]);
        assert_close(&generator.forward(&latents, &Conditions::pure(&[2, 0, 1])), &apart);

        let batches = [0, 1, 2].map(|class| (Conditions::pure(&[class]), latents.clone()));
        let standing = Standing::measure(&generator, batches);
        let labels = [1, 0, 2, 1, 1, 0];
        let together = generator.forward_standing(&latents, &Conditions::mixed(&labels), &standing);
        for (row, &class) in labels.iter().enumerate() {
            let latent = latents.slice(0, row..row + 1);
            let alone = generator.forward_standing(&latent, &Conditions::pure(&[class]), &standing);
            assert_close(&together.slice(0, row..row + 1), &alone);
        }
    }

    #[test]
    fn the_way_between_two_classes_begins_and_ends_at_their_kernels() {
        let generator = adapted(Architecture::Digit);
        let latent = latents(1);
        let standing =
            Standing::measure(&generator, [0, 1, 2, 3].map(|class| (Conditions::pure(&[class]), latents(6))));
        let draw = |conditions: &Conditions, steps: usize| {
            generator.forward_standing(&latent.index_select(0, &vec![0; steps]), conditions, &standing)
        };
        let way = draw(&Conditions::between(1, 2, 3), 3);
        let end = |class| draw(&Conditions::pure(&[class]), 1);
        assert_close(&way.slice(0, 0..1), &end(1));
        assert_close(&way.slice(0, 2..3), &end(2));
        assert!(numbers(&way.slice(0, 1..2)) != numbers(&end(1)));
    }

    /// The gradient of a class is that of finite differences, and nothing of another class has any.
    #[test]
    fn the_gradients_are_those_of_finite_differences() {
        const STEP: f64 = 1e-6;
        for &architecture in Architecture::ALL {
            let (generator, latents) = (adapted(architecture).partly_trainable(Generator::is_adapter), latents(3));
            let conditions = Conditions::pure(&[1]);
            let loss = |generator: &Generator| {
                let images = generator.forward(&latents, &conditions);
                (&images * &Random::new(4).normal(Address::default(), images.shape(), Device::Reference)).sum()
            };
            let gradients = generator.gradients(&loss(&generator));
            assert_eq!(gradients.len(), generator.adapters().len());
            for (i, gradient) in gradients.iter().enumerate() {
                let (table, gradient) = (&generator.adapters()[i], gradient.to_vec::<f64>());
                let columns = gradient.len() / 4;
                for class in [0, 2, 3] {
                    let of_class = &gradient[class * columns..(class + 1) * columns];
                    assert!(of_class.iter().all(|&slope| slope == 0.0), "{} of class {class}", table.name);
                }
                for column in [0, columns / 2, columns - 1] {
                    let moved = |by: f64| {
                        let mut moved = generator.frozen();
                        let mut values = table.value.to_vec::<f64>();
                        values[columns + column] += by;
                        let values = Tensor::from_vec(values, table.value.shape(), Device::Reference);
                        moved.parameters_mut()[generator.trunk_parameters().len() + i].value = values;
                        loss(&moved).item()
                    };
                    let slope = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
                    let found = gradient[columns + column];
                    assert!((slope - found).abs() < 1e-4 * (1.0 + slope.abs()), "{}: {slope} {found}", table.name);
                }
            }
        }
    }

    #[test]
    fn they_are_saved_with_their_generator_and_fit_no_other() {
        let path = Path::new("generator.safetensors");
        for &architecture in Architecture::ALL {
            let generator = adapted(architecture);
            let mut weights = Weights::default();
            weights.insert_network("", &generator);
            let read = Generator::from_weights(path, &weights).unwrap();
            assert_eq!(read.config(), generator.config());
            for (here, there) in generator.parameters().iter().zip(read.parameters()) {
                assert_eq!((&here.name, here.value.shape(), here.rows), (&there.name, there.value.shape(), there.rows));
                assert_eq!(here.value.to_vec::<f64>(), there.value.to_vec::<f64>(), "{}", here.name);
            }
            for Parameter { name, value, .. } in generator.adapters() {
                let shape = [value.shape()[0], value.shape()[1] + 1];
                let mut changed = weights.clone();
                changed.insert(name, &Tensor::zeros(shape, Device::Reference));
                let error = Generator::from_weights(path, &changed).unwrap_err().to_string();
                assert!(error.contains("generator.safetensors") && error.contains("adapter."), "{error}");

                let mut without = Weights::default();
                let kept = generator.parameters().into_iter().filter(|parameter| parameter.name != *name);
                kept.for_each(|parameter| without.insert(parameter.name, &parameter.value));
                let error = Generator::from_weights(path, &without).unwrap_err().to_string();
                assert!(error.contains(&format!("holds no tensor `{name}`")), "{error}");
            }
        }
    }

    #[test]
    fn a_generator_with_more_classes_keeps_the_changes_and_starts_new_ones_at_none() {
        let (small, latents) = (adapted(Architecture::Digit), latents(4));
        let more = ModelConfig { classes: 6, ..small.config() };
        let large = Generator::new(more, Random::new(0), Device::Cpu).with_adapters(RANK, Random::new(1));
        let grown = large.on(Device::Reference).holding(&small).start_at_mean(&[4, 5], &[1, 2]);
        assert_eq!(grown.adapted(&[0, 1, 2, 3, 4, 5]), [1, 2]);
        for class in 0..4 {
            let images = |generator: &Generator| numbers(&generator.forward(&latents, &Conditions::pure(&[class])));
            assert!(images(&small) == images(&grown), "class {class}");
        }
        let left = |class: usize| grown.adapters()[0].value.slice(0, class..class + 1).to_vec::<f64>();
        assert!(left(4).iter().all(|&number| number != 0.0) && left(4) != left(5), "a new class can be trained");
    }

    /// The digit generator of the preset `quick`.
    #[test]
    fn a_class_takes_a_few_percent_of_the_parameters() {
        let sizes = ModelConfig { width: 16, ..ModelConfig::default() };
        let trunk = Generator::new(sizes, Random::new(0), Device::Cpu);
        let more = trunk.with_adapters(4, Random::new(0)).parameter_count() - trunk.parameter_count();
        let of_class: usize = [[64, 32 * 25], [32, 16 * 25], [16, 25]].as_flattened().iter().map(|axis| 4 * axis).sum();
        assert_eq!(more, 10 * of_class);
        let share = of_class as f64 / trunk.parameter_count() as f64;
        assert!((0.02..0.03).contains(&share), "{share}");
    }
}
