"""PyTorch's side of `cargo xtask bench step`: one iteration of the released code's recipe on random images.

Started as `torch_step.py STRATEGY SIDE WIDTH self.batch TASK THREADS FORMAT` with FORMAT `nchw` or `channels_last`: SIDE 32 is the
digit networks, 64 the residual ones. A line `iteration N` runs N iterations (a generator step and five critic steps) at
that task.
"""

import sys

import torch
import torch.nn.functional as F
from torch import nn

from server import FORMATS, serve, timed

LATENT, CLASSES, CRITIC_STEPS, RATE, PENALTY, LAMBDA_RA = 128, 10, 5, 1e-4, 10.0, 1e-3


class Norm(nn.Module):
    """Batch norm over `groups` class-pure groups, with a scale and a shift per class."""

    def __init__(self, channels):
        super().__init__()
        self.g, self.b = nn.Embedding(CLASSES, channels), nn.Embedding(CLASSES, channels)
        nn.init.ones_(self.g.weight)
        nn.init.zeros_(self.b.weight)

    def forward(self, x, label, groups):
        grouped = x.view(groups, -1, *x.shape[1:])
        variance, mean = torch.var_mean(grouped, (1, 3, 4), keepdim=True, unbiased=False)
        x = ((grouped - mean) * torch.rsqrt(variance + 1e-5)).view_as(x)
        return x * self.g(label)[:, :, None, None] + self.b(label)[:, :, None, None]


class Generator(nn.Module):
    def __init__(self, w):
        super().__init__()
        self.fc = nn.Linear(LATENT, 64 * w)
        self.n1, self.n2, self.n3 = Norm(4 * w), Norm(2 * w), Norm(w)
        self.c1 = nn.ConvTranspose2d(4 * w, 2 * w, 5, 2, 2, 1)
        self.c2 = nn.ConvTranspose2d(2 * w, w, 5, 2, 2, 1)
        self.c3 = nn.ConvTranspose2d(w, 1, 5, 2, 2, 1)

    def forward(self, z, label, groups=1):
        h = self.fc(z).view(len(z), -1, 4, 4)
        h = self.c1(F.relu(self.n1(h, label, groups)))
        h = self.c2(F.relu(self.n2(h, label, groups)))
        return torch.tanh(self.c3(F.relu(self.n3(h, label, groups))))


class Critic(nn.Module):
    def __init__(self, w):
        super().__init__()
        self.c1, self.c2, self.c3 = (nn.Conv2d(i, o, 5, 2, 2) for i, o in ((1, w), (w, 2 * w), (2 * w, 4 * w)))
        self.o, self.k = nn.Linear(64 * w, 1), nn.Linear(64 * w, CLASSES)

    def forward(self, x):
        for layer in (self.c1, self.c2, self.c3):
            x = F.leaky_relu(layer(x), 0.2)
        x = x.flatten(1)
        return self.o(x)[:, 0], self.k(x)


class SharedNorm(nn.Module):
    """Batch norm over `groups` class-pure groups, with one scale and one shift for all classes."""

    def __init__(self, channels):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, track_running_stats=False)

    def forward(self, x, groups):
        return torch.cat([self.norm(group) for group in x.chunk(groups)])


class Up(nn.Module):
    """A residual block that doubles the image. The shortcut's convolution commutes with its upsampling."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.n1, self.n2 = SharedNorm(inputs), SharedNorm(outputs)
        self.c1 = nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False)
        self.c2, self.skip = nn.Conv2d(outputs, outputs, 3, 1, 1), nn.Conv2d(inputs, outputs, 1)

    def forward(self, x, groups):
        maps = self.c1(F.interpolate(F.relu(self.n1(x, groups)), scale_factor=2))
        return F.interpolate(self.skip(x), scale_factor=2) + self.c2(F.relu(self.n2(maps, groups)))


class Down(nn.Module):
    """A residual block that halves the image. `GroupNorm` of one group is layer norm with a scale for each channel."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.n1, self.n2 = nn.GroupNorm(1, inputs), nn.GroupNorm(1, inputs)
        self.c1 = nn.Conv2d(inputs, inputs, 3, 1, 1, bias=False)
        self.c2, self.skip = nn.Conv2d(inputs, outputs, 3, 1, 1), nn.Conv2d(inputs, outputs, 1)

    def forward(self, x):
        maps = self.c2(F.relu(self.n2(self.c1(F.relu(self.n1(x))))))
        return self.skip(F.avg_pool2d(x, 2)) + F.avg_pool2d(maps, 2)


class ResidualGenerator(nn.Module):
    def __init__(self, w):
        super().__init__()
        self.fc, self.label = nn.Linear(LATENT, 128 * w), nn.Embedding(CLASSES, 128 * w)
        widths = [8 * w, 8 * w, 4 * w, 2 * w, w]
        self.blocks = nn.ModuleList(Up(i, o) for i, o in zip(widths, widths[1:]))
        self.n, self.c = SharedNorm(w), nn.Conv2d(w, 3, 3, 1, 1)

    def forward(self, z, label, groups=1):
        x = (self.fc(z) + self.label(label)).view(len(z), -1, 4, 4)
        for block in self.blocks:
            x = block(x, groups)
        return torch.tanh(self.c(F.relu(self.n(x, groups))))


class ResidualCritic(nn.Module):
    def __init__(self, w):
        super().__init__()
        widths = [w, 2 * w, 4 * w, 8 * w, 8 * w]
        self.c = nn.Conv2d(3, w, 3, 1, 1)
        self.blocks = nn.Sequential(*(Down(i, o) for i, o in zip(widths, widths[1:])))
        self.o, self.k = nn.Linear(128 * w, 1), nn.Linear(128 * w, CLASSES)

    def forward(self, x):
        x = self.blocks(self.c(x)).flatten(1)
        return self.o(x)[:, 0], self.k(x)


NETWORKS = {32: (1, Generator, Critic), 64: (3, ResidualGenerator, ResidualCritic)}


class Trainer:
    def __init__(self, strategy, side, width, batch, task, memory_format):
        self.strategy, self.batch, self.past, self.format = strategy, batch, task - 1, memory_format
        channels, generator, critic = NETWORKS[side]
        self.generator, self.critic, self.old = (
            network.to(memory_format=memory_format) for network in (generator(width), critic(width), generator(width))
        )
        self.adam = [torch.optim.Adam(n.parameters(), RATE, (0.0, 0.9)) for n in (self.generator, self.critic)]
        self.current = torch.full((batch,), self.past)
        self.replayed = torch.arange(self.past).repeat_interleave(batch // max(self.past, 1))
        self.real = torch.rand(batch, channels, side, side).mul(2).sub(1).to(memory_format=memory_format)

    def replays(self, *names):
        return self.past > 0 and self.strategy in names

    def replay(self, network, z):
        return network(z, self.replayed, self.past)

    def iteration(self):
        self.critic.requires_grad_(False)
        score, logits = self.critic(self.generator(torch.randn(self.batch, LATENT), self.current))
        loss = F.cross_entropy(logits, self.current) - score.mean()
        z = torch.randn(len(self.replayed), LATENT)
        if self.replays("ra"):
            with torch.no_grad():
                old = self.replay(self.old, z)
            loss = loss + LAMBDA_RA * (self.replay(self.generator, z) - old).square().sum() / 2 / self.past
        if self.replays("jtr"):
            score, logits = self.critic(self.replay(self.generator, z))
            loss = loss + self.past * (F.cross_entropy(logits, self.replayed) - score.mean())
        self.descend(0, loss)
        self.critic.requires_grad_(True)
        for _ in range(CRITIC_STEPS):
            self.descend(1, self.critic_loss())

    def critic_loss(self):
        with torch.no_grad():
            fake = self.generator(torch.randn(self.batch, LATENT), self.current)
        (real_score, logits), (fake_score, _) = self.critic(self.real), self.critic(fake)
        between = torch.lerp(self.real, fake, torch.rand(self.batch, 1, 1, 1)).requires_grad_(True)
        (slope,) = torch.autograd.grad(self.critic(between)[0].sum(), between, create_graph=True)
        penalty = (slope.flatten(1).norm(2, 1) - 1).square().mean()
        loss = fake_score.mean() - real_score.mean() + PENALTY * penalty + F.cross_entropy(logits, self.current)
        if self.replays("jtr"):
            z = torch.randn(len(self.replayed), LATENT)
            with torch.no_grad():
                old, new = self.replay(self.old, z), self.replay(self.generator, z)
            (old_score, logits), (new_score, _) = self.critic(old), self.critic(new)
            replay = new_score.mean() - old_score.mean() + F.cross_entropy(logits, self.replayed)
            loss = loss + self.past * replay
        return loss

    def descend(self, which, loss):
        self.adam[which].zero_grad(set_to_none=True)
        loss.backward()
        self.adam[which].step()


def main():
    strategy, *sizes, threads, memory_format = sys.argv[1:]
    torch.set_num_threads(int(threads))
    trainer = Trainer(strategy, *map(int, sizes), FORMATS[memory_format])
    trainer.iteration()
    actions = {"iteration": trainer.iteration}
    serve(lambda what, count: timed(count, actions[what]))


if __name__ == "__main__":
    main()
