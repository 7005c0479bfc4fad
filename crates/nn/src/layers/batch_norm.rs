//! Batch normalisation (Ioffe and Szegedy, 2015), plain and conditional.

use mergan_tensor::{Tensor, no_grad};

use super::{EPSILON, LINEAR, require_channels};
use crate::init::Init;
use crate::mode::is_training;
use crate::network::{Buffer, Layer, Network, Parameter, Rows};
use crate::scope::Scope;

/// Batch normalisation of images or rows, channel by channel, like PyTorch's `BatchNorm2d` and `BatchNorm1d`:
///
/// ```text
/// y = (x - mean) / sqrt(variance + epsilon) * weight + bias
/// ```
///
/// During training, the mean and the variance are those of the batch, and the layer keeps running averages of them.
/// Within [`evaluate`](crate::evaluate) it uses the averages, so an image does not depend on the others in its batch.
///
/// PyTorch also counts the batches, in `num_batches_tracked`; the count is not used here, and PyTorch can do without
/// it.
#[derive(Clone, Debug)]
pub struct BatchNorm2d {
    /// The scale, `[channels]`.
    pub weight: Parameter,
    /// The shift, `[channels]`.
    pub bias: Parameter,
    /// The statistics that evaluation normalises by.
    pub running: RunningStatistics,
}

impl BatchNorm2d {
    /// Creates a layer with scale 1 and shift 0.
    pub fn new(at: &Scope, channels: usize) -> Self {
        BatchNorm2d {
            weight: at.parameter("weight", [channels], Init::Constant(1.0)),
            bias: at.parameter("bias", [channels], Init::Constant(0.0)),
            running: RunningStatistics::new(at, channels),
        }
    }
}

impl Network for BatchNorm2d {
    fn parameters(&self) -> Vec<Parameter> {
        self.running.listed(&self.weight, &self.bias)
    }

    fn parameters_mut(&mut self) -> Vec<&mut Parameter> {
        self.running.listed_mut(&mut self.weight, &mut self.bias)
    }
}

impl Layer for BatchNorm2d {
    /// Maps images `[n, channels, h, w]` or rows `[n, channels]` to the same shape.
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        require_channels(&self.weight, self.weight.value.shape()[0], x);
        self.running.normalise(x, [&self.weight.value, &self.bias.value])
    }
}

/// Batch normalisation in which every class has its own scale and shift (Dumoulin et al., 2017). Conditional generators
/// use it to tell classes apart.
///
/// All images of a batch are normalised together, whatever their classes.
///
/// ```
/// use mergan_nn::{ConditionalBatchNorm2d, Scope};
/// use mergan_tensor::{Device, Random, Tensor};
///
/// let norm = ConditionalBatchNorm2d::new(&Scope::new(Random::new(0), Device::Cpu), 10, 16);
/// let maps = norm.forward(&Tensor::zeros([3, 16, 8, 8], Device::Cpu), &[7, 2, 7]);
/// assert_eq!(maps.shape(), [3, 16, 8, 8]);
/// ```
#[derive(Clone, Debug)]
pub struct ConditionalBatchNorm2d {
    /// The scales, `[classes, channels]`.
    pub weight: Parameter,
    /// The shifts, `[classes, channels]`.
    pub bias: Parameter,
    /// The statistics that evaluation normalises by.
    pub running: RunningStatistics,
}

impl ConditionalBatchNorm2d {
    /// Creates a layer in which all classes start with scale 1 and shift 0.
    pub fn new(at: &Scope, classes: usize, channels: usize) -> Self {
        let table = |name, number| {
            let table = at.parameter(name, [classes, channels], Init::Constant(number));
            Parameter { rows: Rows::PerClass, ..table }
        };
        ConditionalBatchNorm2d {
            weight: table("weight", 1.0),
            bias: table("bias", 0.0),
            running: RunningStatistics::new(at, channels),
        }
    }

    /// Normalises images `[n, channels, h, w]` or rows `[n, channels]` of these classes. The shape stays the same.
    ///
    /// # Panics
    /// Panics if `x` has another shape, if `classes` does not have one entry per image, or if one of them is not in the
    /// tables.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, classes: &[usize]) -> Tensor {
        require_channels(&self.weight, self.weight.value.shape()[1], x);
        let (images, given) = (x.shape()[0], classes.len());
        assert!(given == images, "the layer of `{}` is given {given} classes for {images} images", self.weight.name);
        let [scale, shift] = [&self.weight, &self.bias].map(|table| table.value.index_select(0, classes));
        self.running.normalise(x, [&scale, &shift])
    }
}

impl Network for ConditionalBatchNorm2d {
    fn parameters(&self) -> Vec<Parameter> {
        self.running.listed(&self.weight, &self.bias)
    }

    fn parameters_mut(&mut self) -> Vec<&mut Parameter> {
        self.running.listed_mut(&mut self.weight, &mut self.bias)
    }
}

/// Folds given statistics into the scale and the shift that follow a normalisation by them, so that one multiplication
/// and one addition do both: returns `scale / sqrt(variance + epsilon)`, and the shift less the mean times that.
///
/// # Panics
/// Panics if the shapes cannot be broadcast together.
#[track_caller]
pub fn fold_statistics([scale, shift]: [&Tensor; 2], [mean, variance]: [&Tensor; 2], epsilon: f64) -> [Tensor; 2] {
    let scale = scale * (variance + epsilon).sqrt().recip();
    let shift = shift - mean * &scale;
    [scale, shift]
}

/// The running statistics of the batches that a batch norm layer has seen.
#[derive(Clone, Debug)]
pub struct RunningStatistics {
    /// `running_mean`, `[channels]`.
    pub mean: Buffer,
    /// `running_var`, `[channels]`: the average of unbiased variances.
    pub variance: Buffer,
    /// The weight of a new batch in the averages: 0.1, as in PyTorch.
    pub momentum: f64,
    /// The number added to a variance before its square root: 1e-5, as in PyTorch.
    pub epsilon: f64,
}

impl RunningStatistics {
    fn new(at: &Scope, channels: usize) -> Self {
        let buffer = |name, number| Buffer::new(at.parameter(name, [channels], Init::Constant(number)));
        let (mean, variance) = (buffer("running_mean", 0.0), buffer("running_var", 1.0));
        RunningStatistics { mean, variance, momentum: 0.1, epsilon: EPSILON }
    }

    /// Normalises by the statistics of the batch, and adds them to the running averages, or by the averages during
    /// evaluation. The scale and the shift are vectors, or have a row for each image.
    #[track_caller]
    fn normalise(&self, x: &Tensor, [scale, shift]: [&Tensor; 2]) -> Tensor {
        if is_training() {
            self.observe(x);
            return x.batch_norm_leaky_relu(scale, shift, 1, self.epsilon, LINEAR);
        }
        let statistics = [&self.mean.value(), &self.variance.value()];
        let [scale, shift] = fold_statistics([scale, shift], statistics, self.epsilon);
        x.affine_leaky_relu(&scale, &shift, LINEAR)
    }

    #[track_caller]
    fn observe(&self, x: &Tensor) {
        let channels = x.shape()[1];
        let count = (x.shape().len() / channels.max(1)) as f64;
        let name = &self.mean.parameter().name;
        assert!(count > 1.0, "the layer of `{name}` is given one number for each channel, which has no variance");
        no_grad(|| {
            let x = x.detach();
            let others: Vec<usize> = (0..x.shape().rank()).filter(|&axis| axis != 1).collect();
            let mean = x.mean_axes(&others);
            let per_channel = others.iter().fold(x.shape(), |shape, &axis| shape.with(axis, 1));
            let deviations = &x - mean.reshape(per_channel);
            let variance = deviations.square().sum_axes(&others) * (count - 1.0).recip();
            for (buffer, of_batch) in [(&self.mean, mean), (&self.variance, variance)] {
                buffer.set(&(buffer.value() * (1.0 - self.momentum) + of_batch * self.momentum));
            }
        });
    }

    fn listed(&self, weight: &Parameter, bias: &Parameter) -> Vec<Parameter> {
        vec![weight.clone(), bias.clone(), self.mean.parameter(), self.variance.parameter()]
    }

    fn listed_mut<'p>(&'p mut self, weight: &'p mut Parameter, bias: &'p mut Parameter) -> Vec<&'p mut Parameter> {
        vec![weight, bias, self.mean.parameter_mut(), self.variance.parameter_mut()]
    }
}
