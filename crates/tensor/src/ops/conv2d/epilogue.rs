//! What a layer does to the sums of its convolution: kernels apply it to a tile while the cache still has it.

use super::super::leaky_relu::rectified;
use crate::storage::Element;

/// A bias per channel and a leaky rectifier.
pub(super) struct Epilogue<'a, T> {
    pub(super) bias: &'a [T],
    pub(super) slope: T,
}

impl<T: Element> Epilogue<'_, T> {
    /// Finishes rows of sums: `N` neighbouring channels, from `first` on, of a pixel of an image each.
    #[inline(always)]
    pub(super) fn apply<'s, const N: usize>(&self, first: usize, rows: impl Iterator<Item = &'s mut [T; N]>)
    where
        T: 's,
    {
        // Copies, so that no store can change them.
        let (bias, slope): ([T; N], T) = (*self.bias[first..].first_chunk().expect("N channels"), self.slope);
        for row in rows {
            for i in 0..N {
                row[i] = rectified(row[i] + bias[i], slope);
            }
        }
    }

    /// Finishes sums of one channel.
    #[inline(always)]
    pub(super) fn apply_to_channel<'s>(&self, channel: usize, sums: impl Iterator<Item = &'s mut T>)
    where
        T: 's,
    {
        let (bias, slope) = (self.bias[channel], self.slope);
        for sum in sums {
            *sum = rectified(*sum + bias, slope);
        }
    }
}
