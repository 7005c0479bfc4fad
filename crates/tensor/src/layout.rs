//! The four axes that kernels use.

use std::fmt;

/// The lengths of the batch, channel, height and width axes.
///
/// Kernels know no other shapes: [`Shape::nchw`](crate::Shape::nchw) maps the axes of a tensor that has fewer to these
/// four, so that the same kernels serve images and matrices.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Nchw {
    /// The number of images in the batch, or of rows of a matrix.
    pub(crate) n: usize,
    /// The number of channels, or of columns of a matrix.
    pub(crate) c: usize,
    /// The height in pixels.
    pub(crate) h: usize,
    /// The width in pixels.
    pub(crate) w: usize,
}

impl Nchw {
    pub(crate) const fn new(n: usize, c: usize, h: usize, w: usize) -> Self {
        Nchw { n, c, h, w }
    }

    /// Returns the number of elements.
    pub(crate) const fn len(&self) -> usize {
        self.n * self.c * self.h * self.w
    }

    /// Returns the number of pixels of an image.
    pub(crate) const fn pixels(&self) -> usize {
        self.h * self.w
    }

    /// Returns the number of elements at one pixel: a matrix of N rows and C columns, contiguous in memory.
    pub(crate) const fn plane(&self) -> usize {
        self.n * self.c
    }

    /// Returns the lengths as kernel arguments.
    pub(crate) fn axes(&self) -> [i32; 4] {
        [self.n, self.c, self.h, self.w].map(|length| length as i32)
    }

    /// Returns whether a tensor of this shape can be repeated to fill `to`: C, H and W must be equal or 1, and N must
    /// divide the new N, where each row is repeated to fill one block of rows.
    pub(crate) fn repeats_to(&self, to: Nchw) -> bool {
        let fits = |from: usize, to: usize| from == to || from == 1;
        self.n > 0 && to.n.is_multiple_of(self.n) && fits(self.c, to.c) && fits(self.h, to.h) && fits(self.w, to.w)
    }
}

impl fmt::Debug for Nchw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}, {}, {}]", self.n, self.c, self.h, self.w)
    }
}
