//! The place of a layer in its network.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use mergan_tensor::{Address, Device, Random, Shape};

use crate::init::{Fans, Init};
use crate::network::Parameter;

/// The streams of random numbers that initial values and dropout are drawn from.
const INIT_STREAM: u16 = 0x200;
const DROPOUT_STREAM: u16 = 0x201;

/// What a layer is made with: the beginning of its parameters' names, its device, random numbers, and how its weights begin.
///
/// A network takes a scope and gives each layer one of its own, by [`Scope::at`]. Every parameter that is drawn takes the next
/// random numbers, whichever scope asks for it, so no two layers begin alike.
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
    /// The scope of a whole network: names begin with nothing, and weights and biases begin as in PyTorch, by
    /// [`Init::FanIn`].
    ///
    /// Two scopes with the same random numbers give the same ones: networks that should not begin alike share a scope, or
    /// have random numbers of their own ([`Random::split`]).
    pub fn new(random: Random, device: Device) -> Self {
        let (prefix, drawn) = (String::new(), Arc::default());
        Scope { prefix, device, random, drawn, weights: Init::FanIn, biases: Init::FanIn }
    }

    /// The scope of a part: its names begin with those of this scope, the part's name and a dot.
    pub fn at(&self, part: impl Display) -> Self {
        Scope { prefix: self.name(part) + ".", ..self.clone() }
    }

    /// The same scope with another way in which the weights of linear layers and convolutions begin.
    pub fn with_weights(&self, init: Init) -> Self {
        Scope { weights: init, ..self.clone() }
    }

    /// The same scope with another way in which their biases begin.
    pub fn with_biases(&self, init: Init) -> Self {
        Scope { biases: init, ..self.clone() }
    }

    /// The device of the parameters.
    pub fn device(&self) -> Device {
        self.device
    }

    /// A parameter of this name in the scope.
    ///
    /// # Panics
    /// When the distribution depends on fans, and a tensor of this shape has none.
    #[track_caller]
    pub fn parameter(&self, name: impl Display, shape: impl Into<Shape>, init: Init) -> Parameter {
        Parameter::new(self.name(name), init.draw(self.random, self.address(INIT_STREAM), shape, self.device))
    }

    /// The weight of a linear layer or a convolution, `[outputs, inputs, ...]`.
    #[track_caller]
    pub(crate) fn weight(&self, shape: impl Into<Shape>) -> Parameter {
        self.parameter("weight", shape, self.weights)
    }

    /// The bias beside a weight of this shape.
    #[track_caller]
    pub(crate) fn bias(&self, outputs: usize, weight: Shape) -> Parameter {
        self.parameter("bias", [outputs], self.biases.with_fans(Fans::of(weight)))
    }

    /// What the names in this scope begin with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Where a layer that draws at every pass finds its random numbers.
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
