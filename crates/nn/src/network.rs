//! What all networks have in common: named parameters, spelled as PyTorch's `state_dict` spells them.

use mergan_tensor::{Adam, Device, Tensor};

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
    /// Its value.
    pub value: Tensor,
}

/// A network: a plain struct whose trainable tensors have names.
pub trait Network: Clone {
    /// All parameters, in the order of the state dictionary.
    fn parameters(&self) -> &[Parameter];

    /// The same, to change their values.
    fn parameters_mut(&mut self) -> &mut [Parameter];

    /// The values of all parameters, in the same order. Clones share their numbers, so this copies nothing.
    fn values(&self) -> Vec<Tensor> {
        self.parameters().iter().map(|parameter| parameter.value.clone()).collect()
    }

    /// The parameters that are variables, which training adjusts, in the same order.
    fn variables_mut(&mut self) -> Vec<&mut Tensor> {
        let values = self.parameters_mut().iter_mut().map(|parameter| &mut parameter.value);
        values.filter(|value| value.is_tracked()).collect()
    }

    /// One step of the optimiser down the gradient of this scalar, which was computed from the network. Parameters that
    /// are no variables (see [`Network::trainable`]) stay as they are.
    ///
    /// # Panics
    /// When no parameter is a variable, or the optimiser was begun with others.
    fn descend(&mut self, loss: &Tensor, adam: &mut Adam, rate: f64) {
        let variables = self.variables_mut();
        assert!(!variables.is_empty(), "no parameter is a variable; see Network::trainable");
        let gradients = loss.gradients(&variables.iter().map(|value| &**value).collect::<Vec<_>>());
        adam.step(rate, variables, &gradients);
    }

    /// How many numbers training adjusts.
    fn parameter_count(&self) -> usize {
        self.parameters().iter().map(|parameter| parameter.value.shape().len()).sum()
    }

    /// The same network with `f` applied to every parameter.
    fn map(&self, f: impl Fn(&Tensor) -> Tensor) -> Self {
        let mut network = self.clone();
        network.parameters_mut().iter_mut().for_each(|parameter| parameter.value = f(&parameter.value));
        network
    }

    /// A copy whose parameters are constants: the frozen generator of memory replay.
    fn frozen(&self) -> Self {
        self.map(Tensor::detach)
    }

    /// A copy whose parameters are variables, ready to be trained.
    fn trainable(&self) -> Self {
        self.map(Tensor::variable)
    }

    /// A copy in which only the parameters that `trains` chooses are variables.
    fn partly_trainable(&self, trains: impl Fn(&Parameter) -> bool) -> Self {
        let mut network = self.frozen();
        for parameter in network.parameters_mut() {
            if trains(parameter) {
                parameter.value = parameter.value.variable();
            }
        }
        network
    }

    /// The device that holds the parameters.
    fn device(&self) -> Device {
        self.parameters()[0].value.device()
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
    fn holding(&self, smaller: &Self) -> Self {
        let mut network = self.frozen();
        for (parameter, small) in network.parameters_mut().iter_mut().zip(smaller.parameters()) {
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

    /// A network whose parameters are made of those of two networks of the same sizes.
    fn zip(&self, other: &Self, f: impl Fn(&Tensor, &Tensor) -> Tensor) -> Self {
        let mut network = self.clone();
        for (parameter, other) in network.parameters_mut().iter_mut().zip(other.parameters()) {
            parameter.value = f(&parameter.value, &other.value);
        }
        network
    }
}
