//! The shape of a tensor: up to four axes, in the order of NumPy and PyTorch.

use std::fmt;
use std::ops::Index;

use crate::layout::Nchw;

/// The maximum number of axes of a tensor.
pub(crate) const MAX_RANK: usize = 4;

/// The lengths of a tensor's axes, from none (a scalar) to four.
///
/// ```
/// use mergan_tensor::Shape;
///
/// let shape = Shape::from([64, 3, 32, 32]);
/// let [images, channels, height, width] = shape.dims();
/// assert_eq!((shape.rank(), shape.len(), shape[1]), (4, images * channels * height * width, channels));
/// ```
///
/// An array of lengths converts to a shape wherever an operation takes one. The compiler rejects a fifth axis:
///
/// ```compile_fail,E0080
/// use mergan_tensor::{Device, Tensor};
///
/// let volumes = Tensor::zeros([1, 1, 1, 1, 1], Device::Cpu);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// The lengths of the axes, followed by ones.
    lengths: [usize; MAX_RANK],
    rank: usize,
}

impl Shape {
    /// The shape of a scalar, which has no axes.
    pub const SCALAR: Shape = Shape { lengths: [1; MAX_RANK], rank: 0 };

    /// Returns the shape with these lengths, or `None` if there are more than four, or if the number of elements
    /// overflows `usize`.
    pub fn of(axes: &[usize]) -> Option<Shape> {
        axes.iter().try_fold(1usize, |len, &axis| len.checked_mul(axis))?;
        let mut shape = Shape { rank: axes.len(), ..Shape::SCALAR };
        shape.lengths.get_mut(..axes.len())?.copy_from_slice(axes);
        Some(shape)
    }

    /// Returns the number of axes.
    pub const fn rank(&self) -> usize {
        self.rank
    }

    /// Returns the lengths of the axes.
    pub fn axes(&self) -> &[usize] {
        &self.lengths[..self.rank]
    }

    /// Returns the lengths of exactly `N` axes, for use with a pattern: `let [n, c, h, w] = x.shape().dims();`
    ///
    /// # Panics
    /// Panics if the number of axes is not `N`.
    #[track_caller]
    pub fn dims<const N: usize>(&self) -> [usize; N] {
        let Ok(dims) = self.axes().try_into() else {
            panic!("a tensor of {N} axes was expected, this one has the shape {self:?}")
        };
        dims
    }

    /// Returns the number of elements of a tensor of this shape.
    pub fn len(&self) -> usize {
        self.lengths.iter().product()
    }

    /// Returns whether a tensor of this shape has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns this shape with another length of one axis.
    ///
    /// # Panics
    /// Panics if there is no such axis.
    #[track_caller]
    pub fn with(mut self, axis: usize, length: usize) -> Shape {
        self.require_axis(axis);
        self.lengths[axis] = length;
        self
    }

    /// Returns the shape that tensors of both shapes are broadcast to by NumPy's rule, or `None` if they cannot be:
    /// axes are compared from the last to the first, and the lengths in each pair must be equal or one of them must be
    /// 1.
    pub fn broadcast(&self, other: &Shape) -> Option<Shape> {
        let rank = self.rank.max(other.rank);
        let (mut shape, [a, b]) = (Shape { rank, ..Shape::SCALAR }, [self, other].map(|shape| shape.aligned(rank)));
        for axis in 0..rank {
            shape.lengths[axis] = match (a[axis], b[axis]) {
                (a, b) if a == b => a,
                (1, length) | (length, 1) => length,
                _ => return None,
            };
        }
        Some(shape)
    }

    /// Returns the lengths of `rank` axes, the last of which are this shape's and the others 1.
    fn aligned(&self, rank: usize) -> [usize; MAX_RANK] {
        let mut lengths = [1; MAX_RANK];
        lengths[rank - self.rank..rank].copy_from_slice(self.axes());
        lengths
    }

    /// Returns the four axes that kernels use for this shape: a matrix has N rows and C columns, a vector is one row of
    /// a matrix, and three axes are C, H and W of one image.
    pub(crate) fn nchw(&self) -> Nchw {
        let [a, b, c, d] = self.lengths;
        match self.rank {
            0 | 1 => Nchw::new(1, a, 1, 1),
            2 => Nchw::new(a, b, 1, 1),
            3 => Nchw::new(1, a, b, c),
            _ => Nchw::new(a, b, c, d),
        }
    }

    /// Returns the same as [`Shape::nchw`] after this shape has been extended to `rank` axes, for an operand that is
    /// broadcast. Leading axes of length 1 do not change the order of the numbers in memory.
    pub(crate) fn nchw_among(&self, rank: usize) -> Nchw {
        Shape { lengths: self.aligned(rank), rank }.nchw()
    }

    /// Returns the strides of an axis in memory, where the order of the axes is H, W, N, C.
    #[track_caller]
    pub(crate) fn strided(&self, axis: usize) -> Strided {
        self.require_axis(axis);
        let Nchw { n, c, h, w } = self.nchw();
        let places = [[h * w, n, c], [h * w * n, c, 1], [1, h, w * n * c], [h, w, n * c]];
        let [outer, length, inner] = places[self.place(axis)];
        Strided { outer, length, inner }
    }

    /// Returns the position of an axis among N, C, H and W, as in [`Shape::nchw`].
    pub(crate) fn place(&self, axis: usize) -> usize {
        match self.rank {
            1 | 3 => axis + 1,
            _ => axis,
        }
    }

    #[track_caller]
    pub(crate) fn require_axis(&self, axis: usize) {
        assert!(axis < self.rank, "axis {axis} of a tensor of shape {self:?}, whose axes are counted from 0");
    }
}

/// A view of a tensor's memory as `outer` blocks of `length` rows of `inner` numbers, where the rows are indexed by one
/// axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Strided {
    pub(crate) outer: usize,
    pub(crate) length: usize,
    pub(crate) inner: usize,
}

impl Index<usize> for Shape {
    type Output = usize;
    #[track_caller]
    fn index(&self, axis: usize) -> &usize {
        self.require_axis(axis);
        &self.lengths[axis]
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.axes())
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(axes: [usize; N]) -> Self {
        const { assert!(N <= MAX_RANK, "a tensor has at most four axes") };
        Shape::of(&axes)
            .unwrap_or_else(|| panic!("a tensor of shape {axes:?} has more elements than memory has addresses"))
    }
}

impl From<Nchw> for Shape {
    fn from(Nchw { n, c, h, w }: Nchw) -> Self {
        [n, c, h, w].into()
    }
}

impl<const N: usize> PartialEq<[usize; N]> for Shape {
    fn eq(&self, other: &[usize; N]) -> bool {
        self.axes() == other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_broadcast_as_numpy_does() {
        let both =
            |a: &[usize], b: &[usize]| Shape::of(a)?.broadcast(&Shape::of(b)?).map(|shape| shape.axes().to_vec());
        type Axes = &'static [usize];
        let cases: [(Axes, Axes, Option<Axes>); 8] = [
            (&[], &[], Some(&[])),
            (&[3], &[2, 3], Some(&[2, 3])),
            (&[3, 1], &[1, 4], Some(&[3, 4])),
            (&[5, 6], &[2, 3, 5, 6], Some(&[2, 3, 5, 6])),
            (&[3, 1, 1], &[2, 3, 5, 6], Some(&[2, 3, 5, 6])),
            (&[3], &[2, 3, 5, 6], None),
            (&[2, 1, 1, 1], &[6, 1, 1, 1], None),
            (&[0], &[1], Some(&[0])),
        ];
        for (a, b, expected) in cases {
            assert_eq!(both(a, b).as_deref(), expected, "{a:?} and {b:?}");
            assert_eq!(both(b, a).as_deref(), expected, "{b:?} and {a:?}");
        }
    }

    #[test]
    fn too_many_axes_or_numbers_are_no_shape() {
        assert_eq!(Shape::of(&[1; 5]), None);
        assert_eq!(Shape::of(&[usize::MAX, 2]), None);
        assert_eq!(Shape::of(&[0, 7]).map(|shape| shape.len()), Some(0));
    }
}
