//! Max and average pooling of the windows of an image, channel by channel.
//!
//! The mean is linear, so it and its transpose are each other's gradient. The maximum selects one pixel of each window,
//! and the selection is constant around almost all images. Selecting pixels and adding the selected elements back to
//! where they came from are each other's gradient. Both poolings are therefore closed under differentiation of any
//! order.

pub(super) mod cuda;
mod kernels;

use std::sync::Arc;

use super::conv2d::{Conv2d, Geometry};
use crate::cuda::Buffer as DeviceBuffer;
use crate::layout::Nchw;
use crate::storage::{Operands, dispatch, operands};
use crate::tensor::Tensor;

/// The settings of a 2-d pooling, each for height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pool2d {
    /// The size of a window in pixels, at least 1.
    pub kernel: [usize; 2],
    /// The distance in input pixels between neighbouring windows, at least 1.
    pub stride: [usize; 2],
    /// The number of pixels by which windows may extend beyond each side of the input, at most half of the kernel.
    /// Nothing is read there: a maximum is taken over the pixels inside, and a mean is divided by their number.
    pub padding: [usize; 2],
}

impl Pool2d {
    /// Returns settings that are the same for height and width.
    pub const fn square(kernel: usize, stride: usize, padding: usize) -> Self {
        Pool2d { kernel: [kernel, kernel], stride: [stride, stride], padding: [padding, padding] }
    }
}

/// For every element of a maximum, the input pixel that it was taken from.
enum Chosen {
    Host(Vec<u32>),
    Cuda(DeviceBuffer),
}

impl Chosen {
    fn new(g: &Geometry, images: &Tensor) -> Chosen {
        match operands("max_pool2d", [images]) {
            Operands::F32([x]) => Chosen::Host(kernels::choose(g, x)),
            Operands::F64([x]) => Chosen::Host(kernels::choose(g, x)),
            Operands::Cuda([x]) => Chosen::Cuda(cuda::choose(g, x)),
        }
    }

    fn host(&self) -> &[u32] {
        let Chosen::Host(chosen) = self else {
            panic!("max_pool2d: pixels that a CUDA device chose, on another device")
        };
        chosen
    }

    fn cuda(&self) -> &DeviceBuffer {
        let Chosen::Cuda(chosen) = self else {
            panic!("max_pool2d: pixels that another device chose, on a CUDA device")
        };
        chosen
    }
}

impl Tensor {
    /// Returns the maximum of each window of images `[n, c, h, w]`: shape `[n, c, oh, ow]`, with sizes as for a
    /// convolution. A window that contains NaN gives NaN.
    ///
    /// The first of equal elements, row by row, receives the gradient.
    ///
    /// # Panics
    /// Panics if the window is larger than the padded image, or the padding is more than half of the window.
    #[track_caller]
    pub fn max_pool2d(&self, pool: Pool2d) -> Tensor {
        let g = geometry("max_pool2d", self.images("max_pool2d"), pool);
        let storage =
            dispatch!(operands("max_pool2d", [self]), |[x]| kernels::largest(&g, x), |[x]| cuda::largest(&g, x));
        let x = self.detach();
        Tensor::from_operation(g.output().into(), storage, &[self], move |back| {
            // The selected pixels are recomputed rather than saved, because networks that only run forward do not need
            // them.
            let chosen = Arc::new(Chosen::new(&g, &x));
            vec![Some(back.upstream.unchoose(&g, &chosen))]
        })
    }

    /// Returns the mean of each window of images `[n, c, h, w]` over the pixels inside the image: shape `[n, c, oh,
    /// ow]`, with sizes as for a convolution.
    ///
    /// # Panics
    /// Panics if the window is larger than the padded image, or the padding is more than half of the window.
    #[track_caller]
    pub fn avg_pool2d(&self, pool: Pool2d) -> Tensor {
        let g = geometry("avg_pool2d", self.images("avg_pool2d"), pool);
        let storage = dispatch!(operands("avg_pool2d", [self]), |[x]| kernels::mean(&g, x), |[x]| cuda::mean(&g, x));
        Tensor::from_operation(g.output().into(), storage, &[self], move |back| {
            vec![Some(back.upstream.avg_pool2d_input_grad(pool, [g.h, g.w]))]
        })
    }

    /// Returns the gradient of [`Tensor::avg_pool2d`] with respect to images of this height and width. This tensor is
    /// the gradient with respect to its result.
    ///
    /// # Panics
    /// Panics if [`Tensor::avg_pool2d`] of such images does not have this tensor's shape.
    #[track_caller]
    pub fn avg_pool2d_input_grad(&self, pool: Pool2d, [h, w]: [usize; 2]) -> Tensor {
        let output = self.images("avg_pool2d_input_grad");
        let g = geometry("avg_pool2d_input_grad", Nchw { h, w, ..output }, pool);
        assert!(
            output == g.output(),
            "avg_pool2d_input_grad to images of {h} x {w} pixels with {pool:?}: their means have the shape {:?}, not {output:?}",
            g.output()
        );
        let storage =
            dispatch!(operands("avg_pool2d_input_grad", [self]), |[dy]| kernels::mean_input_grad(&g, dy), |[dy]| {
                cuda::mean_input_grad(&g, dy)
            });
        Tensor::from_operation(g.input().into(), storage, &[self], move |back| {
            vec![Some(back.upstream.avg_pool2d(pool))]
        })
    }

    /// Selects the elements of these images that were chosen for each window.
    fn choose(&self, g: &Geometry, chosen: &Arc<Chosen>) -> Tensor {
        let storage =
            dispatch!(operands("max_pool2d", [self]), |[x]| kernels::gather(g, chosen.host(), x), |[x]| cuda::gather(
                g,
                chosen.cuda(),
                x
            ));
        let (g, chosen) = (*g, chosen.clone());
        Tensor::from_operation(g.output().into(), storage, &[self], move |back| {
            vec![Some(back.upstream.unchoose(&g, &chosen))]
        })
    }

    /// Adds the elements of this tensor, one per window, to the pixels that were chosen; the other pixels are zero.
    fn unchoose(&self, g: &Geometry, chosen: &Arc<Chosen>) -> Tensor {
        let storage =
            dispatch!(operands("max_pool2d", [self]), |[dy]| kernels::scatter(g, chosen.host(), dy), |[dy]| {
                cuda::scatter(g, chosen.cuda(), dy)
            });
        let (g, chosen) = (*g, chosen.clone());
        Tensor::from_operation(g.input().into(), storage, &[self], move |back| {
            vec![Some(back.upstream.choose(&g, &chosen))]
        })
    }
}

/// Returns the geometry of the windows, which is that of a convolution of the same sizes. Pooling connects every
/// channel only with itself.
#[track_caller]
fn geometry(operation: &str, input: Nchw, pool: Pool2d) -> Geometry {
    let Pool2d { kernel: [height, width], stride, padding } = pool;
    let fits = padding[0] <= height / 2 && padding[1] <= width / 2;
    let kernel = Nchw::new(input.c, input.c, height, width);
    let geometry = Geometry::new(input, kernel, Conv2d::new(stride, padding)).filter(|_| fits);
    let Some(geometry) = geometry else {
        let mistake = match fits {
            true => "the window is larger than the padded images, or a length is zero",
            false => "the padding is more than half of the window",
        };
        panic!("{operation} of images {input:?} with {pool:?}: {mistake}")
    };
    geometry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Device;

    /// Creates an image of one channel from its rows.
    fn image<const H: usize, const W: usize>(rows: [[f64; W]; H], device: Device) -> Tensor {
        Tensor::from_vec(rows.as_flattened().to_vec(), [1, 1, H, W], device)
    }

    #[test]
    fn windows_leave_the_padding_out() {
        for device in [Device::Cpu, Device::Reference] {
            let x = image([[-1.0, -2.0, -3.0], [-4.0, -5.0, -6.0], [-7.0, -8.0, -9.0]], device);
            let pool = Pool2d::square(3, 2, 1);
            assert_eq!(x.max_pool2d(pool).to_vec::<f64>(), [-1.0, -2.0, -4.0, -5.0]);
            assert_eq!(x.avg_pool2d(pool).to_vec::<f64>(), [-3.0, -4.0, -6.0, -7.0]);
            let wide = Pool2d { kernel: [1, 3], stride: [1, 1], padding: [0, 1] };
            assert_eq!(x.avg_pool2d(wide).to_vec::<f64>()[..3], [-1.5, -2.0, -2.5]);
        }
    }

    #[test]
    fn the_first_of_equal_numbers_receives_the_gradient() {
        let x = image([[2.0, 7.0, 7.0], [7.0, 1.0, 0.0]], Device::Reference).variable();
        let gradient = x.max_pool2d(Pool2d::square(2, 1, 0)).sum().gradient(&x);
        assert_eq!(gradient.to_vec::<f64>(), [0.0, 2.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn what_is_no_number_is_not_hidden() {
        for device in [Device::Cpu, Device::Reference] {
            for x in [[[f64::NAN, 1.0]], [[1.0, f64::NAN]]] {
                let pool = Pool2d { kernel: [1, 2], stride: [1, 1], padding: [0, 0] };
                assert!(image(x, device).max_pool2d(pool).item().is_nan());
            }
        }
    }

    #[test]
    #[should_panic(expected = "max_pool2d of images [1, 1, 4, 4]")]
    fn windows_that_may_see_nothing_are_refused() {
        Tensor::zeros([1, 1, 4, 4], Device::Cpu).max_pool2d(Pool2d::square(3, 1, 2));
    }
}
