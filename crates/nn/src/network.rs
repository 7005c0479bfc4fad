//! The [`Network`] trait: named parameters, spelled as in PyTorch's `state_dict`.

use std::sync::{Mutex, PoisonError};

use mergan_tensor::{Device, Optimizer, Tensor};

/// Says whether a parameter has a separate entry for each class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// The parameter's first axis in the state dictionary has one entry per class, like the scales and shifts of
    /// conditional batch norm and the class head of a critic.
    PerClass,
    /// All classes share the parameter.
    Shared,
}

/// One parameter of a network.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name in the state dictionary, such as `c1.weight`.
    pub name: String,
    /// Whether it has a separate entry for each class.
    pub rows: Rows,
    /// Whether forward passes write it and no optimiser trains it, like the running mean of batch norm. Files contain
    /// it like any other parameter.
    pub buffer: bool,
    /// The current value.
    pub value: Tensor,
}

impl Parameter {
    /// Creates a parameter that is trained and shared by all classes.
    pub fn new(name: impl Into<String>, value: Tensor) -> Self {
        Parameter { name: name.into(), rows: Rows::Shared, buffer: false, value }
    }
}

/// A parameter that forward passes update through a shared reference: the state of batch norm or of spectral norm.
///
/// A clone has its own state.
#[derive(Debug)]
pub struct Buffer(Mutex<Parameter>);

impl Buffer {
    /// Creates a buffer that starts with the value of this parameter.
    pub fn new(parameter: Parameter) -> Self {
        Buffer(Mutex::new(Parameter { buffer: true, ..parameter }))
    }

    /// Returns the value as the last forward pass left it.
    pub fn value(&self) -> Tensor {
        self.parameter().value
    }

    /// Replaces the value with this one, detached.
    pub fn set(&self, value: &Tensor) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).value = value.detach();
    }

    /// Returns the buffer as a parameter, for [`Network::parameters`].
    pub fn parameter(&self) -> Parameter {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the buffer as a mutable parameter, for [`Network::parameters_mut`].
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
/// To make a struct of layers a network, list the layers twice, in the same order. Training, files and copies on other
/// devices need nothing else.
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
    /// Returns all parameters with their current values, in the order of the state dictionary. Tensors share their
    /// storage when they are cloned, so this copies no data.
    fn parameters(&self) -> Vec<Parameter>;

    /// Returns the same parameters in the same order, mutably.
    fn parameters_mut(&mut self) -> Vec<&mut Parameter>;

    /// Returns the values of all parameters, in the same order.
    fn values(&self) -> Vec<Tensor> {
        self.parameters().into_iter().map(|parameter| parameter.value).collect()
    }

    /// Returns the parameters that are variables, which training adjusts, in the same order.
    fn variables_mut(&mut self) -> Vec<&mut Tensor> {
        let values = self.parameters_mut().into_iter().map(|parameter| &mut parameter.value);
        values.filter(|value| value.is_tracked()).collect()
    }

    /// Returns the gradients of a scalar that was computed from the network with respect to the parameters that are
    /// variables (see [`Network::trainable`]), in the same order.
    ///
    /// # Panics
    /// Panics if no parameter is a variable, or if the scalar does not depend on one that is.
    #[track_caller]
    fn gradients(&self, loss: &Tensor) -> Vec<Tensor> {
        let values = self.values();
        let variables: Vec<&Tensor> = values.iter().filter(|value| value.is_tracked()).collect();
        assert!(!variables.is_empty(), "no parameter is a variable; see Network::trainable");
        loss.gradients(&variables)
    }

    /// Takes one optimiser step down the gradient of a scalar that was computed from the network. Parameters that are
    /// not variables (see [`Network::trainable`]) stay as they are.
    ///
    /// To process the gradients before the step, for example with [`mergan_tensor::clip_grad_norm`], call
    /// [`Network::gradients`] and then [`Optimizer::step`] with [`Network::variables_mut`].
    ///
    /// # Panics
    /// Panics if no parameter is a variable, if the scalar does not depend on one that is, or if the optimiser has
    /// already been used with other parameters.
    #[track_caller]
    fn descend(&mut self, loss: &Tensor, optimizer: &mut impl Optimizer, rate: f64) {
        let gradients = self.gradients(loss);
        optimizer.step(rate, self.variables_mut(), &gradients);
    }

    /// Returns the number of trainable scalars: the elements of all parameters that are not buffers.
    fn parameter_count(&self) -> usize {
        let trained = self.parameters().into_iter().filter(|parameter| !parameter.buffer);
        trained.map(|parameter| parameter.value.shape().len()).sum()
    }

    /// Returns a copy of the network with `f` applied to the value of every parameter.
    fn map(&self, f: impl Fn(&Tensor) -> Tensor) -> Self {
        let mut network = self.clone();
        network.parameters_mut().into_iter().for_each(|parameter| parameter.value = f(&parameter.value));
        network
    }

    /// Returns a copy whose parameters are constants, such as the frozen generator of memory replay.
    fn frozen(&self) -> Self {
        self.map(Tensor::detach)
    }

    /// Returns a copy that is ready for training: its parameters are variables, except for buffers.
    fn trainable(&self) -> Self {
        self.partly_trainable(|_| true)
    }

    /// Returns a copy in which only the parameters that `trains` selects are variables. Buffers never are.
    fn partly_trainable(&self, trains: impl Fn(&Parameter) -> bool) -> Self {
        let mut network = self.frozen();
        for parameter in network.parameters_mut() {
            if !parameter.buffer && trains(parameter) {
                parameter.value = parameter.value.variable();
            }
        }
        network
    }

    /// Returns the device that holds the parameters.
    ///
    /// # Panics
    /// Panics if there are no parameters.
    #[track_caller]
    fn device(&self) -> Device {
        self.parameters().first().expect("a network without parameters is on no device").value.device()
    }

    /// Returns a copy on another device. Its parameters are constants.
    fn on(&self, device: Device) -> Self {
        self.map(|value| value.to_device(device))
    }

    /// Returns a frozen copy that takes its parameters from `smaller`, a network of the same sizes with fewer classes.
    /// The rows of the additional classes keep their values.
    ///
    /// # Panics
    /// Panics if the networks differ in more than the number of classes, or if `smaller` has more classes.
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

    /// Returns a copy on another device, in which the same parameters are variables.
    fn moved_to(&self, device: Device) -> Self {
        self.map(|value| {
            let moved = value.to_device(device);
            if value.is_tracked() { moved.variable() } else { moved }
        })
    }

    /// Returns `self + weight * (other - self)`, parameter by parameter, frozen: one step of a running average of
    /// weights.
    fn towards(&self, other: &Self, weight: f64) -> Self {
        self.zip(other, |here, other| here.detach() + (other.detach() - here.detach()) * weight)
    }

    /// Combines the parameters of two networks of the same sizes with `f`. Buffers are taken from `other`: they are
    /// already averages, or lose their meaning when they are mixed.
    fn zip(&self, other: &Self, f: impl Fn(&Tensor, &Tensor) -> Tensor) -> Self {
        let mut network = self.clone();
        for (parameter, other) in network.parameters_mut().into_iter().zip(other.parameters()) {
            parameter.value = if parameter.buffer { other.value } else { f(&parameter.value, &other.value) };
        }
        network
    }
}

/// A list of networks, like PyTorch's `ModuleList`.
impl<N: Network> Network for Vec<N> {
    fn parameters(&self) -> Vec<Parameter> {
        self.iter().flat_map(N::parameters).collect()
    }

    fn parameters_mut(&mut self) -> Vec<&mut Parameter> {
        self.iter_mut().flat_map(N::parameters_mut).collect()
    }
}

/// A network that maps one tensor to one tensor: a layer, a function of tensors, or a stack of layers.
///
/// A function such as [`Tensor::relu`], or a closure `|x: &Tensor| x.leaky_relu(0.2)`, is a layer without parameters.
pub trait Layer: Network + Send + Sync + 'static {
    /// Applies the layer to a tensor.
    ///
    /// # Panics
    /// Panics if the layer does not accept the tensor's shape.
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
