//! A trained generator as an ONNX model for any runtime. Latents and classes go in and images come out. Each image is
//! independent of the others because the standing statistics are part of the weights.

mod graph;

use std::fmt::Display;
use std::path::Path;
use std::{iter, vec};

use mergan_models::{Generator, GeneratorLayers, Kernel, Layers, Rows, Weights};
use mergan_record::write_whole;
use mergan_tensor::{Device, Tensor};
use serde_json::json;

use crate::error::{At, Error};
use crate::trained::Trained;
use graph::{Axis, Graph, Type};

/// Writes a generator; see [`model`]. The file never appears incomplete.
///
/// # Errors
/// When the file cannot be written, or several generators make the classes: a model holds one.
pub fn write(path: &Path, trained: &Trained) -> Result<(), Error> {
    let made = generators(trained);
    if made > 1 {
        let reason = format!(
            "{made} generators make these classes, and an ONNX file holds one; export to a name that ends in .safetensors, \
             which holds all, or export the generator.safetensors of the first task"
        );
        return Err(Error::Request(reason));
    }
    write_whole(path, &model(trained)).at("writing", path)
}

/// Returns how many generators make the classes. A class with adapters has a generator of its own.
fn generators(trained: &Trained) -> usize {
    let made = trained.sampler.generators(&trained.generator, &trained.usage.classes);
    let count = |(classes, generator): (Vec<usize>, Generator)| {
        let adapted = generator.adapted(&classes).len();
        adapted + usize::from(adapted < classes.len())
    };
    made.into_iter().map(count).sum()
}

/// Returns the model file of a generator. Of several generators that make the classes, it is that of the newest,
/// without adapters.
///
/// The inputs are `latent` (N x latent, f32) and `class` (N, i64), which gives classes by their numbers in the
/// dataset. The output `image` is N x C x H x W, f32 in (-1, 1). A class that was not learned yields NaN rather than
/// a wrong image. A generator without classes has no input `class`. The metadata entry `classes` names the learned
/// classes, as an object from numbers to names.
pub fn model(trained: &Trained) -> Vec<u8> {
    let config = trained.generator.config();
    let count = || Axis::Free("N");
    let mut graph = Graph::default();
    let latents = graph.input("latent", Type::Float, &[count(), Axis::Fixed(config.latent)]);
    let class = match trained.sampler.only_condition() {
        None => Class::Input(graph.input("class", Type::Int64, &[count()])),
        Some(class) => Class::Only(class),
    };
    let mut weights = Weights::default();
    weights.insert_network("", &trained.generator);
    let norms = trained.standing.affine(&trained.generator).into_iter().enumerate();
    let mut nodes = Nodes { trained, weights, norms, class, graph };
    let image = config.generator(&mut nodes, &latents);

    let names = trained.usage.classes.iter().zip(&trained.usage.class_names);
    let names: serde_json::Map<_, _> = names.map(|(class, name)| (class.to_string(), json!(name))).collect();
    let axes: Vec<_> = [count()].into_iter().chain(config.image_shape().map(Axis::Fixed)).collect();
    nodes.graph.into_model(&image, "image", &axes, &[("classes", json!(names).to_string())])
}

/// A generator's layers as nodes of a graph in which values have names.
struct Nodes<'t> {
    trained: &'t Trained,
    weights: Weights,
    /// The scale and shift of each normalisation, classes x channels, with its number.
    norms: iter::Enumerate<vec::IntoIter<[Tensor; 2]>>,
    class: Class,
    graph: Graph,
}

/// The classes requested of a generator.
enum Class {
    /// The classes given by the input of this name.
    Input(String),
    /// The only class it was ever asked for.
    Only(usize),
}

impl Layers for Nodes<'_> {
    type Value = String;

    fn conv(&mut self, x: &String, name: impl Display, kernel: Kernel) -> String {
        let weight = self.parameter(format!("{name}.weight"));
        let bias = kernel.bias.then(|| self.parameter(format!("{name}.bias")));
        self.graph.convolution(x, &weight, bias.as_deref(), kernel.side as i64 / 2)
    }

    fn add(&mut self, left: &String, right: &String) -> String {
        self.graph.add(left, right)
    }
}

impl GeneratorLayers for Nodes<'_> {
    fn linear(&mut self, x: &String, name: impl Display, _outputs: usize) -> String {
        let [weight, bias] = self.weight_and_bias(name);
        self.graph.linear(x, &weight, &bias)
    }

    fn linear_of_class(&mut self, x: &String, name: impl Display, table: impl Display, outputs: usize) -> String {
        let rows = self.linear(x, name, outputs);
        let of_all = self.weights.get(&format!("{table}.weight")).expect("a generator has all its parameters").clone();
        let of_class = self.of_class(&table.to_string(), &of_all, &[outputs]);
        self.graph.add(&rows, &of_class)
    }

    fn unflatten(&mut self, x: &String, maps: [usize; 3]) -> String {
        self.graph.unflatten(x, maps.map(|length| length as i64))
    }

    fn batch_norm_relu(&mut self, x: &String, _name: impl Display, _rows: Rows) -> String {
        let (layer, [scale, shift]) = self.norms.next().expect("a generator has all its normalisations");
        let axes = [scale.shape()[1], 1, 1];
        let scale = self.of_class(&format!("norm{layer}.scale"), &scale, &axes);
        let shift = self.of_class(&format!("norm{layer}.shift"), &shift, &axes);
        self.graph.affine_relu(x, &scale, &shift)
    }

    fn conv_transpose(&mut self, x: &String, name: impl Display, _outputs: usize) -> String {
        let [weight, bias] = self.weight_and_bias(name);
        self.graph.double(x, &weight, &bias)
    }

    fn upsample(&mut self, x: &String) -> String {
        self.graph.upsample(x)
    }

    fn tanh(&mut self, x: &String) -> String {
        self.graph.tanh(x)
    }
}

impl Nodes<'_> {
    /// Selects the rows of a table for the requested classes, with these axes; a generator without classes always
    /// uses the row of its only one. A class that was not learned yields NaN.
    fn of_class(&mut self, name: &str, table: &Tensor, axes: &[usize]) -> String {
        let (learned, classes) = (&self.trained.usage.classes, table.shape()[0]);
        let class = match &self.class {
            Class::Input(class) => class,
            Class::Only(class) => {
                let row = table.slice(0, *class..class + 1);
                return self.graph.constant(name, &row, &[&[1], axes].concat());
            }
        };
        let mut numbers = table.to_vec::<f32>();
        for (class, row) in numbers.chunks_mut(table.shape()[1]).enumerate() {
            if !learned.contains(&class) {
                row.fill(f32::NAN);
            }
        }
        let table = Tensor::from_vec(numbers, table.shape(), Device::Cpu);
        let table = self.graph.constant(name, &table, &[&[classes], axes].concat());
        self.graph.rows(&table, class)
    }

    fn weight_and_bias(&mut self, layer: impl Display) -> [String; 2] {
        ["weight", "bias"].map(|name| self.parameter(format!("{layer}.{name}")))
    }

    fn parameter(&mut self, name: String) -> String {
        let value = self.weights.get(&name).expect("a generator has all its parameters");
        self.graph.constant(&name, value, value.shape().axes())
    }
}
