//! The geometry of convolutions: which pixels their taps connect.

use std::ops::Range;

use crate::layout::Nchw;
use crate::shape::Shape;

/// The settings of a 2-d convolution (a cross-correlation, as usual in deep learning), each for height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv2d {
    /// The distance in input pixels between neighbouring output pixels, at least 1.
    pub stride: [usize; 2],
    /// The number of zero pixels added on each side of the input.
    pub padding: [usize; 2],
    /// The distance in input pixels between neighbouring taps of the kernel, at least 1.
    pub dilation: [usize; 2],
    /// The number of groups of channels, at least 1. Each group of output channels reads one group of input channels.
    pub groups: usize,
}

impl Conv2d {
    /// The settings of a 1x1 convolution. On a single pixel it is a matrix product.
    pub const POINT: Conv2d = Conv2d::square(1, 0);

    /// Returns settings with the same stride and padding for height and width.
    pub const fn square(stride: usize, padding: usize) -> Self {
        Conv2d::new([stride, stride], [padding, padding])
    }

    /// Returns settings with a stride and a padding each for height and width.
    pub const fn new(stride: [usize; 2], padding: [usize; 2]) -> Self {
        Conv2d { stride, padding, dilation: [1, 1], groups: 1 }
    }

    /// Returns the same settings with this distance between the taps of the kernel.
    pub const fn dilated(self, dilation: [usize; 2]) -> Self {
        Conv2d { dilation, ..self }
    }

    /// Returns the same settings with the channels in this many groups. A kernel is then `[co, ci / groups, kh, kw]`.
    pub const fn grouped(self, groups: usize) -> Self {
        Conv2d { groups, ..self }
    }

    /// Returns the number of additions and multiplications of one map of such images and such a kernel, computed tap by
    /// tap, or `None` if they do not fit. Products with the padding are not counted, because no direct kernel computes
    /// them.
    pub fn flops(&self, input: [usize; 4], weight: [usize; 4]) -> Option<usize> {
        let [input, weight] = [input, weight].map(|axes| Shape::from(axes).nchw());
        let of_group = Nchw { n: weight.n.checked_div(self.groups)?, ..weight };
        let input = Nchw { c: input.c.checked_div(self.groups)?, ..input };
        Some(self.groups * Geometry::new(input, of_group, *self)?.flops())
    }

    /// Returns the output height and width for an input and a kernel, or `None` if the dilated kernel is larger than
    /// the padded input or the stride is 0.
    pub fn output_size(&self, input: [usize; 2], kernel: [usize; 2]) -> Option<[usize; 2]> {
        let size = |i: usize| {
            let span = self.dilation[i] * kernel[i].checked_sub(1)? + 1;
            Some((input[i] + 2 * self.padding[i]).checked_sub(span)?.checked_div(self.stride[i])? + 1)
        };
        Some([size(0)?, size(1)?])
    }
}

/// The geometry of one convolution: all sizes that determine which elements are multiplied, each at least 1 except for
/// the padding.
///
/// Its three maps read and write images `x` `[h][w][n][ci]`, weights `w` `[kh][kw][co][ci]` and images `y`
/// `[oh][ow][n][co]`. A pixel is identified by the index of its `[n][channels]` matrix, and a tap by the index of its
/// `[co][ci]` matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Geometry {
    pub(crate) n: usize,
    pub(crate) ci: usize,
    pub(crate) h: usize,
    pub(crate) w: usize,
    pub(crate) co: usize,
    pub(crate) kh: usize,
    pub(crate) kw: usize,
    pub(crate) oh: usize,
    pub(crate) ow: usize,
    pub(crate) stride: [usize; 2],
    pub(crate) padding: [usize; 2],
    pub(crate) dilation: [usize; 2],
}

impl Geometry {
    /// Creates the geometry of a convolution, or of one of its groups, of images of shape `x` with a kernel of shape
    /// `w` (output channels, input channels, height, width).
    ///
    /// Returns `None` if the channels differ, the kernel is larger than the padded images, or a size is zero.
    pub(crate) fn new(x: Nchw, w: Nchw, conv: Conv2d) -> Option<Self> {
        let Conv2d { stride, padding, dilation, .. } = conv;
        if x.c != w.c || [x.len(), w.len()].into_iter().chain(stride).chain(dilation).any(|size| size == 0) {
            return None;
        }
        let [oh, ow] = conv.output_size([x.h, x.w], [w.h, w.w])?;
        Some(Geometry { n: x.n, ci: x.c, h: x.h, w: x.w, co: w.n, kh: w.h, kw: w.w, oh, ow, stride, padding, dilation })
    }

    /// Returns the shape of the images.
    pub(crate) fn input(&self) -> Nchw {
        Nchw::new(self.n, self.ci, self.h, self.w)
    }

    /// Returns the shape of the result.
    pub(crate) fn output(&self) -> Nchw {
        Nchw::new(self.n, self.co, self.oh, self.ow)
    }

    pub(crate) fn taps(&self) -> Range<usize> {
        0..self.kh * self.kw
    }

    pub(crate) fn input_pixels(&self) -> usize {
        self.h * self.w
    }

    pub(crate) fn output_pixels(&self) -> usize {
        self.oh * self.ow
    }

    pub(crate) fn input_len(&self) -> usize {
        self.input_pixels() * self.n * self.ci
    }

    pub(crate) fn weight_len(&self) -> usize {
        self.kh * self.kw * self.co * self.ci
    }

    pub(crate) fn output_len(&self) -> usize {
        self.output_pixels() * self.n * self.co
    }

    /// Returns the sizes as kernels take them.
    pub(crate) fn sizes(&self) -> [i32; 15] {
        let Geometry { n, ci, h, w, co, kh, kw, oh, ow, stride, padding, dilation } = *self;
        let [[sy, sx], [py, px], [dy, dx]] = [stride, padding, dilation];
        [n, ci, h, w, co, kh, kw, oh, ow, sy, sx, py, px, dy, dx].map(|size| size as i32)
    }

    /// Returns the input pixel that an output pixel reads through a tap, or `None` if it lies in the padding.
    pub(crate) fn input_pixel(&self, output: usize, tap: usize) -> Option<usize> {
        let along = |axis: usize, output: usize, tap: usize, size: usize| {
            (output * self.stride[axis] + tap * self.dilation[axis])
                .checked_sub(self.padding[axis])
                .filter(|&input| input < size)
        };
        let y = along(0, output / self.ow, tap / self.kw, self.h)?;
        let x = along(1, output % self.ow, tap % self.kw, self.w)?;
        Some(y * self.w + x)
    }

    /// Returns the output pixel that reads an input pixel through a tap, or `None` if there is none because of strides
    /// or borders.
    pub(crate) fn output_pixel(&self, input: usize, tap: usize) -> Option<usize> {
        let along = |axis: usize, input: usize, tap: usize, size: usize| {
            let offset = (input + self.padding[axis]).checked_sub(tap * self.dilation[axis])?;
            let output = offset / self.stride[axis];
            (offset % self.stride[axis] == 0 && output < size).then_some(output)
        };
        let y = along(0, input / self.w, tap / self.kw, self.oh)?;
        let x = along(1, input % self.w, tap % self.kw, self.ow)?;
        Some(y * self.ow + x)
    }

    /// Returns the number of additions and multiplications of one of the three maps, tap by tap and without the
    /// padding.
    pub(crate) fn flops(&self) -> usize {
        // Height and width determine independently whether a tap of an output pixel hits the image.
        let hits = |axis: usize, outputs: usize, taps: usize, size: usize| {
            let inside = |position: usize| (self.padding[axis]..self.padding[axis] + size).contains(&position);
            let position = |o: usize, tap: usize| o * self.stride[axis] + tap * self.dilation[axis];
            (0..outputs).map(|o| (0..taps).filter(|&tap| inside(position(o, tap))).count()).sum::<usize>()
        };
        let pairs = hits(0, self.oh, self.kh, self.h) * hits(1, self.ow, self.kw, self.w);
        2 * pairs * self.n * self.ci * self.co
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digit_layer() -> Geometry {
        Geometry::new(Nchw::new(1, 1, 8, 6), Nchw::new(1, 1, 5, 5), Conv2d::square(2, 2)).expect("a kernel that fits")
    }

    #[test]
    fn output_sizes_are_the_usual_ones() {
        assert_eq!(Conv2d::new([2, 2], [2, 2]).output_size([32, 31], [5, 5]), Some([16, 16]));
        assert_eq!(Conv2d::new([1, 1], [0, 3]).output_size([17, 17], [1, 7]), Some([17, 17]));
        assert_eq!(Conv2d::new([1, 1], [0, 0]).output_size([4, 4], [5, 4]), None);
        assert_eq!(Conv2d::square(0, 0).output_size([4, 4], [2, 2]), None);
        assert_eq!(Conv2d::square(1, 2).dilated([2, 3]).output_size([8, 8], [3, 3]), Some([8, 6]));
    }

    #[test]
    fn impossible_convolutions_have_no_geometry() {
        let images = Nchw::new(2, 3, 4, 4);
        assert!(Geometry::new(images, Nchw::new(5, 3, 4, 4), Conv2d::POINT).is_some());
        assert_eq!(Geometry::new(images, Nchw::new(5, 2, 4, 4), Conv2d::POINT), None);
        assert_eq!(Geometry::new(images, Nchw::new(5, 3, 5, 4), Conv2d::POINT), None);
        assert_eq!(Geometry::new(images, Nchw::new(5, 3, 4, 4), Conv2d::square(0, 0)), None);
        assert_eq!(Geometry::new(Nchw::new(0, 3, 4, 4), Nchw::new(5, 3, 4, 4), Conv2d::POINT), None);
    }

    #[test]
    fn the_two_pixel_maps_are_inverse() {
        let dilated = Conv2d::square(2, 2).dilated([3, 2]);
        let dilated =
            Geometry::new(Nchw::new(1, 1, 11, 9), Nchw::new(1, 1, 3, 5), dilated).expect("a kernel that fits");
        for g in [digit_layer(), dilated] {
            for tap in g.taps() {
                let forward: Vec<_> =
                    (0..g.output_pixels()).filter_map(|o| g.input_pixel(o, tap).map(|i| (i, o))).collect();
                let mut backward: Vec<_> =
                    (0..g.input_pixels()).filter_map(|i| g.output_pixel(i, tap).map(|o| (i, o))).collect();
                backward.sort_by_key(|pair| pair.1);
                assert_eq!(forward, backward, "tap {tap}");
            }
        }
    }

    #[test]
    fn padding_is_not_counted_as_work() {
        // 3 + 5 + 5 + 4 of 4 * 5 taps are inside along the rows, and 3 + 5 + 4 of 3 * 5 along the columns.
        assert_eq!(digit_layer().flops(), 2 * 17 * 12);
    }
}
