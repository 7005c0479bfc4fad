"""The residual networks of WGAN-GP for CIFAR-10, with conditional batch norm also at the end of the generator."""

import torch
import torch.nn.functional as F
from norm import CLASSES, ConditionalBatchNorm
from torch import nn

LATENT = 128


class Up(nn.Module):
    """Normalises, rectifies and convolves, twice, beside a shortcut, and doubles the image."""

    def __init__(self, w):
        super().__init__()
        self.n1 = ConditionalBatchNorm(w)
        self.c1 = nn.Conv2d(w, w, 3, padding=1, bias=False)
        self.n2 = ConditionalBatchNorm(w)
        self.c2 = nn.Conv2d(w, w, 3, padding=1)
        self.skip = nn.Conv2d(w, w, 1)

    def forward(self, x, label):
        h = self.c1(F.interpolate(F.relu(self.n1(x, label)), scale_factor=2))
        h = self.c2(F.relu(self.n2(h, label)))
        return self.skip(F.interpolate(x, scale_factor=2)) + h


class Generator(nn.Module):
    """`label` is one class for the whole batch."""

    def __init__(self, w, channels=3):
        super().__init__()
        self.fc = nn.Linear(LATENT, 16 * w)
        self.r1, self.r2, self.r3 = Up(w), Up(w), Up(w)
        self.n = ConditionalBatchNorm(w)
        self.c32 = nn.Conv2d(w, channels, 3, padding=1)

    def forward(self, z, label):
        h = self.fc(z).unflatten(1, (-1, 4, 4))
        for block in (self.r1, self.r2, self.r3):
            h = block(h, label)
        return torch.tanh(self.c32(F.relu(self.n(h, label))))


class Down(nn.Module):
    """Rectifies and convolves, twice, beside a shortcut; `halves` the image or not. The first block does not rectify its
    images, and the shortcut of a block that keeps the size is the identity."""

    def __init__(self, inputs, w, halves):
        super().__init__()
        self.c1 = nn.Conv2d(inputs, w, 3, padding=1)
        self.c2 = nn.Conv2d(w, w, 3, padding=1)
        self.first = inputs != w
        self.skip = nn.Conv2d(inputs, w, 1) if halves else None

    def forward(self, x):
        h = self.c2(F.relu(self.c1(x if self.first else F.relu(x))))
        if self.skip is None:
            return x + h
        return F.avg_pool2d(self.skip(x), 2) + F.avg_pool2d(h, 2)


class Critic(nn.Module):
    """Returns scores, shape (n,), and class logits, shape (n, 10)."""

    def __init__(self, w):
        super().__init__()
        self.r1 = Down(3, w, True)
        self.r2 = Down(w, w, True)
        self.r3 = Down(w, w, False)
        self.r4 = Down(w, w, False)
        self.o = nn.Linear(w, 1)
        self.k = nn.Linear(w, CLASSES)

    def forward(self, x):
        for block in (self.r1, self.r2, self.r3, self.r4):
            x = block(x)
        h = F.relu(x).mean((2, 3))
        return self.o(h)[:, 0], self.k(h)
