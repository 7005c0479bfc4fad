//! The operations of a layer after its convolution. Kernels apply them to a tile while it is still in the cache.

use super::super::leaky_relu::rectified;
use crate::storage::Element;

/// A bias per channel, followed by a leaky rectifier.
pub(super) struct Epilogue<'a, T> {
    pub(super) bias: &'a [T],
    pub(super) slope: T,
}

impl<T: Element> Epilogue<'_, T> {
    /// Applies the epilogue to rows of sums. A row holds `N` adjacent channels, from `first` on, of one pixel of an
    /// image.
    #[inline(always)]
    pub(super) fn apply<'s, const N: usize>(&self, first: usize, rows: impl Iterator<Item = &'s mut [T; N]>)
    where
        T: 's,
    {
        // These are copies, so that no store can change them.
        let (bias, slope): ([T; N], T) = (*self.bias[first..].first_chunk().expect("N channels"), self.slope);
        for row in rows {
            for i in 0..N {
                row[i] = rectified(row[i] + bias[i], slope);
            }
        }
    }

    /// Applies the epilogue to sums of one channel.
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
