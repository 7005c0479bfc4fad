//! A trained generator as an ONNX model, for whatever runs those: latents and classes in, images out, one independent of
//! another because the standing statistics are part of the weights.

mod graph;

use std::fmt::Display;
use std::path::Path;
use std::{iter, vec};

use mergan_models::{GeneratorLayers, Kernel, Layers, Rows, Weights};
use mergan_record::write_whole;
use mergan_tensor::{Device, Tensor};
use serde_json::json;

use crate::error::{At, Error};
use crate::trained::Trained;
use graph::{Axis, Graph, Type};

/// Writes a generator, whole or not at all; see [`model`].
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, trained: &Trained) -> Result<(), Error> {
    write_whole(path, &model(trained)).at("writing", path)
}

/// The model file of a generator.
///
/// Inputs are `latent` (N x latent, f32) and `class` (N, i64), the classes by their numbers in the dataset; the output
/// `image` is N x C x H x W, f32 in (-1, 1). A class that was not learned gives an image of NaN: none rather than a wrong
/// one. A generator that knows no classes has no input `class`. The metadata name the learned classes (`classes`, an
/// object from numbers to names).
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

/// A generator's layers as nodes of a graph, in which values have names.
struct Nodes<'t> {
    trained: &'t Trained,
    weights: Weights,
    /// What each normalisation comes to, with its number: scale and shift, classes x channels.
    norms: iter::Enumerate<vec::IntoIter<[Tensor; 2]>>,
    class: Class,
    graph: Graph,
}

/// Which classes a generator is asked for.
enum Class {
    /// Those that an input of this name says.
    Input(String),
    /// The only one that it has ever been asked for.
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
    /// The rows of a table for the classes asked for, with these axes; of a generator that knows none, the row of
    /// the only one. A class that was not learned has no numbers.
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
