"""Golden values for the digit and the residual networks: losses, gradients and training iterations, in float64.

`python make.py` writes six safetensors files beside itself; README.md lists their tensors. No input is stored: every
weight, latent and image is `uniform(stream, shape)`, a formula that the Rust tests repeat. The script checks its own
gradients against finite differences before it writes anything.

The networks, losses and step order are those of Memory Replay GANs (Wu et al., 2018) as its released code runs them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import residual
import resnet
import torch
import torch.nn.functional as F
from norm import CLASSES, ConditionalBatchNorm, class_pure_norm
from safetensors.torch import save_file
from torch import nn

LATENT, WIDTH = 128, 2
DIGIT_SHAPE = (1, 32, 32)
PENALTY_WEIGHT = 10.0
ALIGNMENT_WEIGHT = 1e-3

# The streams of the single steps. A network's parameter array i, in the order of its state dict, has stream network + i.
REAL, LATENTS, ALPHA, REPLAY_LATENTS, DIRECTION = 1, 2, 3, 4, 9
NORM_INPUT, NORM_SCALE, NORM_SHIFT, NORM_COTANGENT, NORM_DIRECTION = 10, 11, 12, 13, 14
GENERATOR, CRITIC, OLD_GENERATOR = 100, 200, 300

# Layer l has the standing means of stream STANDING + 2 l, and the variances of the next stream.
STANDING = 400
STANDING_CLASSES = [4, 0, 7]

# Purposes within the streams of training, see `training_stream`.
GENERATOR_LATENTS, GENERATOR_REPLAY, CRITIC_REAL, CRITIC_LATENTS, CRITIC_ALPHA, CRITIC_REPLAY = range(6)

HEAD = 500


def unit(stream, shape):
    """Returns numbers in [0, 1) from the splitmix64 finaliser of stream << 32 | row-major index."""
    s = np.uint64(stream << 32) | np.arange(np.prod(shape, dtype=int), dtype=np.uint64)
    s = s + np.uint64(0x9E3779B97F4A7C15)
    s = (s ^ (s >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    s = (s ^ (s >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    s = s ^ (s >> np.uint64(31))
    return torch.from_numpy((s >> np.uint64(11)).astype(np.float64) * 2.0**-53).reshape(shape)


def uniform(stream, shape):
    """Returns numbers in [-1, 1)."""
    return 2 * unit(stream, shape) - 1


def latents(stream, shape):
    """Returns uniform latents of unit variance, shape (..., 128)."""
    return uniform(stream, (*shape, LATENT)) * 3**0.5


def images(stream, count, shape=DIGIT_SHAPE):
    """Returns stand-ins for real images, in [-0.9, 0.9), shape (count, *shape)."""
    return uniform(stream, (count, *shape)) * 0.9


def training_stream(iteration, purpose, inner_step=0):
    return 1000 + 100 * iteration + 10 * purpose + inner_step


class Generator(nn.Module):
    """Every call is class-pure: `label` is one class for the whole batch of latents."""

    def __init__(self, w):
        super().__init__()
        self.fc = nn.Linear(LATENT, 64 * w)
        self.n1 = ConditionalBatchNorm(4 * w)
        self.c1 = nn.ConvTranspose2d(4 * w, 2 * w, 5, 2, 2, 1)
        self.n2 = ConditionalBatchNorm(2 * w)
        self.c2 = nn.ConvTranspose2d(2 * w, w, 5, 2, 2, 1)
        self.n3 = ConditionalBatchNorm(w)
        self.c3 = nn.ConvTranspose2d(w, 1, 5, 2, 2, 1)

    def forward(self, z, label):
        h = F.relu(self.n1(self.fc(z).unflatten(1, (-1, 4, 4)), label))
        h = F.relu(self.n2(self.c1(h), label))
        h = F.relu(self.n3(self.c2(h), label))
        return torch.tanh(self.c3(h))


class Critic(nn.Module):
    """Returns scores, shape (n,), and class logits, shape (n, 10)."""

    def __init__(self, w):
        super().__init__()
        self.c1 = nn.Conv2d(1, w, 5, 2, 2)
        self.c2 = nn.Conv2d(w, 2 * w, 5, 2, 2)
        self.c3 = nn.Conv2d(2 * w, 4 * w, 5, 2, 2)
        self.o = nn.Linear(64 * w, 1)
        self.k = nn.Linear(64 * w, CLASSES)

    def forward(self, x):
        for layer in (self.c1, self.c2, self.c3):
            x = F.leaky_relu(layer(x), 0.2)
        h = x.flatten(1)
        return self.o(h)[:, 0], self.k(h)


def build(network, first_stream):
    """Returns the network at the test width with its parameters filled by the formula."""
    model = network(WIDTH)
    for i, (name, parameter) in enumerate(model.named_parameters()):
        u = uniform(first_stream + i, parameter.shape)
        if name.endswith(".bias"):
            parameter.data = 0.1 * u
        elif name.endswith(".g.weight") or parameter.dim() == 1:
            parameter.data = 1 + 0.3 * u
        else:
            parameter.data = 0.3 * u
    return model


def cross_entropy(logits, label):
    return F.cross_entropy(logits, torch.full((len(logits),), label))


def head_gradient(critic, x):
    """Returns the gradient of the summed critic scores with respect to the images, through the critic head only."""
    x = x.detach().requires_grad_()
    return torch.autograd.grad(critic(x)[0].sum(), x, create_graph=True)[0]


def gradient_penalty(critic, x):
    return ((head_gradient(critic, x).flatten(1).norm(dim=1) - 1) ** 2).mean()


def detached_penalty(critic, x):
    """Wrong on purpose: treats the penalty as a constant for the critic's weights."""
    return gradient_penalty(critic, x).detach()


def pixel_penalty(critic, x):
    """Wrong on purpose: takes one norm per pixel instead of one per sample."""
    return ((head_gradient(critic, x).norm(dim=1) - 1) ** 2).mean()


def class_head_penalty(critic, x):
    """Wrong on purpose: penalises the class logits together with the critic's score."""
    x = x.detach().requires_grad_()
    scores, logits = critic(x)
    (gradient,) = torch.autograd.grad(scores.sum() + logits.sum(), x, create_graph=True)
    return ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean()


def critic_terms(critic, real, fake, alpha, label, penalty=gradient_penalty):
    """Returns the WGAN-GP and AC-GAN terms of the current class; the penalty is not yet multiplied by its weight."""
    real_scores, real_logits = critic(real)
    fake_scores, _ = critic(fake)
    return {
        "wasserstein": fake_scores.mean() - real_scores.mean(),
        "penalty": penalty(critic, real + alpha * (fake - real)),
        "classification": cross_entropy(real_logits, label),
    }


def generator_terms(generator, critic, z, label):
    scores, logits = critic(generator(z, label))
    return {"adversarial": -scores.mean(), "classification": cross_entropy(logits, label)}


def replay_critic_terms(critic, generator, old, z):
    """Joint replay: class c < len(z) has latents z[c], the same for the old and the new generator."""
    wasserstein = classification = 0
    for label, latent in enumerate(z):
        with torch.no_grad():
            new_images, old_images = generator(latent, label), old(latent, label)
        old_scores, old_logits = critic(old_images)
        wasserstein += critic(new_images)[0].mean() - old_scores.mean()
        classification += cross_entropy(old_logits, label)
    return {"replay.wasserstein": wasserstein, "replay.classification": classification}


def replay_generator_terms(generator, critic, z):
    terms = [generator_terms(generator, critic, latent, label) for label, latent in enumerate(z)]
    return {f"replay.{name}": sum(t[name] for t in terms) for name in ("adversarial", "classification")}


def mean_over_classes(terms, classes):
    """Returns the terms of joint replay as in the released code for LSUN."""
    return {name: value / classes for name, value in terms.items()}


def alignment_terms(generator, old, z, classes):
    """Replay alignment: half the squared distance, summed over pixels and samples, divided by `classes`."""
    distance = 0
    for label, latent in enumerate(z):
        with torch.no_grad():
            target = old(latent, label)
        distance += ((generator(latent, label) - target) ** 2).sum() / 2
    return {"alignment": ALIGNMENT_WEIGHT * distance / classes}


def total(terms):
    return sum(PENALTY_WEIGHT * value if name == "penalty" else value for name, value in terms.items())


def check_gradients(case, loss, tensors, gradients, step=1e-6):
    """Compares each array's gradient with a central difference along one direction; raises an error if they differ."""
    for (name, tensor), gradient in zip(tensors, gradients, strict=True):
        centre = tensor.data
        direction = uniform(DIRECTION, centre.shape)
        ends = []
        for sign in (1, -1):
            tensor.data = centre + sign * step * direction
            ends.append(loss().item())
        tensor.data = centre
        difference = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(
            (gradient * direction).sum().item(), difference, rtol=1e-6, atol=1e-7, err_msg=f"{case}: {name}"
        )


def put(out, name, value, head=HEAD):
    """Stores an array whole, or, if it is more than four times as long as its head, its head, sum and sum of squares."""
    value = value.detach()
    if value.numel() <= 4 * head:
        out[name] = value.clone(memory_format=torch.contiguous_format)
    else:
        out[f"{name}.head"] = value.flatten()[:head].clone()
        put_moments(out, name, value)


def put_moments(out, name, value):
    out[f"{name}.sum"] = value.detach().sum()
    out[f"{name}.sumsq"] = (value.detach() ** 2).sum()


def put_case(out, case, terms, role, network, head=HEAD, step=1e-6):
    """Stores the terms, their total and its gradient with respect to every parameter of the network."""
    values = terms()
    loss = total(values)
    parameters = list(network.named_parameters())
    gradients = torch.autograd.grad(loss, [p for _, p in parameters])
    check_gradients(case, lambda: total(terms()), parameters, gradients, step)
    for name, value in values.items():
        put(out, f"{case}.{name}", value)
    put(out, f"{case}.total", loss)
    for (name, _), gradient in zip(parameters, gradients, strict=True):
        put(out, f"{case}.grad.{role}.{name}", gradient, head)


def losses():
    """One critic and one generator step of task 3: batch 4, and 2 samples of each of the 3 past classes."""
    batch, task, per_class = 4, 3, 2
    generator, critic, old = build(Generator, GENERATOR), build(Critic, CRITIC), build(Generator, OLD_GENERATOR)
    real, z, alpha = images(REAL, batch), latents(LATENTS, (batch,)), unit(ALPHA, (batch, 1, 1, 1))
    replay = latents(REPLAY_LATENTS, (task, per_class))
    with torch.no_grad():
        fake = generator(z, task)
        scores, logits = critic(real)

    out = {"formula.unit": unit(REAL, (8,)), "forward.scores": scores, "forward.logits": logits}
    put(out, "forward.fake", fake)
    put_case(out, "critic", lambda: critic_terms(critic, real, fake, alpha, task), "critic", critic)
    put_case(out, "generator", lambda: generator_terms(generator, critic, z, task), "generator", generator)
    put_case(out, "ra.generator", lambda: alignment_terms(generator, old, replay, task), "generator", generator)
    put_case(out, "jtr.critic", lambda: replay_critic_terms(critic, generator, old, replay), "critic", critic)
    put_case(out, "jtr.generator", lambda: replay_generator_terms(generator, critic, replay), "generator", generator)

    true_gradient = out["critic.grad.critic.c1.weight"]
    mutants = {"detached": detached_penalty, "per_pixel": pixel_penalty, "class_head": class_head_penalty}
    for name, penalty in mutants.items():
        terms = critic_terms(critic, real, fake, alpha, task, penalty)
        (gradient,) = torch.autograd.grad(total(terms), critic.c1.weight)
        assert (gradient - true_gradient).norm() > 0.01 * true_gradient.norm(), f"{name}: too near to the true penalty"
        put(out, f"mutant.{name}.penalty", terms["penalty"])
        put(out, f"mutant.{name}.grad.critic.c1.weight", gradient)
    return out


def conditional_batch_norm():
    """First and second derivatives of the norm on 3 class-pure groups of 2 samples, shape (6, 3, 4, 5)."""
    labels, shape, channels = [4, 0, 7], (6, 3, 4, 5), 3
    x = uniform(NORM_INPUT, shape).requires_grad_()
    scale = (1 + 0.3 * uniform(NORM_SCALE, (CLASSES, channels))).requires_grad_()
    shift = (0.3 * uniform(NORM_SHIFT, (CLASSES, channels))).requires_grad_()
    cotangent, direction = uniform(NORM_COTANGENT, shape), uniform(NORM_DIRECTION, shape)

    def output():
        groups = zip(x.chunk(len(labels)), labels, strict=True)
        return torch.cat([class_pure_norm(group, scale[label], shift[label]) for group, label in groups])

    def first():
        return (output() * cotangent).sum()

    def second():
        (grad_x,) = torch.autograd.grad(first(), x, create_graph=True)
        return (grad_x * direction).sum()

    out = {"output": output().detach()}
    inputs = {"x": x, "scale": scale, "shift": shift}
    for order, loss, names in (("first", first, ["x", "scale", "shift"]), ("second", second, ["x", "scale"])):
        tensors = [(name, inputs[name]) for name in names]
        gradients = torch.autograd.grad(loss(), [tensor for _, tensor in tensors])
        check_gradients(f"conditional batch norm, {order}", loss, tensors, gradients)
        for name, gradient in zip(names, gradients, strict=True):
            put(out, f"{order}.grad.{name}", gradient)
    return out


def descend(optimiser, terms, log):
    """One Adam step on the sum of the terms, which are logged."""
    loss = total(terms)
    parameters = optimiser.param_groups[0]["params"]
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        parameter.grad = gradient
    optimiser.step()
    for name, value in {**terms, "total": loss}.items():
        log.setdefault(name, []).append(value.item())


@dataclass(frozen=True)
class Recipe:
    """The differences between the released code for digits and for LSUN."""

    generator: type
    critic: type
    shape: tuple
    batch: int
    iterations: int
    critic_steps: int
    # If true, a whole batch of every past class is replayed, and the terms of JTR are divided by the number of past classes
    # but those of RA are not. If false, the past classes share a batch, and only the terms of RA are divided.
    whole_batches: bool


DIGITS = Recipe(Generator, Critic, DIGIT_SHAPE, batch=64, iterations=10, critic_steps=5, whole_batches=False)
LSUN = Recipe(resnet.Generator, resnet.Critic, (3, 64, 64), batch=3, iterations=3, critic_steps=2, whole_batches=True)


def train(recipe, method, task):
    """Iterations of one task: a generator step (not in iteration 0), then the critic steps."""
    generator, critic = build(recipe.generator, GENERATOR), build(recipe.critic, CRITIC)
    old = build(recipe.generator, OLD_GENERATOR)
    adam = {"lr": 1e-4, "betas": (0.0, 0.9), "eps": 1e-8}
    generator_adam = torch.optim.Adam(generator.parameters(), **adam)
    critic_adam = torch.optim.Adam(critic.parameters(), **adam)
    batch, divisor = recipe.batch, task if recipe.whole_batches else 1
    replay_shape = (task, batch if recipe.whole_batches else batch // max(task, 1))
    generator_log, critic_log = {}, {}

    for iteration in range(recipe.iterations):
        if iteration > 0:
            z = latents(training_stream(iteration, GENERATOR_LATENTS), (batch,))
            replay = latents(training_stream(iteration, GENERATOR_REPLAY), replay_shape)
            terms = generator_terms(generator, critic, z, task)
            if method == "ra":
                terms |= alignment_terms(generator, old, replay, 1 if recipe.whole_batches else task)
            elif method == "jtr":
                terms |= mean_over_classes(replay_generator_terms(generator, critic, replay), divisor)
            descend(generator_adam, terms, generator_log)

        for inner in range(recipe.critic_steps):
            real = images(training_stream(iteration, CRITIC_REAL, inner), batch, recipe.shape)
            z = latents(training_stream(iteration, CRITIC_LATENTS, inner), (batch,))
            alpha = unit(training_stream(iteration, CRITIC_ALPHA, inner), (batch, 1, 1, 1))
            replay = latents(training_stream(iteration, CRITIC_REPLAY, inner), replay_shape)
            with torch.no_grad():
                fake = generator(z, task)
            terms = critic_terms(critic, real, fake, alpha, task)
            if method == "jtr":
                terms |= mean_over_classes(replay_critic_terms(critic, generator, old, replay), divisor)
            descend(critic_adam, terms, critic_log)

    out = {}
    for name, values in generator_log.items():
        out[f"{method}.generator.{name}"] = torch.tensor(values)
    for name, values in critic_log.items():
        out[f"{method}.critic.{name}"] = torch.tensor(values).reshape(recipe.iterations, recipe.critic_steps)
    for role, network in (("generator", generator), ("critic", critic)):
        for name, parameter in network.named_parameters():
            put_moments(out, f"{method}.after.{role}.{name}", parameter)
    return out


def residual_losses(networks, shape):
    """One critic and one generator step of residual networks, batch 2."""
    batch, task = 2, 3
    # A larger step would cross the kink of some rectifier.
    options = {"head": 25, "step": 1e-7}
    generator, critic = build(networks.Generator, GENERATOR), build(networks.Critic, CRITIC)
    real, z, alpha = images(REAL, batch, shape), latents(LATENTS, (batch,)), unit(ALPHA, (batch, 1, 1, 1))
    with torch.no_grad():
        fake = generator(z, task)
        scores, logits = critic(real)
    out = {"forward.scores": scores, "forward.logits": logits}
    put(out, "forward.fake", fake)
    put_case(out, "critic", lambda: critic_terms(critic, real, fake, alpha, task), "critic", critic, **options)
    put_case(out, "generator", lambda: generator_terms(generator, critic, z, task), "generator", generator, **options)
    return out


def every_method(recipe):
    return train(recipe, "sft", 0) | train(recipe, "jtr", 2) | train(recipe, "ra", 2)


def standing():
    """Returns images of several classes in one batch, normalised by standing statistics."""
    generator = build(Generator, GENERATOR)
    for layer, norm in enumerate((generator.n1, generator.n2, generator.n3)):
        shape = norm.g.weight.shape
        stream = STANDING + 2 * layer
        norm.standing = 0.3 * uniform(stream, shape), 1 + 0.3 * uniform(stream + 1, shape)
    out = {}
    with torch.no_grad():
        put(out, "images", generator(latents(LATENTS, (len(STANDING_CLASSES),)), torch.tensor(STANDING_CLASSES)))
    return out


def main():
    torch.set_default_dtype(torch.float64)
    # A single thread fixes the order of every reduction, so that the files are the same each time.
    torch.set_num_threads(1)
    files = {
        "losses": losses(),
        "conditional_batch_norm": conditional_batch_norm(),
        "iterations": every_method(DIGITS),
        "resnet": residual_losses(resnet, LSUN.shape) | every_method(LSUN),
        "residual": residual_losses(residual, (3, 32, 32)),
        "standing": standing(),
    }
    for name, tensors in files.items():
        save_file(tensors, Path(__file__).with_name(f"{name}.safetensors"))
        print(f"{name}.safetensors: {len(tensors)} tensors")


if __name__ == "__main__":
    main()
