//! Computes a network with tensors: each layer takes its parameters, in order, and computes its result.

use std::fmt::Display;
use std::slice;

use mergan_nn::{Parameter, Rows};
use mergan_tensor::{Conv2d, Pool2d, Tensor};

use crate::adapters::changed;
use crate::conditions::Conditions;
use crate::layers::{CriticLayers, GeneratorLayers, Kernel, Layers};
use crate::norm::{EPSILON, Norm};

/// Kernel size 5, stride 2, padding 2: the convolution halves an image, and its transpose doubles it.
const HALVING: Conv2d = Conv2d::square(2, 2);
const POOLING: Pool2d = Pool2d::square(2, 2, 0);

/// The slope of a leaky ReLU that changes nothing, for layers without activation.
pub(crate) const LINEAR: f64 = 1.0;
/// The slope of a plain ReLU.
pub(crate) const RELU: f64 = 0.0;

/// Returns the settings of a convolution that keeps the size of the image.
fn keeping(side: usize) -> Conv2d {
    Conv2d::square(1, side / 2)
}

/// A forward pass through a network. `C` is the data for layers that depend on classes.
pub(crate) struct Forward<'n, C = ()> {
    parameters: slice::Iter<'n, Parameter>,
    classes: C,
}

/// The classes that a generator is conditioned on, their adapters, and a function that replaces its batch norms and
/// their ReLUs, which are numbered from 0.
pub(crate) struct Asked<'n, F> {
    conditions: &'n Conditions,
    /// The two tables of each kernel, or none.
    adapters: slice::Iter<'n, [Parameter; 2]>,
    normalise: F,
    norms: usize,
}

impl<'n> Forward<'n> {
    /// Starts a pass through a network without classes.
    pub(crate) fn new(parameters: &'n [Parameter]) -> Self {
        Forward { parameters: parameters.iter(), classes: () }
    }
}

impl<'n, F: FnMut(usize, Norm<'n>, &Tensor) -> Tensor> Forward<'n, Asked<'n, F>> {
    /// Starts a pass through a generator.
    pub(crate) fn asked(
        parameters: &'n [Parameter],
        adapters: &'n [[Parameter; 2]],
        conditions: &'n Conditions,
        normalise: F,
    ) -> Self {
        let classes = Asked { conditions, adapters: adapters.iter(), normalise, norms: 0 };
        Forward { parameters: parameters.iter(), classes }
    }
}

/// The data for layers that depend on classes; convolutions may be among these layers.
pub(crate) trait Kernels {
    /// Applies a convolution with this kernel as each class sees it.
    fn convolve(&mut self, x: &Tensor, kernel: &Tensor, convolution: impl Fn(&Tensor, &Tensor) -> Tensor) -> Tensor;
}

/// All images see the same kernel.
impl Kernels for () {
    fn convolve(&mut self, x: &Tensor, kernel: &Tensor, convolution: impl Fn(&Tensor, &Tensor) -> Tensor) -> Tensor {
        convolution(x, kernel)
    }
}

impl<F> Kernels for Asked<'_, F> {
    fn convolve(&mut self, x: &Tensor, kernel: &Tensor, convolution: impl Fn(&Tensor, &Tensor) -> Tensor) -> Tensor {
        let Some([left, right]) = self.adapters.next() else { return convolution(x, kernel) };
        self.conditions.each_class(x, |label, images| {
            let rows = [left, right].map(|table| self.conditions.row(&table.value, label));
            convolution(images, &changed(kernel, rows))
        })
    }
}

impl<'n, C> Forward<'n, C> {
    /// Applies a convolution with a bias and kernels of `side` pixels, which keeps the size of the image, and a leaky
    /// ReLU of this slope.
    pub(crate) fn conv_leaky_relu(&mut self, x: &Tensor, side: usize, slope: f64) -> Tensor {
        let [weight, bias] = [self.next(), self.next()];
        x.conv2d_leaky_relu(weight, bias, keeping(side), slope)
    }

    /// Applies a linear layer to vectors, and a leaky ReLU of this slope.
    pub(crate) fn linear_leaky_relu(&mut self, x: &Tensor, slope: f64) -> Tensor {
        let [weight, bias] = [self.next(), self.next()];
        x.linear_leaky_relu(weight, bias, slope)
    }

    fn norm(&mut self, rows: Rows) -> Norm<'n> {
        Norm { scale: self.next(), shift: self.next(), rows }
    }

    fn next(&mut self) -> &'n Tensor {
        &self.parameters.next().expect("a network has the parameters that its walk declares").value
    }
}

impl<C: Kernels> Layers for Forward<'_, C> {
    type Value = Tensor;

    fn conv(&mut self, x: &Tensor, _name: impl Display, kernel: Kernel) -> Tensor {
        let (weight, bias) = (self.next(), kernel.bias.then(|| self.next()));
        self.classes.convolve(x, weight, |x, weight| match bias {
            Some(bias) => x.conv2d_leaky_relu(weight, bias, keeping(kernel.side), LINEAR),
            None => x.conv2d(weight, keeping(kernel.side)),
        })
    }

    fn add(&mut self, left: &Tensor, right: &Tensor) -> Tensor {
        left + right
    }
}

impl<'n, F: FnMut(usize, Norm<'n>, &Tensor) -> Tensor> GeneratorLayers for Forward<'n, Asked<'n, F>> {
    fn linear(&mut self, x: &Tensor, _name: impl Display, _outputs: usize) -> Tensor {
        self.linear_leaky_relu(x, LINEAR)
    }

    fn linear_of_class(&mut self, x: &Tensor, _name: impl Display, _table: impl Display, _outputs: usize) -> Tensor {
        let rows = self.linear_leaky_relu(x, LINEAR);
        let of_classes = self.classes.conditions.rows(self.next());
        let images_of_each = rows.shape()[0] / of_classes.shape()[0];
        rows + of_classes.repeat_interleave(images_of_each)
    }

    fn unflatten(&mut self, x: &Tensor, [c, h, w]: [usize; 3]) -> Tensor {
        x.reshape([x.shape()[0], c, h, w])
    }

    fn batch_norm_relu(&mut self, x: &Tensor, _name: impl Display, rows: Rows) -> Tensor {
        let norm = self.norm(rows);
        let layer = self.classes.norms;
        self.classes.norms += 1;
        (self.classes.normalise)(layer, norm, x)
    }

    fn conv_transpose(&mut self, x: &Tensor, _name: impl Display, _outputs: usize) -> Tensor {
        let ([weight, bias], [_, _, h, w]) = ([self.next(), self.next()], x.shape().dims());
        self.classes.convolve(x, weight, |x, weight| {
            x.conv_transpose2d_leaky_relu(weight, bias, HALVING, [2 * h, 2 * w], LINEAR)
        })
    }

    fn upsample(&mut self, x: &Tensor) -> Tensor {
        x.upsample2d()
    }

    fn tanh(&mut self, x: &Tensor) -> Tensor {
        x.tanh()
    }
}

impl CriticLayers for Forward<'_> {
    fn conv_halving_leaky_relu(&mut self, x: &Tensor, _name: impl Display, _outputs: usize, slope: f64) -> Tensor {
        let [weight, bias] = [self.next(), self.next()];
        x.conv2d_leaky_relu(weight, bias, HALVING, slope)
    }

    fn relu(&mut self, x: &Tensor) -> Tensor {
        x.relu()
    }

    fn layer_norm_relu(&mut self, x: &Tensor, _name: impl Display) -> Tensor {
        let Norm { scale, shift, .. } = self.norm(Rows::Shared);
        x.layer_norm_leaky_relu(scale, shift, EPSILON, RELU)
    }

    fn average_pool(&mut self, x: &Tensor) -> Tensor {
        x.avg_pool2d(POOLING)
    }

    fn average_all(&mut self, x: &Tensor) -> Tensor {
        let [n, c, _, _] = x.shape().dims();
        x.mean_to([n, c, 1, 1])
    }

    /// The weight is used as a kernel that covers the whole map, so that maps need not be copied into rows.
    fn head(&mut self, maps: &Tensor, _name: impl Display, outputs: usize, _rows: Rows) -> Tensor {
        let ([weight, bias], [_, c, h, w]) = ([self.next(), self.next()], maps.shape().dims());
        let kernel = weight.reshape([outputs, c, h, w]);
        maps.conv2d_leaky_relu(&kernel, bias, Conv2d::square(1, 0), LINEAR).flatten()
    }
}
