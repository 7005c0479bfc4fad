//! A stack of layers.

use std::fmt;

use mergan_tensor::Tensor;

use crate::network::{Layer, Network, Parameter};
use crate::scope::Scope;

/// A stack of layers, each applied to the output of the one before. Their names are their indices, as in PyTorch's
/// `Sequential`: `0.weight`, `0.bias`, `2.weight` and so on, if layer 1 has no parameters.
///
/// ```
/// use mergan_nn::{Conv2d, Layer, Linear, Network, Scope, Sequential};
/// use mergan_tensor::{Device, Random, Tensor};
///
/// let at = &Scope::new(Random::new(0), Device::Cpu);
/// let critic = Sequential::new(at)
///     .then(Conv2d::new(at, 3, 8, 4).stride(2).padding(1))
///     .then(|x: &Tensor| x.leaky_relu(0.2))
///     .then(Tensor::flatten)
///     .then(Linear::new(at, 8 * 4 * 4, 1));
/// assert_eq!(critic.forward(&Tensor::zeros([2, 3, 8, 8], Device::Cpu)).shape(), [2, 1]);
/// assert_eq!(critic.parameters()[2].name, "3.weight");
/// ```
pub struct Sequential {
    prefix: String,
    layers: Vec<Box<dyn Part>>,
}

/// An object-safe [`Layer`] that can be cloned.
trait Part: Send + Sync {
    fn boxed(&self) -> Box<dyn Part>;
    #[track_caller]
    fn pass(&self, x: &Tensor) -> Tensor;
    fn list(&self) -> Vec<Parameter>;
    fn list_mut(&mut self) -> Vec<&mut Parameter>;
}

impl<L: Layer> Part for L {
    fn boxed(&self) -> Box<dyn Part> {
        Box::new(self.clone())
    }

    #[track_caller]
    fn pass(&self, x: &Tensor) -> Tensor {
        self.forward(x)
    }

    fn list(&self) -> Vec<Parameter> {
        self.parameters()
    }

    fn list_mut(&mut self) -> Vec<&mut Parameter> {
        self.parameters_mut()
    }
}

impl Sequential {
    /// Creates a stack without layers, which returns its input. The layers' indices follow the prefix of this scope.
    pub fn new(at: &Scope) -> Self {
        Sequential { prefix: at.prefix().into(), layers: Vec::new() }
    }

    /// Appends a layer that was created in the same scope, and inserts its index into the names of its parameters.
    ///
    /// # Panics
    /// Panics if a parameter's name does not start with this scope's prefix.
    #[track_caller]
    pub fn then(mut self, mut layer: impl Layer) -> Self {
        let Sequential { prefix, layers } = &mut self;
        for Parameter { name, .. } in layer.parameters_mut() {
            let Some(own) = name.strip_prefix(prefix.as_str()) else {
                panic!(
                    "a layer with the parameter `{name}` in a Sequential of the scope `{prefix}`: give both the same scope"
                )
            };
            *name = format!("{prefix}{}.{own}", layers.len());
        }
        layers.push(Box::new(layer));
        self
    }
}

impl Clone for Sequential {
    fn clone(&self) -> Self {
        Sequential { prefix: self.prefix.clone(), layers: self.layers.iter().map(|layer| layer.boxed()).collect() }
    }
}

impl fmt::Debug for Sequential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sequential").field(&self.parameters()).finish()
    }
}

impl Network for Sequential {
    fn parameters(&self) -> Vec<Parameter> {
        self.layers.iter().flat_map(|layer| layer.list()).collect()
    }

    fn parameters_mut(&mut self) -> Vec<&mut Parameter> {
        self.layers.iter_mut().flat_map(|layer| layer.list_mut()).collect()
    }
}

impl Layer for Sequential {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let mut x = x.clone();
        for layer in &self.layers {
            x = layer.pass(&x);
        }
        x
    }
}
