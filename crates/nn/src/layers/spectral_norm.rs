//! Spectral normalisation (Miyato et al., 2018).

use mergan_tensor::{Tensor, no_grad};

use crate::init::Init;
use crate::mode::is_training;
use crate::network::{Buffer, Layer, Network, Parameter};
use crate::scope::Scope;

/// The smallest norm to divide by, as in PyTorch. Smaller norms are rounded up to it.
const SMALLEST_NORM: f64 = 1e-12;
/// The number of power iteration steps before the first pass, as in PyTorch's parametrization.
const FIRST_STEPS: usize = 15;

/// A layer with a weight that [`SpectralNorm`] can normalise.
pub trait Weighted: Network {
    /// The axis of the weight that indexes the outputs; the other axes together index the inputs.
    const OUTPUTS: usize = 0;

    /// Returns the weight.
    fn weight(&self) -> &Parameter;

    /// Returns the weight mutably.
    fn weight_mut(&mut self) -> &mut Parameter;
}

/// A layer whose weight is divided by its largest singular value, so that no input is stretched by more than 1. This
/// keeps a critic or discriminator smooth without a penalty. It is like PyTorch's `spectral_norm`.
///
/// ```text
/// v = W^T u / |W^T u|,  u = W v / |W v|          one step of the power iteration for each pass in training
/// weight = W / sigma,   sigma = u^T W v          W has a row for each output
/// ```
///
/// The vectors are kept from pass to pass, so one step per pass is enough while W changes slowly. Within
/// [`evaluate`](crate::evaluate) they do not change. Gradients, of any order, flow through sigma and treat the vectors
/// as constants.
///
/// The layer's weight is renamed to `weight_orig`, and `weight_u` and `weight_v` are added, as in PyTorch's files.
///
/// ```
/// use mergan_nn::{Layer, Linear, Scope, SpectralNorm};
/// use mergan_tensor::{Device, Random, Tensor};
///
/// let at = &Scope::new(Random::new(0), Device::Cpu);
/// let layer = SpectralNorm::new(at, Linear::new(at, 64, 1).without_bias());
/// // The weight is a row; divided by its singular value, its norm, it is a unit vector.
/// let x = Tensor::full(1.0, [1, 64], Device::Cpu).variable();
/// let slope = layer.forward(&x).sum().gradients(&[&x]).remove(0);
/// assert!((slope.square().sum().item().sqrt() - 1.0).abs() < 1e-5);
/// ```
#[derive(Clone, Debug)]
pub struct SpectralNorm<L> {
    layer: L,
    outputs: Buffer,
    inputs: Buffer,
}

impl<L: Weighted> SpectralNorm<L> {
    /// Normalises the weight of a layer that was created in the same scope.
    pub fn new(at: &Scope, mut layer: L) -> Self {
        layer.weight_mut().name += "_orig";
        let [rows, columns] = matrix::<L>(&layer).shape().dims();
        let normal = Init::Normal { mean: 0.0, deviation: 1.0 };
        let vector = |name, length: usize| {
            let Parameter { value, name, .. } = at.parameter(name, [length], normal);
            Buffer::new(Parameter::new(name, unit(&value)))
        };
        let spectral = SpectralNorm { layer, outputs: vector("weight_u", rows), inputs: vector("weight_v", columns) };
        (0..FIRST_STEPS).for_each(|_| spectral.iterate());
        spectral
    }

    /// Returns the layer with its weight divided by sigma, after one step of the power iteration in training mode. It
    /// is for layers that do not implement [`Layer`], such as an [`Embedding`](super::Embedding).
    pub fn normalised(&self) -> L {
        if is_training() {
            self.iterate();
        }
        let [u, v] = [&self.outputs, &self.inputs].map(Buffer::value);
        let sigma = (row(&v).linear(&matrix::<L>(&self.layer)) * u).sum();
        let mut layer = self.layer.clone();
        let weight = &mut layer.weight_mut().value;
        *weight = &*weight / sigma;
        layer
    }

    /// Takes one step of the power iteration.
    fn iterate(&self) {
        no_grad(|| {
            let matrix = matrix::<L>(&self.layer).detach();
            let [rows, columns] = matrix.shape().dims();
            let v = unit(&row(&self.outputs.value()).matmul(&matrix));
            let u = unit(&v.linear(&matrix));
            self.inputs.set(&v.reshape([columns]));
            self.outputs.set(&u.reshape([rows]));
        });
    }
}

/// Returns the weight as a matrix with a row for each output.
fn matrix<L: Weighted>(layer: &L) -> Tensor {
    let weight = &layer.weight().value;
    let outputs = weight.shape()[L::OUTPUTS];
    let others = (0..weight.shape().rank()).filter(|&axis| axis != L::OUTPUTS);
    let order: Vec<usize> = [L::OUTPUTS].into_iter().chain(others).collect();
    weight.permute(&order).reshape([outputs, weight.shape().len() / outputs.max(1)])
}

fn row(vector: &Tensor) -> Tensor {
    vector.reshape([1, vector.shape().len()])
}

/// Scales a vector to length 1.
fn unit(vector: &Tensor) -> Tensor {
    vector / vector.square().sum().sqrt().clamp(SMALLEST_NORM, f64::INFINITY)
}

impl<L: Weighted> Network for SpectralNorm<L> {
    fn parameters(&self) -> Vec<Parameter> {
        let mut parameters = self.layer.parameters();
        parameters.extend([self.outputs.parameter(), self.inputs.parameter()]);
        parameters
    }

    fn parameters_mut(&mut self) -> Vec<&mut Parameter> {
        let mut parameters = self.layer.parameters_mut();
        parameters.extend([self.outputs.parameter_mut(), self.inputs.parameter_mut()]);
        parameters
    }
}

impl<L: Weighted + Layer> Layer for SpectralNorm<L> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        self.normalised().forward(x)
    }
}
