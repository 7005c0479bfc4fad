//! Tables of parameters for the channels of images or rows, such as a bias, or the scale and the shift of a
//! normalisation.
//!
//! A table is a vector `[c]`, or `[r, c]` with a row for each of r equal blocks of images, where r divides N. With such
//! rows, each class of a batch can have its own scale.

use crate::layout::Nchw;
use crate::shape::Shape;
use crate::tensor::Tensor;

impl Tensor {
    /// Returns the axes of images `[n, c, h, w]` or rows `[n, c]`. Panics if this tensor is neither.
    #[track_caller]
    pub(super) fn images_or_rows(&self, operation: &str) -> Nchw {
        let shape = self.shape();
        assert!(
            matches!(shape.rank(), 2 | 4),
            "{operation} takes images [n, c, h, w] or rows [n, c], not a tensor of shape {shape:?}"
        );
        shape.nchw()
    }

    /// Returns the axes of images `[n, c, h, w]`. Panics if this tensor has another number of axes.
    #[track_caller]
    pub(super) fn images(&self, operation: &str) -> Nchw {
        let shape = self.shape();
        assert!(shape.rank() == 4, "{operation} takes images [n, c, h, w], not a tensor of shape {shape:?}");
        shape.nchw()
    }

    /// Returns the lengths of a matrix, which is what the operation takes.
    #[track_caller]
    pub(super) fn matrix(&self, operation: &str) -> [usize; 2] {
        let shape = self.shape();
        assert!(shape.rank() == 2, "{operation} takes a matrix [n, k], not a tensor of shape {shape:?}");
        [shape[0], shape[1]]
    }

    /// Returns the number of rows of this table for the channels of `images`. Panics if the table does not fit.
    #[track_caller]
    pub(super) fn table_rows(&self, operation: &str, images: Nchw) -> usize {
        let (shape, c) = (self.shape(), images.c);
        match *shape.axes() {
            [channels] if channels == c => 1,
            [rows, channels] if channels == c && rows > 0 && images.n.is_multiple_of(rows) => rows,
            _ => panic!(
                "{operation}: a table of shape {shape:?} for {} images of {c} channels; it must be [{c}], or [r, {c}] with r a \
                 divisor of the images",
                images.n
            ),
        }
    }

    /// Repeats this table to the shape of the tensor that it is for.
    pub(super) fn spread(&self, to: Shape) -> Tensor {
        self.reshape_to(table_among(self.shape(), to)).repeat_to(to)
    }

    /// Sums this tensor over the elements that [`Tensor::spread`] fills from one element of a table.
    pub(super) fn sum_to_table(&self, table: Shape) -> Tensor {
        self.sum_rows_to(table_among(table, self.shape())).reshape_to(table)
    }
}

/// Returns the shape of a table with as many axes as the tensor that it is for.
pub(super) fn table_among(table: Shape, of: Shape) -> Shape {
    let Nchw { n, c, .. } = table.nchw();
    if of.rank() == 4 { [n, c, 1, 1].into() } else { [n, c].into() }
}
