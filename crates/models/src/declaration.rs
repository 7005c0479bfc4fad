//! The parameters of a network before they have values: names, shapes and initial distributions. They are collected by
//! applying the network to shapes, so nothing is computed, and no memory is allocated however large the sizes are.
//!
//! Initial distributions are those of the released code (`gan32_model.py`, `gan64_model.py`).

use std::fmt::Display;
use std::path::Path;

use mergan_nn::{Parameter, Rows, Weights, WeightsError};
use mergan_tensor::{Address, Device, Random, Shape, Tensor};

use crate::config::NetworkSize;
use crate::layers::{CriticLayers, GeneratorLayers, Kernel, Layers};

/// The parameters of the layers that were applied, in the order of the state dictionary.
pub(crate) struct Declaration {
    classes: usize,
    parameters: Vec<Declared>,
    /// The numbers that the layers with parameters return for one image, all together.
    results: usize,
}

struct Declared {
    name: String,
    rows: Rows,
    /// The lengths of the axes in the state dictionary.
    axes: Vec<usize>,
    start: Start,
}

/// The initial distribution of a parameter.
enum Start {
    /// Uniform around 0, with this standard deviation.
    Uniform { deviation: f64 },
    /// The same number everywhere.
    Constant(f64),
}

/// The kernel size and the stride of the convolutions that halve or double the image.
const KERNEL: usize = 5;
const STRIDE: usize = 2;

/// Returns the standard deviation of kernels with `large` channels at the larger image and `small` at the smaller one.
/// Only one in stride^2 taps of a kernel reaches any given pixel of the larger image.
fn strided_deviation(large: usize, small: usize) -> f64 {
    let taps = (KERNEL * KERNEL) as f64;
    (4.0 / (large as f64 * taps + small as f64 * taps / (STRIDE * STRIDE) as f64)).sqrt()
}

fn linear_deviation(fans: usize) -> f64 {
    (2.0 / fans as f64).sqrt()
}

impl Declaration {
    /// Creates an empty declaration for a network with this number of classes.
    pub(crate) fn new(classes: usize) -> Self {
        Declaration { classes, parameters: Vec::new(), results: 0 }
    }

    /// Returns the parameters with initial values. Each random parameter takes the next address of `stream`. Every kind
    /// of network has its own stream, so that a critic does not start with the same values as its generator.
    pub(crate) fn fresh(self, random: Random, stream: u16, device: Device) -> Vec<Parameter> {
        let mut address = Address { stream, ..Address::default() };
        let fresh = |Declared { name, rows, axes, start }| {
            let shape = shape_of(&axes);
            let value = match start {
                Start::Uniform { deviation } => {
                    address.substep += 1;
                    (random.uniform(address, shape, device) - 0.5) * (2.0 * 3f64.sqrt() * deviation)
                }
                Start::Constant(number) => Tensor::full(number, shape, device),
            };
            Parameter { rows, ..Parameter::new(name, value) }
        };
        self.parameters.into_iter().map(fresh).collect()
    }

    /// Returns the parameters with their values in a file. `path` names the file in errors.
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or has another shape.
    pub(crate) fn read(self, path: &Path, weights: &Weights) -> Result<Vec<Parameter>, WeightsError> {
        let read = |Declared { name, rows, axes, .. }| {
            let value = weights.require(path, &name, shape_of(&axes))?;
            Ok(Parameter { rows, ..Parameter::new(name, value) })
        };
        self.parameters.into_iter().map(read).collect()
    }

    /// Returns the parameters' names and shapes in the state dictionary.
    pub(crate) fn axes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.parameters.iter().map(|parameter| (parameter.name.as_str(), parameter.axes.as_slice()))
    }

    /// Returns the size of the network.
    pub(crate) fn size(&self) -> NetworkSize {
        let parameters = self.parameters.iter().map(|parameter| parameter.axes.iter().product::<usize>()).sum();
        NetworkSize { parameters, results: self.results }
    }

    /// Declares a linear layer of a vector.
    pub(crate) fn linear_layer(&mut self, x: Sizes, name: impl Display, outputs: usize, rows: Rows) -> Sizes {
        self.weight(&name, rows, vec![outputs, x.len()], linear_deviation(x.len() + outputs));
        self.bias(name, rows, outputs);
        self.result(Sizes::row(outputs))
    }

    /// Counts the result of a layer.
    fn result(&mut self, result: Sizes) -> Sizes {
        self.results += result.len();
        result
    }

    fn declare(&mut self, name: String, rows: Rows, axes: Vec<usize>, start: Start) {
        self.parameters.push(Declared { name, rows, axes, start });
    }

    fn weight(&mut self, name: impl Display, rows: Rows, axes: Vec<usize>, deviation: f64) {
        self.declare(format!("{name}.weight"), rows, axes, Start::Uniform { deviation });
    }

    fn bias(&mut self, name: impl Display, rows: Rows, outputs: usize) {
        self.declare(format!("{name}.bias"), rows, vec![outputs], Start::Constant(0.0));
    }

    fn norm(&mut self, name: impl Display, rows: Rows, channels: usize) {
        let (scale, shift, axes) = match rows {
            Rows::PerClass => ("g.weight", "b.weight", vec![self.classes, channels]),
            Rows::Shared => ("weight", "bias", vec![channels]),
        };
        self.declare(format!("{name}.{scale}"), rows, axes.clone(), Start::Constant(1.0));
        self.declare(format!("{name}.{shift}"), rows, axes, Start::Constant(0.0));
    }
}

/// The shape of a layer's input for one image: maps of C channels, or a row, which is a map of one pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) c: usize,
    pub(crate) h: usize,
    pub(crate) w: usize,
}

impl Sizes {
    /// Returns the shape of a row of `c` numbers.
    pub(crate) const fn row(c: usize) -> Self {
        Sizes { c, h: 1, w: 1 }
    }

    const fn len(&self) -> usize {
        self.c * self.h * self.w
    }
}

fn shape_of(axes: &[usize]) -> Shape {
    Shape::of(axes).expect("parameters have one, two or four axes")
}

/// The values are the shapes of a layer's results for one image.
impl Layers for Declaration {
    type Value = Sizes;

    fn conv(&mut self, x: &Sizes, name: impl Display, kernel: Kernel) -> Sizes {
        let Kernel { side, outputs, bias, gain } = kernel;
        let fans = (x.c + outputs) * side * side;
        self.weight(&name, Rows::Shared, vec![outputs, x.c, side, side], (2.0 * gain / fans as f64).sqrt());
        if bias {
            self.bias(name, Rows::Shared, outputs);
        }
        self.result(Sizes { c: outputs, ..*x })
    }

    fn add(&mut self, left: &Sizes, right: &Sizes) -> Sizes {
        assert_eq!(left, right, "only values of the same shape can be added");
        *left
    }
}

impl GeneratorLayers for Declaration {
    fn linear(&mut self, x: &Sizes, name: impl Display, outputs: usize) -> Sizes {
        self.linear_layer(*x, name, outputs, Rows::Shared)
    }

    fn linear_of_class(&mut self, x: &Sizes, name: impl Display, table: impl Display, outputs: usize) -> Sizes {
        let deviation = linear_deviation(x.c + self.classes + outputs);
        self.weight(&name, Rows::Shared, vec![outputs, x.c], deviation);
        self.bias(name, Rows::Shared, outputs);
        self.weight(table, Rows::PerClass, vec![self.classes, outputs], deviation);
        self.result(Sizes::row(outputs))
    }

    fn unflatten(&mut self, x: &Sizes, [c, h, w]: [usize; 3]) -> Sizes {
        let maps = Sizes { c, h, w };
        assert_eq!(x.len(), maps.len(), "{x:?} is not as long as {maps:?}");
        maps
    }

    fn batch_norm_relu(&mut self, x: &Sizes, name: impl Display, rows: Rows) -> Sizes {
        self.norm(name, rows, x.c);
        self.result(*x)
    }

    fn conv_transpose(&mut self, x: &Sizes, name: impl Display, outputs: usize) -> Sizes {
        let deviation = strided_deviation(outputs, x.c);
        self.weight(&name, Rows::Shared, vec![x.c, outputs, KERNEL, KERNEL], deviation);
        self.bias(name, Rows::Shared, outputs);
        let upsampled = self.upsample(x);
        self.result(Sizes { c: outputs, ..upsampled })
    }

    fn upsample(&mut self, x: &Sizes) -> Sizes {
        Sizes { h: 2 * x.h, w: 2 * x.w, ..*x }
    }

    fn tanh(&mut self, x: &Sizes) -> Sizes {
        *x
    }
}

impl CriticLayers for Declaration {
    fn conv_halving_leaky_relu(&mut self, x: &Sizes, name: impl Display, outputs: usize, _slope: f64) -> Sizes {
        let deviation = strided_deviation(x.c, outputs);
        self.weight(&name, Rows::Shared, vec![outputs, x.c, KERNEL, KERNEL], deviation);
        self.bias(name, Rows::Shared, outputs);
        let pooled = self.average_pool(x);
        self.result(Sizes { c: outputs, ..pooled })
    }

    fn relu(&mut self, x: &Sizes) -> Sizes {
        *x
    }

    fn layer_norm_relu(&mut self, x: &Sizes, name: impl Display) -> Sizes {
        self.norm(name, Rows::Shared, x.c);
        self.result(*x)
    }

    fn average_pool(&mut self, x: &Sizes) -> Sizes {
        Sizes { h: x.h / 2, w: x.w / 2, ..*x }
    }

    fn average_all(&mut self, x: &Sizes) -> Sizes {
        Sizes::row(x.c)
    }

    fn head(&mut self, maps: &Sizes, name: impl Display, outputs: usize, rows: Rows) -> Sizes {
        self.linear_layer(*maps, name, outputs, rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the standard deviation of the initial values of the first parameter that `layer` declares.
    fn deviation(layer: impl FnOnce(&mut Declaration)) -> f64 {
        let mut declaration = Declaration::new(10);
        layer(&mut declaration);
        let parameters = declaration.fresh(Random::new(0), 0, Device::Cpu);
        parameters[0].value.square().mean().item().sqrt()
    }

    #[test]
    fn initial_kernels_have_the_released_codes_deviation() {
        let maps = |c| Sizes { c, h: 8, w: 8 };
        // The expected value is sigma = sqrt(4 / (fan_in + fan_out)), with one of the fans divided by the squared
        // stride.
        let halving = deviation(|net| _ = net.conv_halving_leaky_relu(&maps(32), "c2", 64, 0.2));
        approx::assert_relative_eq!(halving, (4.0f64 / (800.0 + 400.0)).sqrt(), max_relative = 0.02);
        let doubling = deviation(|net| _ = net.conv_transpose(&maps(128), "c1", 64));
        approx::assert_relative_eq!(doubling, (4.0f64 / (800.0 + 1600.0)).sqrt(), max_relative = 0.02);
        let linear = deviation(|net| _ = net.linear(&Sizes::row(128), "fc", 2048));
        approx::assert_relative_eq!(linear, (2.0f64 / (128.0 + 2048.0)).sqrt(), max_relative = 0.02);
    }
}
