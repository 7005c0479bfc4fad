//! The four axes that kernels compute with.

use std::fmt;

/// The lengths of the axes batch, channel, height and width.
///
/// Kernels know no other shapes: [`Shape::nchw`](crate::Shape::nchw) says which of the four the axes of a tensor with
/// fewer are, so that one set of kernels serves images and matrices.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Nchw {
    /// Images in the batch, or rows of a matrix.
    pub(crate) n: usize,
    /// Channels, or columns of a matrix.
    pub(crate) c: usize,
    /// Height in pixels.
    pub(crate) h: usize,
    /// Width in pixels.
    pub(crate) w: usize,
}

impl Nchw {
    /// A shape from its four lengths.
    pub(crate) const fn new(n: usize, c: usize, h: usize, w: usize) -> Self {
        Nchw { n, c, h, w }
    }

    /// How many numbers it holds.
    pub(crate) const fn len(&self) -> usize {
        self.n * self.c * self.h * self.w
    }

    /// How many pixels an image has.
    pub(crate) const fn pixels(&self) -> usize {
        self.h * self.w
    }

    /// How many numbers belong to one pixel: they are a matrix of N rows and C columns, contiguous in memory.
    pub(crate) const fn plane(&self) -> usize {
        self.n * self.c
    }

    /// The lengths as kernels take them.
    pub(crate) fn axes(&self) -> [i32; 4] {
        [self.n, self.c, self.h, self.w].map(|length| length as i32)
    }

    /// Whether a tensor of this shape can be repeated to fill `to`: C, H and W are equal or 1, and N divides the new N,
    /// each row filling one block of rows.
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
