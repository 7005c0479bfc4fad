//! Dropout (Srivastava et al., 2014).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use mergan_tensor::{Address, Random, Tensor};

use crate::mode::is_training;
use crate::network::{Layer, Network, Parameter};
use crate::scope::Scope;

/// Sets a random fraction of the numbers to 0 during training and scales the others so that the expected value stays
/// the same, like PyTorch's `Dropout`. Within [`evaluate`](crate::evaluate) it returns its input.
///
/// Every pass, of this layer and of its clones, drops other numbers. The number of passes is not saved in files.
#[derive(Clone, Debug)]
pub struct Dropout {
    rate: f64,
    random: Random,
    address: Address,
    passes: Arc<AtomicU32>,
}

impl Dropout {
    /// Creates a layer that drops this fraction of the numbers.
    ///
    /// # Panics
    /// Panics if the fraction is not in `[0, 1)`.
    #[track_caller]
    pub fn new(at: &Scope, rate: f64) -> Self {
        assert!((0.0..1.0).contains(&rate), "dropout of a share of {rate}; it must lie in [0, 1)");
        let (random, address) = at.draws();
        Dropout { rate, random, address, passes: Arc::default() }
    }
}

impl Network for Dropout {
    fn parameters(&self) -> Vec<Parameter> {
        Vec::new()
    }

    fn parameters_mut(&mut self) -> Vec<&mut Parameter> {
        Vec::new()
    }
}

impl Layer for Dropout {
    fn forward(&self, x: &Tensor) -> Tensor {
        if !is_training() {
            return x.clone();
        }
        let address = Address { step: self.passes.fetch_add(1, Ordering::Relaxed), ..self.address };
        let dropped = (self.rate - self.random.uniform(address, x.shape(), x.device())).sign().relu();
        x * ((1.0 - dropped) * (1.0 - self.rate).recip())
    }
}
