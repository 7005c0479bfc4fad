//! What all networks have in common: named parameters, spelled as PyTorch's `state_dict` spells them.

use std::sync::{Mutex, PoisonError};

use mergan_tensor::{Device, Optimizer, Tensor};

/// Whether a parameter belongs to classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Its first axis in the state dictionary has an entry for each class, as the scales and shifts of conditional batch
    /// norm have and the class head of a critic.
    PerClass,
    /// All classes share it.
    Shared,
}

/// One parameter of a network.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// The name in the state dictionary, such as `c1.weight`.
    pub name: String,
    /// Whether it belongs to classes.
    pub rows: Rows,
    /// Whether forward passes write it and no optimiser trains it, as the running mean of batch norm. It goes into files like
    /// all others.
    pub buffer: bool,
    /// Its value.
    pub value: Tensor,
}

impl Parameter {
    /// A parameter that training adjusts and all classes share.
    pub fn new(name: impl Into<String>, value: Tensor) -> Self {
        Parameter { name: name.into(), rows: Rows::Shared, buffer: false, value }
    }
}

/// A parameter that forward passes write, though they only borrow their layer: the state of batch norm or of spectral norm.
///
/// A clone has a state of its own.
#[derive(Debug)]
pub struct Buffer(Mutex<Parameter>);

impl Buffer {
    /// A buffer that begins with the value of this parameter.
    pub fn new(parameter: Parameter) -> Self {
        Buffer(Mutex::new(Parameter { buffer: true, ..parameter }))
    }

    /// The value as the last forward pass left it.
    pub fn value(&self) -> Tensor {
        self.parameter().value
    }

    /// Replaces the value by a constant.
    pub fn set(&self, value: &Tensor) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).value = value.detach();
    }

    /// The buffer as a parameter, for [`Network::parameters`].
    pub fn parameter(&self) -> Parameter {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same, for [`Network::parameters_mut`].
    pub fn parameter_mut(&mut self) -> &mut Parameter {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        Buffer(Mutex::new(self.parameter()))
    }
}

/// A network: a plain struct whose tensors have names.
///
/// A struct of layers becomes a network by listing them twice, in the same order. Everything else follows: training, files,
/// copies on other devices.
///
/// ```
/// use mergan_nn::{Layer, Linear, Network, Parameter, Scope};
/// use mergan_tensor::{Device, Random, Tensor};
///
/// #[derive(Clone)]
/// struct Perceptron {
///     hidden: Linear,
///     output: Linear,
/// }
///
/// impl Perceptron {
///     fn new(at: &Scope) -> Self {
///         Perceptron { hidden: Linear::new(&at.at("hidden"), 2, 16), output: Linear::new(&at.at("output"), 16, 1) }
///     }
///
///     fn forward(&self, x: &Tensor) -> Tensor {
///         self.output.forward(&self.hidden.forward(x).tanh())
///     }
/// }
///
/// impl Network for Perceptron {
///     fn parameters(&self) -> Vec<Parameter> {
///         [self.hidden.parameters(), self.output.parameters()].concat()
///     }
///
///     fn parameters_mut(&mut self) -> Vec<&mut Parameter> {
///         [self.hidden.parameters_mut(), self.output.parameters_mut()].into_iter().flatten().collect()
///     }
/// }
///
/// let network = Perceptron::new(&Scope::new(Random::new(0), Device::Cpu));
/// let names: Vec<String> = network.parameters().into_iter().map(|parameter| parameter.name).collect();
/// assert_eq!(names, ["hidden.weight", "hidden.bias", "output.weight", "output.bias"]);
/// ```
pub trait Network: Clone {
    /// All parameters as they now stand, in the order of the state dictionary. Clones share their numbers, so this copies
    /// none.
    fn parameters(&self) -> Vec<Parameter>;

    /// The same, to change their values.
    fn parameters_mut(&mut self) -> Vec<&mut Parameter>;

    /// The values of all parameters, in the same order.
    fn values(&self) -> Vec<Tensor> {
        self.parameters().into_iter().map(|parameter| parameter.value).collect()
    }

    /// The parameters that are variables, which training adjusts, in the same order.
    fn variables_mut(&mut self) -> Vec<&mut Tensor> {
        let values = self.parameters_mut().into_iter().map(|parameter| &mut parameter.value);
        values.filter(|value| value.is_tracked()).collect()
    }

    /// The gradients of this scalar, which was computed from the network, with respect to the parameters that are variables
    /// (see [`Network::trainable`]), in the same order.
    ///
    /// # Panics
    /// When no parameter is a variable, or the scalar does not depend on one that is.
    #[track_caller]
    fn gradients(&self, loss: &Tensor) -> Vec<Tensor> {
        let values = self.values();
        let variables: Vec<&Tensor> = values.iter().filter(|value| value.is_tracked()).collect();
        assert!(!variables.is_empty(), "no parameter is a variable; see Network::trainable");
        loss.gradients(&variables)
    }

    /// One step of the optimiser down the gradient of this scalar, which was computed from the network. Parameters that
    /// are no variables (see [`Network::trainable`]) stay as they are.
    ///
    /// Where something is to be done with the gradients in between, such as [`mergan_tensor::clip_grad_norm`], this is
    /// [`Network::gradients`] followed by [`Optimizer::step`] with [`Network::variables_mut`].
    ///
    /// # Panics
    /// When no parameter is a variable, the scalar does not depend on one that is, or the optimiser was begun with others.
    #[track_caller]
    fn descend(&mut self, loss: &Tensor, optimizer: &mut impl Optimizer, rate: f64) {
        let gradients = self.gradients(loss);
        optimizer.step(rate, self.variables_mut(), &gradients);
    }

    /// How many numbers training adjusts.
    fn parameter_count(&self) -> usize {
        let trained = self.parameters().into_iter().filter(|parameter| !parameter.buffer);
        trained.map(|parameter| parameter.value.shape().len()).sum()
    }

    /// The same network with `f` applied to every parameter.
    fn map(&self, f: impl Fn(&Tensor) -> Tensor) -> Self {
        let mut network = self.clone();
        network.parameters_mut().into_iter().for_each(|parameter| parameter.value = f(&parameter.value));
        network
    }

    /// A copy whose parameters are constants: the frozen generator of memory replay.
    fn frozen(&self) -> Self {
        self.map(Tensor::detach)
    }

    /// A copy whose parameters are variables, ready to be trained.
    fn trainable(&self) -> Self {
        self.partly_trainable(|_| true)
    }

    /// A copy in which only the parameters that `trains` chooses are variables. Buffers never are.
    fn partly_trainable(&self, trains: impl Fn(&Parameter) -> bool) -> Self {
        let mut network = self.frozen();
        for parameter in network.parameters_mut() {
            if !parameter.buffer && trains(parameter) {
                parameter.value = parameter.value.variable();
            }
        }
        network
    }

    /// The device that holds the parameters.
    ///
    /// # Panics
    /// When there are none.
    #[track_caller]
    fn device(&self) -> Device {
        self.parameters().first().expect("a network without parameters is on no device").value.device()
    }

    /// A copy on another device, frozen.
    fn on(&self, device: Device) -> Self {
        self.map(|value| value.to_device(device))
    }

    /// A frozen copy with the parameters of a network of the same sizes that has fewer classes; the rows of the further
    /// classes stay.
    ///
    /// # Panics
    /// When the networks differ in more than their classes, or `smaller` has more of them.
    #[track_caller]
    fn holding(&self, smaller: &Self) -> Self {
        let mut network = self.frozen();
        for (parameter, small) in network.parameters_mut().into_iter().zip(smaller.parameters()) {
            let mut numbers = small.value.to_vec::<f64>();
            if parameter.rows == Rows::PerClass {
                // Classes come first in memory, so the larger table begins with the smaller one's numbers.
                numbers.extend_from_slice(&parameter.value.to_vec::<f64>()[numbers.len()..]);
            }
            parameter.value = Tensor::from_vec(numbers, parameter.value.shape(), parameter.value.device());
        }
        network
    }

    /// A copy on another device, in which the same parameters are variables.
    fn moved_to(&self, device: Device) -> Self {
        self.map(|value| {
            let moved = value.to_device(device);
            if value.is_tracked() { moved.variable() } else { moved }
        })
    }

    /// `self + weight * (other - self)`, parameter by parameter, frozen: one step of a running average of weights.
    fn towards(&self, other: &Self, weight: f64) -> Self {
        self.zip(other, |here, other| here.detach() + (other.detach() - here.detach()) * weight)
    }

    /// A network whose parameters are made of those of two networks of the same sizes. Buffers are those of the other
    /// network: they are averages already, or mean nothing when they are mixed.
    fn zip(&self, other: &Self, f: impl Fn(&Tensor, &Tensor) -> Tensor) -> Self {
        let mut network = self.clone();
        for (parameter, other) in network.parameters_mut().into_iter().zip(other.parameters()) {
            parameter.value = if parameter.buffer { other.value } else { f(&parameter.value, &other.value) };
        }
        network
    }
}

/// Networks one after another, as PyTorch's `ModuleList`.
impl<N: Network> Network for Vec<N> {
    fn parameters(&self) -> Vec<Parameter> {
        self.iter().flat_map(N::parameters).collect()
    }

    fn parameters_mut(&mut self) -> Vec<&mut Parameter> {
        self.iter_mut().flat_map(N::parameters_mut).collect()
    }
}

/// A network of one tensor that gives one tensor: a layer, a function of tensors, or a stack of them.
///
/// A function such as [`Tensor::relu`], or a closure `|x: &Tensor| x.leaky_relu(0.2)`, is a layer without parameters.
pub trait Layer: Network + Send + Sync + 'static {
    /// What the layer makes of a tensor.
    ///
    /// # Panics
    /// When the tensor's shape is not one that the layer takes.
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor;
}

impl<F: Fn(&Tensor) -> Tensor + Clone> Network for F {
    fn parameters(&self) -> Vec<Parameter> {
        Vec::new()
    }

    fn parameters_mut(&mut self) -> Vec<&mut Parameter> {
        Vec::new()
    }
}

impl<F: Fn(&Tensor) -> Tensor + Clone + Send + Sync + 'static> Layer for F {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        self(x)
    }
}
