"""Batch normalisation with a scale and a shift per class, as the networks of one class per call use it."""

import torch
import torch.nn.functional as F
from torch import nn

CLASSES = 10


class ConditionalBatchNorm(nn.Module):
    """Batch normalisation by batch statistics (biased variance), with a scale and a shift per class.

    Where `standing` holds tables of means and variances, (classes, channels) each, they stand in for the batch's.
    """

    standing = None

    def __init__(self, channels):
        super().__init__()
        self.g = nn.Embedding(CLASSES, channels)
        self.b = nn.Embedding(CLASSES, channels)

    def forward(self, x, label):
        if self.standing is None:
            return class_pure_norm(x, self.g.weight[label], self.b.weight[label])
        mean, variance, scale, shift = (
            table[label].reshape(-1, x.shape[1], 1, 1) for table in (*self.standing, self.g.weight, self.b.weight)
        )
        return (x - mean) / torch.sqrt(variance + 1e-5) * scale + shift


def class_pure_norm(x, scale, shift):
    return F.batch_norm(x, None, None, scale, shift, training=True, eps=1e-5)
