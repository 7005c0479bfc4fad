//! The shape of a tensor: four axes, always in the order N, C, H, W.

use std::fmt;

/// Lengths of the axes batch, channel, height and width.
///
/// Every tensor has all four. A matrix of N rows and C columns is `[n, c, 1, 1]`, a vector is one such row
/// (`[1, c, 1, 1]`) and a scalar is `[1, 1, 1, 1]`, so that one set of operations serves images and matrices.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Images in the batch, or rows of a matrix.
    pub n: usize,
    /// Channels, or columns of a matrix.
    pub c: usize,
    /// Height in pixels.
    pub h: usize,
    /// Width in pixels.
    pub w: usize,
}

impl Shape {
    /// The shape of a single number.
    pub const SCALAR: Shape = Shape::new(1, 1, 1, 1);

    /// A shape from its four lengths.
    pub const fn new(n: usize, c: usize, h: usize, w: usize) -> Self {
        Shape { n, c, h, w }
    }

    /// The shape of a matrix with `n` rows and `c` columns.
    pub const fn matrix(n: usize, c: usize) -> Self {
        Shape::new(n, c, 1, 1)
    }

    /// The shape of a vector of `c` channels.
    pub const fn vector(c: usize) -> Self {
        Shape::matrix(1, c)
    }

    /// How many numbers a tensor of this shape holds.
    pub const fn len(&self) -> usize {
        self.n * self.c * self.h * self.w
    }

    /// Whether a tensor of this shape holds no number at all.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Pixels of an image.
    pub(crate) const fn pixels(&self) -> usize {
        self.h * self.w
    }

    /// Numbers at one pixel: a matrix of N rows and C columns, contiguous in memory.
    pub(crate) const fn plane(&self) -> usize {
        self.n * self.c
    }

    /// The lengths as kernels take them.
    pub(crate) fn axes(&self) -> [i32; 4] {
        <[usize; 4]>::from(*self).map(|length| length as i32)
    }

    /// Whether a tensor of this shape can be repeated to fill `to`; see [`Tensor::broadcast_to`](crate::Tensor::broadcast_to).
    pub fn broadcasts_to(&self, to: Shape) -> bool {
        let fits = |from: usize, to: usize| from == to || from == 1;
        self.n > 0 && to.n.is_multiple_of(self.n) && fits(self.c, to.c) && fits(self.h, to.h) && fits(self.w, to.w)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}, {}, {}]", self.n, self.c, self.h, self.w)
    }
}

impl From<[usize; 4]> for Shape {
    fn from([n, c, h, w]: [usize; 4]) -> Self {
        Shape::new(n, c, h, w)
    }
}

impl From<Shape> for [usize; 4] {
    fn from(s: Shape) -> Self {
        [s.n, s.c, s.h, s.w]
    }
}
