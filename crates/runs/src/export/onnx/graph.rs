//! An ONNX graph under construction. Each operation adds a node and returns the name of its value.

use mergan_tensor::Tensor;

use crate::export::protobuf::Message;

/// The version of the operators.
pub const OPERATORS: i64 = 13;
/// The version of the file format. Like the operators it is from 2021, so that older runtimes read it too.
const FORMAT: i64 = 7;

/// The types of numbers.
#[derive(Clone, Copy)]
pub enum Type {
    Float = 1,
    Int64 = 7,
}

/// The length of an axis of an input or output.
pub enum Axis {
    /// The caller chooses the length, which has this name.
    Free(&'static str),
    Fixed(usize),
}

/// A graph under construction.
#[derive(Default)]
pub struct Graph {
    nodes: Vec<Message>,
    initialisers: Vec<Message>,
    inputs: Vec<Message>,
}

/// An attribute of a node.
enum Attribute<'a> {
    Int(&'a str, i64),
    Ints(&'a str, &'a [i64]),
    Text(&'a str, &'a str),
}

impl Graph {
    /// Adds an input.
    pub fn input(&mut self, name: &str, kind: Type, axes: &[Axis]) -> String {
        self.inputs.push(value_info(name, kind, axes));
        name.into()
    }

    /// Adds a constant with the axes it has in PyTorch.
    pub fn constant(&mut self, name: &str, value: &Tensor, axes: &[usize]) -> String {
        let numbers: Vec<u8> = value.to_vec::<f32>().into_iter().flat_map(f32::to_le_bytes).collect();
        self.initialise(name, Type::Float, axes, &numbers)
    }

    /// Multiplies the rows of `x` with those of `weight` and adds `bias`.
    pub fn linear(&mut self, x: &str, weight: &str, bias: &str) -> String {
        self.node("Gemm", &[x, weight, bias], &[Attribute::Int("transB", 1)])
    }

    /// Reshapes rows to feature maps.
    pub fn unflatten(&mut self, x: &str, [c, h, w]: [i64; 3]) -> String {
        let numbers: Vec<u8> = [-1, c, h, w].into_iter().flat_map(i64::to_le_bytes).collect();
        let shape = self.initialise(&format!("{x}.shape"), Type::Int64, &[4], &numbers);
        self.node("Reshape", &[x, &shape], &[])
    }

    /// Selects rows of a table, one for each of `indices`.
    pub fn rows(&mut self, table: &str, indices: &str) -> String {
        self.node("Gather", &[table, indices], &[])
    }

    /// Adds two values.
    pub fn add(&mut self, left: &str, right: &str) -> String {
        self.node("Add", &[left, right], &[])
    }

    /// Computes `x * scale + shift` followed by a rectifier.
    pub fn affine_relu(&mut self, x: &str, scale: &str, shift: &str) -> String {
        let scaled = self.node("Mul", &[x, scale], &[]);
        let shifted = self.add(&scaled, shift);
        self.node("Relu", &[&shifted], &[])
    }

    /// Applies a transposed convolution with kernels of 5 x 5 that doubles the image size.
    pub fn double(&mut self, x: &str, weight: &str, bias: &str) -> String {
        let attributes = [
            Attribute::Ints("strides", &[2, 2]),
            Attribute::Ints("pads", &[2, 2, 2, 2]),
            Attribute::Ints("output_padding", &[1, 1]),
        ];
        self.node("ConvTranspose", &[x, weight, bias], &attributes)
    }

    /// Applies a convolution of stride 1.
    pub fn convolution(&mut self, x: &str, weight: &str, bias: Option<&str>, padding: i64) -> String {
        let inputs: Vec<_> = [x, weight].into_iter().chain(bias).collect();
        self.node("Conv", &inputs, &[Attribute::Ints("pads", &[padding; 4])])
    }

    /// Doubles the image size by repeating each pixel four times.
    pub fn upsample(&mut self, x: &str) -> String {
        let numbers: Vec<u8> = [1.0_f32, 1.0, 2.0, 2.0].into_iter().flat_map(f32::to_le_bytes).collect();
        let scales = self.initialise(&format!("{x}.scales"), Type::Float, &[4], &numbers);
        let attributes = [
            Attribute::Text("mode", "nearest"),
            Attribute::Text("coordinate_transformation_mode", "asymmetric"),
            Attribute::Text("nearest_mode", "floor"),
        ];
        // The empty input in between is the alternative way to give the size.
        self.node("Resize", &[x, "", &scales], &attributes)
    }

    /// Applies the hyperbolic tangent.
    pub fn tanh(&mut self, x: &str) -> String {
        self.node("Tanh", &[x], &[])
    }

    /// Returns the model file of this graph. Its output is the value `last` under the name `output`; `metadata` are
    /// texts by name.
    pub fn into_model(mut self, last: &str, output: &str, axes: &[Axis], metadata: &[(&str, String)]) -> Vec<u8> {
        self.nodes.push(Message::new().bytes(1, last).bytes(2, output).bytes(4, "Identity"));
        let graph = Message::new()
            .messages(1, &self.nodes)
            .bytes(2, "generator")
            .messages(5, &self.initialisers)
            .messages(11, &self.inputs)
            .message(12, &value_info(output, Type::Float, axes));
        let metadata: Vec<_> =
            metadata.iter().map(|(key, value)| Message::new().bytes(1, key).bytes(2, value)).collect();
        Message::new()
            .int(1, FORMAT)
            .bytes(2, "mergan")
            .bytes(3, env!("CARGO_PKG_VERSION"))
            .message(7, &graph)
            .message(8, &Message::new().bytes(1, "").int(2, OPERATORS))
            .messages(14, &metadata)
            .into_bytes()
    }

    fn initialise(&mut self, name: &str, kind: Type, axes: &[usize], numbers: &[u8]) -> String {
        let tensor = Message::new().ints(1, axes.iter().map(|&axis| axis as i64)).int(2, kind as i64);
        self.initialisers.push(tensor.bytes(8, name).bytes(9, numbers));
        name.into()
    }

    /// Adds a node with one output.
    fn node(&mut self, operator: &str, inputs: &[&str], attributes: &[Attribute]) -> String {
        let output = format!("{operator}.{}", self.nodes.len());
        let node = inputs.iter().fold(Message::new(), |node, input| node.bytes(1, input)).bytes(2, &output);
        let attributes: Vec<_> = attributes.iter().map(Attribute::encode).collect();
        self.nodes.push(node.bytes(3, &output).bytes(4, operator).messages(5, &attributes));
        output
    }
}

impl Attribute<'_> {
    fn encode(&self) -> Message {
        match *self {
            Attribute::Int(name, value) => Message::new().bytes(1, name).int(3, value).int(20, 2),
            Attribute::Text(name, value) => Message::new().bytes(1, name).bytes(4, value).int(20, 3),
            Attribute::Ints(name, values) => Message::new().bytes(1, name).ints(8, values.iter().copied()).int(20, 7),
        }
    }
}

fn value_info(name: &str, kind: Type, axes: &[Axis]) -> Message {
    let dimension = |axis: &Axis| match *axis {
        Axis::Fixed(length) => Message::new().int(1, length as i64),
        Axis::Free(name) => Message::new().bytes(2, name),
    };
    let shape = Message::new().messages(1, &axes.iter().map(dimension).collect::<Vec<_>>());
    let tensor = Message::new().int(1, kind as i64).message(2, &shape);
    Message::new().bytes(1, name).message(2, &Message::new().message(1, &tensor))
}
