//! Layers, with the initialisation of the released code (`gan32_model.py`, `gan64_model.py`).

use std::collections::BTreeSet;

use mergan_tensor::{Address, Conv2d, Device, Random, Shape, Tensor};

use crate::parameters::{Parameter, Rows};
use crate::standing::Standing;

/// A source of initial weights: every parameter of a network takes the next address.
pub(crate) struct Initialiser {
    random: Random,
    device: Device,
    address: Address,
}

impl Initialiser {
    /// Streams of initial weights, one per kind of network, so that a critic does not begin like its generator.
    pub(crate) fn new(random: Random, stream: u16, device: Device) -> Self {
        Initialiser { random, device, address: Address { stream, ..Address::default() } }
    }

    /// Numbers distributed evenly with this standard deviation and mean 0.
    fn uniform(&mut self, deviation: f64, shape: [usize; 4]) -> Tensor {
        self.address.inner += 1;
        let unit = self.random.uniform(self.address, shape, self.device);
        unit.shift(-0.5).scale(2.0 * 3f64.sqrt() * deviation)
    }

    fn full(&self, value: f64, shape: [usize; 4]) -> Tensor {
        Tensor::full(value, shape, self.device)
    }
}

/// The slope of a layer without rectifier.
const LINEAR: f64 = 1.0;

/// A linear layer: N x in to N x out.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    /// out x in.
    pub(crate) weight: Tensor,
    /// out.
    pub(crate) bias: Tensor,
}

impl Linear {
    pub(crate) fn new(init: &mut Initialiser, inputs: usize, outputs: usize) -> Self {
        let deviation = (2.0 / (inputs + outputs) as f64).sqrt();
        Linear { weight: init.uniform(deviation, [outputs, inputs, 1, 1]), bias: init.full(0.0, [1, outputs, 1, 1]) }
    }

    /// A linear layer of `inputs` numbers with a one-hot class behind them, whose weights for the classes are a table of
    /// their own: classes x outputs.
    pub(crate) fn with_classes(
        init: &mut Initialiser,
        inputs: usize,
        classes: usize,
        outputs: usize,
    ) -> (Self, Tensor) {
        let deviation = (2.0 / (inputs + classes + outputs) as f64).sqrt();
        let weight = init.uniform(deviation, [outputs, inputs, 1, 1]);
        let table = init.uniform(deviation, [classes, outputs, 1, 1]);
        (Linear { weight, bias: init.full(0.0, [1, outputs, 1, 1]) }, table)
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        x.conv2d_leaky_relu(&self.weight, &self.bias, Conv2d::POINT, LINEAR)
    }

    pub(crate) fn forward_relu(&self, x: &Tensor) -> Tensor {
        x.conv2d_leaky_relu(&self.weight, &self.bias, Conv2d::POINT, 0.0)
    }

    /// The layer applied to flattened feature maps `[n, c, h, w]`, without flattening them: its weight is a kernel that
    /// covers the whole map.
    pub(crate) fn forward_maps(&self, maps: &Tensor) -> Tensor {
        let Shape { c, h, w, .. } = maps.shape();
        maps.conv2d_leaky_relu(&self.weight.unflatten(c, h, w), &self.bias, Conv2d::square(1, 0), LINEAR)
    }

    pub(crate) fn parameters_mut(&mut self, name: &str) -> [Parameter<'_>; 2] {
        weight_and_bias(name, 2, &mut self.weight, &mut self.bias)
    }

    /// As [`Linear::parameters_mut`], of a layer with an output for each class.
    pub(crate) fn class_parameters_mut(&mut self, name: &str) -> [Parameter<'_>; 2] {
        self.parameters_mut(name).map(|parameter| Parameter { rows: Rows::PerClass, ..parameter })
    }
}

/// Kernel size 5, stride 2, padding 2: halves an image, and transposed doubles it.
const HALVING: Conv2d = Conv2d::square(2, 2);
const KERNEL: usize = 5;

/// The standard deviation of initial kernels: only one in stride^2 taps of the larger side's fan is used at a time.
fn kernel_deviation(large: usize, small: usize) -> f64 {
    let taps = (KERNEL * KERNEL) as f64;
    let stride = 4.0;
    (4.0 / (large as f64 * taps + small as f64 * taps / stride)).sqrt()
}

/// A convolution that halves the image, `[n, in, h, w]` to `[n, out, h/2, w/2]`, and a leaky rectifier.
#[derive(Clone, Debug)]
pub(crate) struct Halve {
    /// out x in x 5 x 5.
    pub(crate) weight: Tensor,
    /// out.
    pub(crate) bias: Tensor,
}

impl Halve {
    pub(crate) fn new(init: &mut Initialiser, inputs: usize, outputs: usize) -> Self {
        let weight = init.uniform(kernel_deviation(inputs, outputs), [outputs, inputs, KERNEL, KERNEL]);
        Halve { weight, bias: init.full(0.0, [1, outputs, 1, 1]) }
    }

    pub(crate) fn forward(&self, x: &Tensor, slope: f64) -> Tensor {
        x.conv2d_leaky_relu(&self.weight, &self.bias, HALVING, slope)
    }

    pub(crate) fn parameters_mut(&mut self, name: &str) -> [Parameter<'_>; 2] {
        weight_and_bias(name, 4, &mut self.weight, &mut self.bias)
    }
}

/// A transposed convolution that doubles the image, `[n, in, h, w]` to `[n, out, 2h, 2w]`.
#[derive(Clone, Debug)]
pub(crate) struct Double {
    /// in x out x 5 x 5, PyTorch's order for transposed convolutions.
    pub(crate) weight: Tensor,
    /// out.
    pub(crate) bias: Tensor,
}

impl Double {
    pub(crate) fn new(init: &mut Initialiser, inputs: usize, outputs: usize) -> Self {
        let weight = init.uniform(kernel_deviation(outputs, inputs), [inputs, outputs, KERNEL, KERNEL]);
        Double { weight, bias: init.full(0.0, [1, outputs, 1, 1]) }
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let Shape { n, h, w, .. } = x.shape();
        let doubled = Shape::new(n, self.weight.shape().c, 2 * h, 2 * w);
        x.conv2d_input_grad_leaky_relu(&self.weight, &self.bias, HALVING, doubled, LINEAR)
    }

    pub(crate) fn parameters_mut(&mut self, name: &str) -> [Parameter<'_>; 2] {
        weight_and_bias(name, 4, &mut self.weight, &mut self.bias)
    }
}

/// A convolution that keeps the size of the image: stride 1, an odd kernel and padding to match.
#[derive(Clone, Debug)]
pub(crate) struct Convolution {
    /// out x in x k x k.
    pub(crate) weight: Tensor,
    /// out.
    bias: Option<Tensor>,
}

/// How large initial kernels are: their variance is this over the mean of the fans.
#[derive(Clone, Copy)]
pub(crate) enum Gain {
    /// For a layer without a rectifier around it.
    Glorot = 1,
    /// For a layer behind a rectifier, which halves the variance.
    He = 2,
}

impl Convolution {
    pub(crate) fn new(init: &mut Initialiser, [inputs, outputs]: [usize; 2], kernel: usize, gain: Gain) -> Self {
        let fans = (inputs + outputs) * kernel * kernel;
        let deviation = (2.0 * f64::from(gain as u8) / fans as f64).sqrt();
        let weight = init.uniform(deviation, [outputs, inputs, kernel, kernel]);
        Convolution { weight, bias: Some(init.full(0.0, [1, outputs, 1, 1])) }
    }

    pub(crate) fn without_bias(self) -> Self {
        Convolution { bias: None, ..self }
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        self.leaky_relu(x, LINEAR)
    }

    pub(crate) fn forward_relu(&self, x: &Tensor) -> Tensor {
        self.leaky_relu(x, 0.0)
    }

    fn leaky_relu(&self, x: &Tensor, slope: f64) -> Tensor {
        let map = Conv2d::square(1, self.weight.shape().h / 2);
        match &self.bias {
            Some(bias) => x.conv2d_leaky_relu(&self.weight, bias, map, slope),
            None if slope == LINEAR => x.conv2d(&self.weight, map),
            None => x.conv2d(&self.weight, map).leaky_relu(slope),
        }
    }

    pub(crate) fn parameters_mut(&mut self, name: &str) -> Vec<Parameter<'_>> {
        let weight = Parameter { name: format!("{name}.weight"), axes: 4, rows: Rows::Shared, value: &mut self.weight };
        let bias = self.bias.as_mut().map(|value| Parameter {
            name: format!("{name}.bias"),
            axes: 1,
            rows: Rows::Shared,
            value,
        });
        [weight].into_iter().chain(bias).collect()
    }
}

/// Scale and shift after a normalisation, and the rectifier that follows.
///
/// Those of conditional batch norm have a row for each class (Dumoulin et al., 2017). In the digit generator it is the
/// only place where the class enters.
#[derive(Clone, Debug)]
pub(crate) struct Norm {
    /// Rows x channels.
    pub(crate) scale: Tensor,
    /// Rows x channels.
    pub(crate) shift: Tensor,
    /// Whether there is a row for each class; else there is one.
    rows: Rows,
}

const EPSILON: f64 = 1e-5;

impl Norm {
    pub(crate) fn conditional(init: &Initialiser, classes: usize, channels: usize) -> Self {
        Norm { rows: Rows::PerClass, ..Norm::of_rows(init, classes, channels) }
    }

    pub(crate) fn plain(init: &Initialiser, channels: usize) -> Self {
        Norm::of_rows(init, 1, channels)
    }

    fn of_rows(init: &Initialiser, rows: usize, channels: usize) -> Self {
        let table = [rows, channels, 1, 1];
        Norm { scale: init.full(1.0, table), shift: init.full(0.0, table), rows: Rows::Shared }
    }

    /// Scales and shifts for these conditions, a row for each of their labels.
    fn rows(&self, conditions: &Conditions) -> [Tensor; 2] {
        [&self.scale, &self.shift].map(|table| match self.rows {
            Rows::PerClass => conditions.rows(table),
            Rows::Shared => table.select_rows(&vec![0; conditions.labels.len()]),
        })
    }

    /// Batch norm by the statistics of each group.
    pub(crate) fn forward_relu(&self, x: &Tensor, conditions: &Conditions) -> Tensor {
        let [scale, shift] = self.rows(conditions);
        x.batch_norm_leaky_relu(&scale, &shift, conditions.groups, EPSILON, 0.0)
    }

    /// As [`Norm::forward_relu`], with standing statistics: those of layer `layer`.
    pub(crate) fn forward_relu_standing(
        &self,
        layer: usize,
        x: &Tensor,
        conditions: &Conditions,
        standing: &Standing,
    ) -> Tensor {
        let [scale, shift] = self.affine(layer, conditions, standing);
        x.affine_leaky_relu(&scale, &shift, 0.0)
    }

    /// What the norm comes to for each label with the standing statistics of layer `layer`: scale and shift.
    pub(crate) fn affine(&self, layer: usize, conditions: &Conditions, standing: &Standing) -> [Tensor; 2] {
        let [mean, variance] = standing.rows(layer, &conditions.labels);
        let [scale, shift] = self.rows(conditions);
        let scale = &scale * &variance.shift(EPSILON).sqrt().reciprocal();
        let shift = &shift - &(&mean * &scale);
        [scale, shift]
    }

    /// Layer norm, which no class enters.
    pub(crate) fn layer_relu(&self, x: &Tensor) -> Tensor {
        x.layer_norm_leaky_relu(&self.scale, &self.shift, EPSILON, 0.0)
    }

    pub(crate) fn parameters_mut(&mut self, name: &str) -> [Parameter<'_>; 2] {
        let rows = self.rows;
        let ([scale, shift], axes) = match rows {
            Rows::PerClass => (["g.weight", "b.weight"], 2),
            Rows::Shared => (["weight", "bias"], 1),
        };
        [
            Parameter { name: format!("{name}.{scale}"), axes, rows, value: &mut self.scale },
            Parameter { name: format!("{name}.{shift}"), axes, rows, value: &mut self.shift },
        ]
    }
}

/// The classes of a batch that a generator is asked for, and which of its images are normalised together.
///
/// Batch norm uses the statistics of the batch it is given, in training and after it, as the paper does. So it matters
/// who is in the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    labels: Vec<usize>,
    groups: usize,
}

impl Conditions {
    /// Equal groups, one after another, group i all of class `classes[i]` and normalised by its own statistics.
    pub fn pure(classes: &[usize]) -> Self {
        Conditions { labels: classes.to_vec(), groups: classes.len() }
    }

    /// One group with statistics of its own, image i of class `labels[i]`: the released code's joint training.
    pub fn mixed(labels: &[usize]) -> Self {
        Conditions { labels: labels.to_vec(), groups: 1 }
    }

    /// The rows of a class table, one for each label.
    pub(crate) fn rows(&self, table: &Tensor) -> Tensor {
        table.select_rows(&self.labels)
    }

    /// The classes of a batch that is normalised as one.
    ///
    /// # Panics
    /// When there are several groups.
    pub(crate) fn only_group(&self) -> BTreeSet<usize> {
        assert_eq!(self.groups, 1, "the batch has several groups");
        self.labels.iter().copied().collect()
    }

    /// The class of each of `n` images.
    ///
    /// # Panics
    /// When `n` is no multiple of the number of labels.
    pub fn labels(&self, n: usize) -> Vec<usize> {
        assert!(n.is_multiple_of(self.labels.len()), "{n} images for {} labels", self.labels.len());
        self.labels.iter().flat_map(|&label| std::iter::repeat_n(label, n / self.labels.len())).collect()
    }
}

fn weight_and_bias<'a>(name: &str, axes: usize, weight: &'a mut Tensor, bias: &'a mut Tensor) -> [Parameter<'a>; 2] {
    let rows = Rows::Shared;
    [
        Parameter { name: format!("{name}.weight"), axes, rows, value: weight },
        Parameter { name: format!("{name}.bias"), axes: 1, rows, value: bias },
    ]
}
