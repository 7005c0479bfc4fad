//! Layers, with the initialisation of the released code (`gan32_model.py`).

use mergan_tensor::{Address, Conv2d, Device, Random, Shape, Tensor};

use crate::parameters::Parameter;
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

/// For each class its own scale and shift after batch normalisation, and the rectifier that follows
/// (Dumoulin et al., 2017). In the digit generator it is the only place where the class enters.
#[derive(Clone, Debug)]
pub(crate) struct ConditionalBatchNorm {
    /// classes x channels.
    pub(crate) scale: Tensor,
    /// classes x channels.
    pub(crate) shift: Tensor,
}

const EPSILON: f64 = 1e-5;

impl ConditionalBatchNorm {
    pub(crate) fn new(init: &Initialiser, classes: usize, channels: usize) -> Self {
        let table = [classes, channels, 1, 1];
        ConditionalBatchNorm { scale: init.full(1.0, table), shift: init.full(0.0, table) }
    }

    pub(crate) fn forward_relu(&self, x: &Tensor, conditions: &Conditions) -> Tensor {
        let rows = |table: &Tensor| table.select_rows(&conditions.labels);
        x.batch_norm_leaky_relu(&rows(&self.scale), &rows(&self.shift), conditions.groups, EPSILON, 0.0)
    }

    /// As [`ConditionalBatchNorm::forward_relu`], with standing statistics: those of layer `layer`.
    pub(crate) fn forward_relu_standing(
        &self,
        layer: usize,
        x: &Tensor,
        conditions: &Conditions,
        standing: &Standing,
    ) -> Tensor {
        let [mean, variance] = standing.rows(layer, &conditions.labels);
        let scale = &self.scale.select_rows(&conditions.labels) * &variance.shift(EPSILON).sqrt().reciprocal();
        let shift = &self.shift.select_rows(&conditions.labels) - &(&mean * &scale);
        x.affine_leaky_relu(&scale, &shift, 0.0)
    }

    /// The rows of the `new` classes become the mean of those of the `learned` ones.
    pub(crate) fn start_at_mean(&mut self, new: &[usize], learned: &[usize]) {
        for table in [&mut self.scale, &mut self.shift] {
            let Shape { n: classes, c, .. } = table.shape();
            let mean = table.detach().select_rows(learned).mean_to(Shape::vector(c));
            let change = &mean.broadcast_to(Shape::matrix(new.len(), c)) - &table.detach().select_rows(new);
            *table = &table.detach() + &change.add_rows(new, classes);
        }
    }

    pub(crate) fn parameters_mut(&mut self, name: &str) -> [Parameter<'_>; 2] {
        [
            Parameter { name: format!("{name}.g.weight"), axes: 2, value: &mut self.scale },
            Parameter { name: format!("{name}.b.weight"), axes: 2, value: &mut self.shift },
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
    [
        Parameter { name: format!("{name}.weight"), axes, value: weight },
        Parameter { name: format!("{name}.bias"), axes: 1, value: bias },
    ]
}
