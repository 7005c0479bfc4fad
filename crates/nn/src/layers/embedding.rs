//! Embedding tables.

use mergan_tensor::Tensor;

use crate::init::Init;
use crate::network::{Network, Parameter};
use crate::scope::Scope;

use super::Weighted;

/// A table with one vector per index, such as a class, like PyTorch's `Embedding`.
///
/// If the indices are classes, set `weight.rows` to [`Rows::PerClass`](crate::Rows::PerClass), so that a network can be
/// extended with new classes ([`Network::holding`]).
///
/// ```
/// use mergan_nn::{Embedding, Scope};
/// use mergan_tensor::{Device, Random};
///
/// let classes = Embedding::new(&Scope::new(Random::new(0), Device::Cpu), 10, 32);
/// assert_eq!(classes.forward(&[3, 3, 7]).shape(), [3, 32]);
/// ```
#[derive(Clone, Debug)]
pub struct Embedding {
    /// The table, `[count, width]`.
    pub weight: Parameter,
}

impl Embedding {
    /// Creates `count` vectors of `width` numbers from the standard normal distribution.
    pub fn new(at: &Scope, count: usize, width: usize) -> Self {
        Embedding { weight: at.parameter("weight", [count, width], Init::Normal { mean: 0.0, deviation: 1.0 }) }
    }

    /// Looks up the vectors of these indices, `[n, width]`.
    ///
    /// # Panics
    /// Panics if an index is not in the table.
    #[track_caller]
    pub fn forward(&self, things: &[usize]) -> Tensor {
        let count = self.weight.value.shape()[0];
        if let Some(thing) = things.iter().find(|&&thing| thing >= count) {
            panic!("`{}` has vectors for 0 to {}, not for {thing}", self.weight.name, count.max(1) - 1);
        }
        self.weight.value.index_select(0, things)
    }
}

impl Network for Embedding {
    fn parameters(&self) -> Vec<Parameter> {
        vec![self.weight.clone()]
    }

    fn parameters_mut(&mut self) -> Vec<&mut Parameter> {
        vec![&mut self.weight]
    }
}

impl Weighted for Embedding {
    fn weight(&self) -> &Parameter {
        &self.weight
    }

    fn weight_mut(&mut self) -> &mut Parameter {
        &mut self.weight
    }
}
