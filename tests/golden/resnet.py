"""The residual networks of Memory Replay GANs for LSUN, which are WGAN-GP's for 64x64 images."""

import torch
import torch.nn.functional as F
from torch import nn

CLASSES, LATENT = 10, 128


class Block(nn.Module):
    """Normalises, rectifies and convolves, twice, beside a shortcut; `resize` is up or down."""

    def __init__(self, norm, inputs, inner, outputs, resize):
        super().__init__()
        self.n1 = norm(inputs)
        self.c1 = nn.Conv2d(inputs, inner, 3, padding=1, bias=False)
        self.n2 = norm(inner)
        self.c2 = nn.Conv2d(inner, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1)
        self.resize = resize

    def forward(self, x):
        h = F.relu(self.n1(x))
        if self.resize == "up":
            h = self.c2(F.relu(self.n2(self.c1(F.interpolate(h, scale_factor=2)))))
            return self.skip(F.interpolate(x, scale_factor=2)) + h
        h = F.avg_pool2d(self.c2(F.relu(self.n2(self.c1(h)))), 2)
        return self.skip(F.avg_pool2d(x, 2)) + h


class BatchNorm(nn.BatchNorm2d):
    """Batch norm that always uses batch statistics."""

    def __init__(self, channels):
        super().__init__(channels, track_running_stats=False)


class LayerNorm(nn.GroupNorm):
    """Layer norm over channels and pixels of an image, with a scale and a shift per channel."""

    def __init__(self, channels):
        super().__init__(1, channels)


class Generator(nn.Module):
    """`label` is one class for the whole batch. The first layer adds a row of an embedding for it, which is equivalent to a
    linear layer of the latent concatenated with a one-hot class."""

    def __init__(self, w):
        super().__init__()
        self.fc = nn.Linear(LATENT, 128 * w)
        self.label = nn.Embedding(CLASSES, 128 * w)
        for i, (inputs, outputs) in enumerate([(8, 8), (8, 4), (4, 2), (2, 1)], 1):
            self.add_module(f"r{i}", Block(BatchNorm, inputs * w, outputs * w, outputs * w, "up"))
        self.n = BatchNorm(w)
        self.c = nn.Conv2d(w, 3, 3, padding=1)

    def forward(self, z, label):
        h = (self.fc(z) + self.label.weight[label]).unflatten(1, (-1, 4, 4))
        for block in (self.r1, self.r2, self.r3, self.r4):
            h = block(h)
        return torch.tanh(self.c(F.relu(self.n(h))))


class Critic(nn.Module):
    """Returns scores, shape (n,), and class logits, shape (n, 10)."""

    def __init__(self, w):
        super().__init__()
        self.c = nn.Conv2d(3, w, 3, padding=1)
        for i, (inputs, outputs) in enumerate([(1, 2), (2, 4), (4, 8), (8, 8)], 1):
            self.add_module(f"r{i}", Block(LayerNorm, inputs * w, inputs * w, outputs * w, "down"))
        self.o = nn.Linear(128 * w, 1)
        self.k = nn.Linear(128 * w, CLASSES)

    def forward(self, x):
        x = self.c(x)
        for block in (self.r1, self.r2, self.r3, self.r4):
            x = block(x)
        h = x.flatten(1)
        return self.o(h)[:, 0], self.k(h)
