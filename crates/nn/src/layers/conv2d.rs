//! Convolutions and transposed convolutions of images.

use mergan_tensor::{Conv2d as Settings, Tensor};

use super::{LINEAR, Weighted, listed, listed_mut};
use crate::network::{Layer, Network, Parameter};
use crate::scope::Scope;

/// A convolution of images with square kernels, like PyTorch's `Conv2d`.
///
/// ```
/// use mergan_nn::{Conv2d, Layer, Scope};
/// use mergan_tensor::{Device, Random, Tensor};
///
/// let at = &Scope::new(Random::new(0), Device::Cpu);
/// let layer = Conv2d::new(at, 3, 16, 4).stride(2).padding(1);
/// assert_eq!(layer.forward(&Tensor::zeros([2, 3, 32, 32], Device::Cpu)).shape(), [2, 16, 16, 16]);
/// ```
#[derive(Clone, Debug)]
pub struct Conv2d {
    /// The kernels, `[outputs, inputs, h, w]`.
    pub weight: Parameter,
    /// The bias, `[outputs]`, if there is one.
    pub bias: Option<Parameter>,
    /// The stride and the padding, for height and width each.
    pub settings: Settings,
}

impl Conv2d {
    /// Creates a layer with new weights from the scope, which maps `inputs` channels to `outputs` channels with kernels
    /// of `kernel` x `kernel` pixels, stride 1 and no padding.
    pub fn new(at: &Scope, inputs: usize, outputs: usize, kernel: usize) -> Self {
        let weight = at.weight([outputs, inputs, kernel, kernel]);
        let bias = at.bias(outputs, weight.value.shape());
        Conv2d { weight, bias: Some(bias), settings: Settings::POINT }
    }

    /// Sets the stride.
    pub fn stride(mut self, pixels: usize) -> Self {
        self.settings.stride = [pixels, pixels];
        self
    }

    /// Sets the number of zero pixels that pad each side of an image.
    pub fn padding(mut self, pixels: usize) -> Self {
        self.settings.padding = [pixels, pixels];
        self
    }

    /// Removes the bias.
    pub fn without_bias(self) -> Self {
        Conv2d { bias: None, ..self }
    }
}

impl Network for Conv2d {
    fn parameters(&self) -> Vec<Parameter> {
        listed(&self.weight, &self.bias)
    }

    fn parameters_mut(&mut self) -> Vec<&mut Parameter> {
        listed_mut(&mut self.weight, &mut self.bias)
    }
}

impl Layer for Conv2d {
    /// Maps images `[n, inputs, h, w]` to `[n, outputs, (h + 2 padding - kernel) / stride + 1, ...]`.
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let weight = &self.weight.value;
        require_images(&self.weight, weight.shape()[1], x);
        match &self.bias {
            Some(bias) => x.conv2d_leaky_relu(weight, &bias.value, self.settings, LINEAR),
            None => x.conv2d(weight, self.settings),
        }
    }
}

impl Weighted for Conv2d {
    fn weight(&self) -> &Parameter {
        &self.weight
    }

    fn weight_mut(&mut self) -> &mut Parameter {
        &mut self.weight
    }
}

/// A transposed convolution of images, which enlarges images where a convolution would shrink them, like PyTorch's
/// `ConvTranspose2d`.
///
/// ```
/// use mergan_nn::{ConvTranspose2d, Layer, Scope};
/// use mergan_tensor::{Device, Random, Tensor};
///
/// let at = &Scope::new(Random::new(0), Device::Cpu);
/// let layer = ConvTranspose2d::new(at, 16, 3, 4).stride(2).padding(1);
/// assert_eq!(layer.forward(&Tensor::zeros([2, 16, 16, 16], Device::Cpu)).shape(), [2, 3, 32, 32]);
/// ```
#[derive(Clone, Debug)]
pub struct ConvTranspose2d {
    /// The kernels, `[inputs, outputs, h, w]`.
    pub weight: Parameter,
    /// The bias, `[outputs]`, if there is one.
    pub bias: Option<Parameter>,
    /// The stride and the padding of the convolution that this layer transposes, for height and width each.
    pub settings: Settings,
    /// The number of additional rows and columns of the output. With a stride greater than 1, a convolution maps images
    /// of several sizes to the same size; this selects one of them.
    pub output_padding: [usize; 2],
}

impl ConvTranspose2d {
    /// Creates a layer with new weights from the scope, which maps `inputs` channels to `outputs` channels with kernels
    /// of `kernel` x `kernel` pixels, stride 1 and no padding.
    pub fn new(at: &Scope, inputs: usize, outputs: usize, kernel: usize) -> Self {
        let weight = at.weight([inputs, outputs, kernel, kernel]);
        let bias = at.bias(outputs, weight.value.shape());
        ConvTranspose2d { weight, bias: Some(bias), settings: Settings::POINT, output_padding: [0, 0] }
    }

    /// Sets the stride, by which images are enlarged.
    pub fn stride(mut self, pixels: usize) -> Self {
        self.settings.stride = [pixels, pixels];
        self
    }

    /// Sets the number of pixels that are cut off each side of the output.
    pub fn padding(mut self, pixels: usize) -> Self {
        self.settings.padding = [pixels, pixels];
        self
    }

    /// Sets the number of additional rows and columns of the output, which must be less than the stride.
    pub fn output_padding(mut self, pixels: usize) -> Self {
        self.output_padding = [pixels, pixels];
        self
    }

    /// Removes the bias.
    pub fn without_bias(self) -> Self {
        ConvTranspose2d { bias: None, ..self }
    }
}

impl Network for ConvTranspose2d {
    fn parameters(&self) -> Vec<Parameter> {
        listed(&self.weight, &self.bias)
    }

    fn parameters_mut(&mut self) -> Vec<&mut Parameter> {
        listed_mut(&mut self.weight, &mut self.bias)
    }
}

impl Layer for ConvTranspose2d {
    /// Maps images `[n, inputs, h, w]` to `[n, outputs, (h - 1) stride - 2 padding + kernel + output_padding, ...]`.
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let ConvTranspose2d { weight: Parameter { name, value: weight, .. }, settings, output_padding, .. } = self;
        let [inputs, _, height, width] = weight.shape().dims();
        require_images(&self.weight, inputs, x);
        let ([_, _, h, w], kernel) = (x.shape().dims(), [height, width]);
        let size = [0, 1].map(|axis| {
            let [stride, padding, more] = [settings.stride[axis], settings.padding[axis], output_padding[axis]];
            let (pixels, cut) = ([h, w][axis], 2 * padding);
            assert!(
                more < stride,
                "`{name}`: an output padding of {more} pixels with stride {stride}; it must be less"
            );
            let full = (pixels.max(1) - 1) * stride + kernel[axis] + more;
            full.checked_sub(cut).unwrap_or_else(|| panic!("`{name}`: padding takes {cut} of {full} pixels"))
        });
        match &self.bias {
            Some(bias) => x.conv_transpose2d_leaky_relu(weight, &bias.value, *settings, size, LINEAR),
            None => x.conv_transpose2d(weight, *settings, size),
        }
    }
}

/// The kernels of a transposed convolution have inputs on the first axis.
impl Weighted for ConvTranspose2d {
    const OUTPUTS: usize = 1;

    fn weight(&self) -> &Parameter {
        &self.weight
    }

    fn weight_mut(&mut self) -> &mut Parameter {
        &mut self.weight
    }
}

/// Panics if `x` is not a batch of images with the number of channels that the layer with this weight takes.
#[track_caller]
fn require_images(weight: &Parameter, channels: usize, x: &Tensor) {
    let (name, shape) = (&weight.name, x.shape());
    assert!(shape.rank() == 4, "the layer of `{name}` takes images [n, c, h, w], not a tensor of shape {shape:?}");
    let found = shape[1];
    assert!(found == channels, "the layer of `{name}` takes {channels} channels, the images have {found}");
}
