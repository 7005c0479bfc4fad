//! Tables of numbers for the channels of images or rows: a bias, the scale and the shift of a norm.
//!
//! A table is a vector `[c]`, or has a row for each of some equal blocks of images: `[r, c]`, r dividing N. So each class of
//! a batch has its own scale.

use crate::layout::Nchw;
use crate::shape::Shape;
use crate::tensor::Tensor;

impl Tensor {
    /// The axes of images `[n, c, h, w]` or rows `[n, c]`, which are what an operation takes.
    #[track_caller]
    pub(super) fn images_or_rows(&self, operation: &str) -> Nchw {
        let shape = self.shape();
        assert!(
            matches!(shape.rank(), 2 | 4),
            "{operation} takes images [n, c, h, w] or rows [n, c], not a tensor of shape {shape:?}"
        );
        shape.nchw()
    }

    /// The axes of images `[n, c, h, w]`, which are what an operation takes.
    #[track_caller]
    pub(super) fn images(&self, operation: &str) -> Nchw {
        let shape = self.shape();
        assert!(shape.rank() == 4, "{operation} takes images [n, c, h, w], not a tensor of shape {shape:?}");
        shape.nchw()
    }

    /// How many rows this table for the channels of `images` has.
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

    /// This table repeated to the shape of what it is for.
    pub(super) fn spread(&self, to: Shape) -> Tensor {
        self.relabelled(table_among(self.shape(), to)).repeat_to(to)
    }

    /// The sums of this tensor over what [`Tensor::spread`] fills from each number of a table.
    pub(super) fn sum_to_table(&self, table: Shape) -> Tensor {
        self.sum_rows_to(table_among(table, self.shape())).relabelled(table)
    }
}

/// The shape of a table with the axes of what it is for.
pub(super) fn table_among(table: Shape, of: Shape) -> Shape {
    let Nchw { n, c, .. } = table.nchw();
    if of.rank() == 4 { [n, c, 1, 1].into() } else { [n, c].into() }
}
