//! A trained generator as an ONNX model, for whatever runs those: latents and classes in, images out, one independent of
//! another because the standing statistics are part of the weights.

mod graph;

use std::path::Path;

use mergan_models::{Architecture, ModelConfig, Weights};
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
    let class = trained.solver.is_none().then(|| graph.input("class", Type::Int64, &[count()]));
    let mut weights = Weights::default();
    weights.insert_network("", &trained.generator);
    let norms = trained.standing.affine(&trained.generator);
    let mut layers = Layers { trained, config, weights, norms, class, graph };
    let image = match config.architecture {
        Architecture::Digit => layers.digit(&latents),
        Architecture::Resnet => layers.residual(&latents),
    };

    let names = trained.usage.classes.iter().zip(&trained.usage.class_names);
    let names: serde_json::Map<_, _> = names.map(|(class, name)| (class.to_string(), json!(name))).collect();
    let axes: Vec<_> = [count()].into_iter().chain(config.image_shape().map(Axis::Fixed)).collect();
    layers.graph.into_model(&image, "image", &axes, &[("classes", json!(names).to_string())])
}

/// A generator's layers on their way into a graph.
struct Layers<'t> {
    trained: &'t Trained,
    config: ModelConfig,
    weights: Weights,
    /// What each normalisation comes to: scale and shift, classes x channels.
    norms: Vec<[Tensor; 2]>,
    /// The input that says the classes, where the generator knows any.
    class: Option<String>,
    graph: Graph,
}

impl Layers<'_> {
    /// The three-layer DCGAN.
    fn digit(&mut self, latents: &str) -> String {
        let rows = self.linear(latents, "fc");
        let mut maps = self.graph.unflatten(&rows, [4 * self.config.width as i64, 4, 4]);
        for layer in 0..3 {
            let normalised = self.norm_relu(&maps, layer);
            let [weight, bias] = self.parameters(&format!("c{}", layer + 1));
            maps = self.graph.double(&normalised, &weight, &bias);
        }
        self.graph.tanh(&maps)
    }

    /// The residual network.
    fn residual(&mut self, latents: &str) -> String {
        let label = self.weights.get("label.weight").expect("a residual generator has labels").clone();
        let rows = self.linear(latents, "fc");
        let of_class = self.of_class("label", &label, &[label.shape().c]);
        let rows = self.graph.add(&rows, &of_class);
        let mut maps = self.graph.unflatten(&rows, [8 * self.config.width as i64, 4, 4]);
        for block in 1..=4 {
            let normalised = self.norm_relu(&maps, 2 * block - 2);
            let doubled = self.graph.upsample(&normalised);
            let weight = self.parameter(&format!("r{block}.c1.weight"));
            let inner = self.graph.convolution(&doubled, &weight, None, 1);
            let normalised = self.norm_relu(&inner, 2 * block - 1);
            let [weight, bias] = self.parameters(&format!("r{block}.c2"));
            let outer = self.graph.convolution(&normalised, &weight, Some(&bias), 1);
            let [weight, bias] = self.parameters(&format!("r{block}.skip"));
            let shortcut = self.graph.convolution(&maps, &weight, Some(&bias), 0);
            let shortcut = self.graph.upsample(&shortcut);
            maps = self.graph.add(&shortcut, &outer);
        }
        let normalised = self.norm_relu(&maps, 8);
        let [weight, bias] = self.parameters("c");
        let image = self.graph.convolution(&normalised, &weight, Some(&bias), 1);
        self.graph.tanh(&image)
    }

    fn linear(&mut self, x: &str, name: &str) -> String {
        let [weight, bias] = self.parameters(name);
        self.graph.linear(x, &weight, &bias)
    }

    /// Normalisation `layer`, counted from 0, and its rectifier.
    fn norm_relu(&mut self, maps: &str, layer: usize) -> String {
        let [scale, shift] = self.norms[layer].clone();
        let axes = [scale.shape().c, 1, 1];
        let scale = self.of_class(&format!("norm{layer}.scale"), &scale, &axes);
        let shift = self.of_class(&format!("norm{layer}.shift"), &shift, &axes);
        self.graph.affine_relu(maps, &scale, &shift)
    }

    /// The rows of a table for the classes asked for, with these axes; without classes, the row of the only one that the
    /// generator has ever been asked for. A class that was not learned has no numbers.
    fn of_class(&mut self, name: &str, table: &Tensor, axes: &[usize]) -> String {
        let (learned, classes) = (&self.trained.usage.classes, table.shape().n);
        let Some(class) = &self.class else {
            let row = table.rows(learned[0]..learned[0] + 1);
            return self.graph.constant(name, &row, &[&[1], axes].concat());
        };
        let mut numbers = table.to_vec::<f32>();
        for (class, row) in numbers.chunks_mut(table.shape().c).enumerate() {
            if !learned.contains(&class) {
                row.fill(f32::NAN);
            }
        }
        let table = Tensor::from_vec(numbers, table.shape(), Device::Cpu);
        let table = self.graph.constant(name, &table, &[&[classes], axes].concat());
        self.graph.rows(&table, class)
    }

    fn parameters(&mut self, layer: &str) -> [String; 2] {
        ["weight", "bias"].map(|name| self.parameter(&format!("{layer}.{name}")))
    }

    fn parameter(&mut self, name: &str) -> String {
        let found = self.weights.axes(name).zip(self.weights.get(name));
        let (axes, value) = found.expect("a generator has all its parameters");
        self.graph.constant(name, value, axes)
    }
}
