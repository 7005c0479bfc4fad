//! The Adam optimiser (Kingma and Ba, 2015). The correction of the moment estimates and the place of epsilon are those
//! of PyTorch.

mod cuda;

use rayon::prelude::*;

use crate::cpu::vectorised;
use crate::cuda::GraphInput;
use crate::pool::Buffer;
use crate::storage::{Device, Element, IntoStorage, Operands, Storage, operands};
use crate::tensor::Tensor;

/// The settings of the optimiser, which are the same for all steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamOptions {
    /// The decay rate of the running mean of the gradients. At 0 a step follows the newest gradient alone, as is usual
    /// for WGAN-GP.
    pub beta1: f64,
    /// The decay rate of the running mean of the squared gradients.
    pub beta2: f64,
    /// The number added to the square root of the mean of the squared gradients.
    pub epsilon: f64,
}

impl Default for AdamOptions {
    /// Returns the settings of the authors and of PyTorch: beta1 0.9, beta2 0.999, epsilon 1e-8.
    fn default() -> Self {
        AdamOptions { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

/// The settings and the state of the optimiser: for every parameter, the running means of its gradient and of the
/// squared gradient.
#[derive(Clone, Debug, Default)]
pub struct Adam {
    options: AdamOptions,
    steps: u32,
    moments: Vec<Moments>,
}

/// The running means for one parameter, which have its shape.
#[derive(Clone, Debug)]
pub struct Moments {
    /// The running mean of the gradients.
    pub first: Tensor,
    /// The running mean of the squared gradients.
    pub second: Tensor,
}

impl Adam {
    /// Creates an optimiser that has taken no step.
    pub fn new(options: AdamOptions) -> Adam {
        Adam { options, steps: 0, moments: Vec::new() }
    }

    /// Creates an optimiser that continues from this state; `moments` are in the order of the parameters.
    pub fn resume(options: AdamOptions, steps: u32, moments: Vec<Moments>) -> Adam {
        Adam { options, steps, moments }
    }

    /// Returns the same optimiser for parameters on another device.
    pub fn moved_to(&self, device: Device) -> Adam {
        let moments = self.moments.iter();
        let moments = moments.map(|Moments { first, second }| Moments {
            first: first.to_device(device),
            second: second.to_device(device),
        });
        Adam { moments: moments.collect(), ..self.clone() }
    }

    /// Returns the number of steps taken.
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// Returns the running means in the order of the parameters. There are none before the first step.
    pub fn moments(&self) -> &[Moments] {
        &self.moments
    }

    /// Returns the same optimiser with this state.
    pub fn with(&self, steps: u32, moments: Vec<Moments>) -> Adam {
        Adam { steps, moments, ..self.clone() }
    }

    /// Returns the numbers of the next step at this learning rate, as the input of a graph that takes the step.
    pub fn graph_input(&self, rate: f64) -> GraphInput {
        self.step_after(self.steps, rate).numbers()
    }

    fn step_after(&self, steps: u32, rate: f64) -> Step {
        let AdamOptions { beta1, beta2, epsilon } = self.options;
        let number = f64::from(steps + 1);
        Step {
            rate: rate / (1.0 - beta1.powf(number)),
            beta1,
            beta2,
            root_scale: (1.0 - beta2.powf(number)).sqrt().recip(),
            epsilon,
        }
    }

    /// Takes a step at the learning rate `rate`. The parameters become new variables.
    ///
    /// # Panics
    /// Panics if there is not one gradient of the same shape for every parameter, or if the number or the shapes of the
    /// parameters differ from those of earlier steps.
    #[track_caller]
    pub fn step(&mut self, rate: f64, parameters: Vec<&mut Tensor>, gradients: &[Tensor]) {
        assert_eq!(parameters.len(), gradients.len(), "Adam needs one gradient for every parameter");
        if self.moments.is_empty() {
            let zeros = |parameter: &&mut Tensor| Tensor::zeros(parameter.shape(), parameter.device());
            self.moments = parameters.iter().map(|p| Moments { first: zeros(p), second: zeros(p) }).collect();
        }
        assert_eq!(parameters.len(), self.moments.len(), "Adam was begun with another number of parameters");
        let step = self.step_after(self.steps, rate);
        self.steps += 1;
        let operands: Vec<[&Tensor; 4]> = parameters
            .iter()
            .zip(gradients)
            .zip(&self.moments)
            .map(|((parameter, gradient), Moments { first, second })| [&**parameter, gradient, first, second])
            .collect();
        for [parameter, gradient, first, _] in &operands {
            let shape = parameter.shape();
            assert!(
                gradient.shape() == shape && first.shape() == shape,
                "Adam step of a parameter {shape:?} with a gradient {:?} and means {:?}",
                gradient.shape(),
                first.shape()
            );
        }
        let results = step.apply_to_all(&operands);
        for ((parameter, moments), results) in parameters.into_iter().zip(&mut self.moments).zip(results) {
            let [value, first, second] = results;
            *parameter = value.variable();
            *moments = Moments { first, second };
        }
    }
}

/// The numbers of one step, which are the same for every parameter.
struct Step {
    rate: f64,
    beta1: f64,
    beta2: f64,
    root_scale: f64,
    epsilon: f64,
}

impl Step {
    /// Returns the new value and running means of each parameter, which is given as its value, gradient and running
    /// means.
    fn apply_to_all<'t>(&self, parameters: &[[&'t Tensor; 4]]) -> Vec<[Tensor; 3]> {
        let operands = |[parameter, gradient, first, second]: [&'t Tensor; 4]| {
            operands("a step of Adam", [parameter, gradient, first, second])
        };
        let tensors = |[parameter, ..]: &[&Tensor; 4], results: [Storage; 3]| {
            results.map(|storage| Tensor::constant(parameter.shape(), storage))
        };
        if parameters.iter().any(|[parameter, ..]| matches!(parameter.device(), Device::Cuda(_))) {
            // One kernel serves all parameters.
            let buffers = parameters.iter().map(|&tensors| match operands(tensors) {
                Operands::Cuda(buffers) => buffers,
                _ => panic!("a step of Adam of parameters on different devices"),
            });
            let results = self.launch(&buffers.collect::<Vec<_>>()).into_iter();
            return results.zip(parameters).map(|(results, of)| tensors(of, results.into_storage())).collect();
        }
        let apply = |of: &[&'t Tensor; 4]| match operands(*of) {
            Operands::F32(numbers) => tensors(of, self.apply(numbers).into_storage()),
            Operands::F64(numbers) => tensors(of, self.apply(numbers).into_storage()),
            Operands::Cuda(_) => panic!("a step of Adam of parameters on different devices"),
        };
        parameters.iter().map(apply).collect()
    }

    /// Returns the new value and running means of a parameter, in one pass over memory.
    fn apply<T: Element>(&self, [parameter, gradient, first, second]: [&[T]; 4]) -> [Buffer<T>; 3] {
        const CHUNK: usize = 1 << 13;
        let [rate, beta1, beta2, root_scale, epsilon] =
            [self.rate, self.beta1, self.beta2, self.root_scale, self.epsilon].map(T::from_f64);
        let [new1, new2] = [self.beta1, self.beta2].map(|beta| T::from_f64(1.0 - beta));
        let mut out = [parameter.len(); 3].map(Buffer::stale);
        let [p, m, v] = &mut out;
        (p.par_chunks_mut(CHUNK), m.par_chunks_mut(CHUNK), v.par_chunks_mut(CHUNK))
            .into_par_iter()
            .enumerate()
            .for_each(|(i, (p, m, v))| {
                let range = i * CHUNK..i * CHUNK + p.len();
                let [p0, g, m0, v0] = [parameter, gradient, first, second].map(|old| &old[range.clone()]);
                vectorised(
                    #[inline(always)]
                    || {
                        for j in 0..p0.len() {
                            m[j] = beta1 * m0[j] + new1 * g[j];
                            v[j] = beta2 * v0[j] + new2 * g[j] * g[j];
                            p[j] = p0[j] - rate * m[j] / (v[j].sqrt() * root_scale + epsilon);
                        }
                    },
                );
            });
        out
    }
}
