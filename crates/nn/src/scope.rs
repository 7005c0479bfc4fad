//! The scope in which a layer creates its parameters.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use mergan_tensor::{Address, Device, Random, Shape};

use crate::init::{Fans, Init};
use crate::network::Parameter;

/// The streams of random numbers for initial values and dropout.
const INIT_STREAM: u16 = 0x200;
const DROPOUT_STREAM: u16 = 0x201;

/// The context that a layer is created in: the prefix of its parameters' names, its device, its random numbers and the
/// initial distributions of its weights and biases.
///
/// A network takes a scope and passes each layer its own, from [`Scope::at`]. Every parameter takes the next random
/// numbers, whichever scope creates it, so no two layers start with the same values.
///
/// ```
/// use mergan_nn::{Init, Linear, Network, Scope, gain};
/// use mergan_tensor::{Device, Random};
///
/// let at = Scope::new(Random::new(0), Device::Cpu).with_weights(Init::XavierUniform { gain: gain(1.0) });
/// let layer = Linear::new(&at.at("critic").at("l1"), 8, 4);
/// assert_eq!(layer.parameters()[0].name, "critic.l1.weight");
/// ```
#[derive(Clone, Debug)]
pub struct Scope {
    prefix: String,
    device: Device,
    random: Random,
    drawn: Arc<AtomicU32>,
    weights: Init,
    biases: Init,
}

impl Scope {
    /// Creates the scope of a whole network: its prefix is empty, and weights and biases are initialised as in PyTorch,
    /// by [`Init::FanIn`].
    ///
    /// Two scopes with the same `random` draw the same numbers. Networks that must start differently need to share a
    /// scope or have their own random numbers ([`Random::split`]).
    pub fn new(random: Random, device: Device) -> Self {
        let (prefix, drawn) = (String::new(), Arc::default());
        Scope { prefix, device, random, drawn, weights: Init::FanIn, biases: Init::FanIn }
    }

    /// Returns the scope of a part of the network: its prefix is this scope's prefix, the part's name and a dot.
    pub fn at(&self, part: impl Display) -> Self {
        Scope { prefix: self.name(part) + ".", ..self.clone() }
    }

    /// Returns the same scope with another initial distribution for the weights of linear layers and convolutions.
    pub fn with_weights(&self, init: Init) -> Self {
        Scope { weights: init, ..self.clone() }
    }

    /// Returns the same scope with another initial distribution for their biases.
    pub fn with_biases(&self, init: Init) -> Self {
        Scope { biases: init, ..self.clone() }
    }

    /// Returns the device of the parameters.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Creates a parameter of this name in the scope.
    ///
    /// # Panics
    /// Panics if the distribution depends on fans and the shape has fewer than two axes.
    #[track_caller]
    pub fn parameter(&self, name: impl Display, shape: impl Into<Shape>, init: Init) -> Parameter {
        Parameter::new(self.name(name), init.draw(self.random, self.address(INIT_STREAM), shape, self.device))
    }

    /// Creates the weight of a linear layer or a convolution, `[outputs, inputs, ...]`.
    #[track_caller]
    pub(crate) fn weight(&self, shape: impl Into<Shape>) -> Parameter {
        self.parameter("weight", shape, self.weights)
    }

    /// Creates the bias that belongs to a weight of this shape.
    #[track_caller]
    pub(crate) fn bias(&self, outputs: usize, weight: Shape) -> Parameter {
        self.parameter("bias", [outputs], self.biases.with_fans(Fans::of(weight)))
    }

    /// Returns the prefix of the names in this scope.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns the random numbers of a layer that draws at every pass.
    pub(crate) fn draws(&self) -> (Random, Address) {
        (self.random, self.address(DROPOUT_STREAM))
    }

    fn address(&self, stream: u16) -> Address {
        let substep = self.drawn.fetch_add(1, Ordering::Relaxed);
        Address { stream, substep, ..Address::default() }
    }

    fn name(&self, name: impl Display) -> String {
        format!("{}{name}", self.prefix)
    }
}
