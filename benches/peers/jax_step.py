"""JAX's side of the digit networks' step: one iteration of the released code's fine-tuning recipe on random images.

Called as `jax_step.py WIDTH BATCH ITERATIONS`; prints JAX's version and the median milliseconds of an iteration (a generator
step and five critic steps), which is compiled as a whole. Images are NHWC, which is XLA's better layout on CPUs.
"""

import statistics
import sys
import time

import jax
import jax.numpy as jnp
from jax import lax

LATENT, CLASSES, CRITIC_STEPS, RATE, BETA2, PENALTY = 128, 10, 5, 1e-4, 0.9, 10.0
LAYOUT = "NHWC", "HWIO", "NHWC"


def conv(x, w):
    return lax.conv_general_dilated(x, w, (2, 2), ((2, 2), (2, 2)), dimension_numbers=LAYOUT)


def conv_transpose(x, w):
    """The gradient of `conv` with respect to its images, as PyTorch's ConvTranspose2d(5, 2, 2, 1)."""
    return lax.conv_general_dilated(x, w, (1, 1), ((2, 3), (2, 3)), (2, 2), dimension_numbers=LAYOUT)


def norm(x, scale, shift):
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    return jax.nn.relu((x - mean) * lax.rsqrt(variance + 1e-5) * scale + shift)


def generator(p, z, label):
    x = (z @ p["fc"]).reshape(len(z), 4, 4, -1)
    for i in (1, 2, 3):
        x = conv_transpose(norm(x, p[f"g{i}"][label], p[f"b{i}"][label]), p[f"c{i}"])
    return jnp.tanh(x)


def critic(p, x):
    for i in (1, 2, 3):
        x = jax.nn.leaky_relu(conv(x, p[f"c{i}"]) + p[f"b{i}"], 0.2)
    x = x.reshape(len(x), -1)
    return (x @ p["o"])[:, 0], x @ p["k"]


def cross_entropy(logits, label):
    return -jax.nn.log_softmax(logits)[:, label].mean()


def generator_loss(p, c, z, label):
    score, logits = critic(c, generator(p, z, label))
    return cross_entropy(logits, label) - score.mean()


def critic_loss(p, fake, real, fraction, label):
    score, logits = critic(p, jnp.concatenate([real, fake]))
    n = len(real)
    slope = jax.grad(lambda x: critic(p, x)[0].sum())(real + fraction * (fake - real))
    penalty = jnp.square(jnp.sqrt(jnp.square(slope).sum((1, 2, 3))) - 1).mean()
    return score[n:].mean() - score[:n].mean() + PENALTY * penalty + cross_entropy(logits[:n], label)


def adam(state, gradient):
    p, v, t = state
    t, v = t + 1, jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, gradient)
    step = lambda p, g, v: p - RATE * g / (jnp.sqrt(v / (1 - BETA2**t)) + 1e-8)
    return jax.tree.map(step, p, gradient, v), v, t


@jax.jit
def iteration(g, c, real, key):
    label, n = 0, len(real)
    keys = jax.random.split(key, CRITIC_STEPS + 1)
    g = adam(g, jax.grad(generator_loss)(g[0], c[0], jax.random.normal(keys[0], (n, LATENT)), label))
    for key in keys[1:]:
        z, u = jax.random.split(key)
        fake = generator(g[0], jax.random.normal(z, (n, LATENT)), label)
        c = adam(c, jax.grad(critic_loss)(c[0], fake, real, jax.random.uniform(u, (n, 1, 1, 1)), label))
    return g, c


def parameters(width):
    def draw(*shape):
        draw.key, key = jax.random.split(draw.key)
        return 0.05 * jax.random.normal(key, shape)

    draw.key = jax.random.key(0)
    widths = [1, width, 2 * width, 4 * width]
    c = {f"c{i}": draw(5, 5, widths[i - 1], widths[i]) for i in (1, 2, 3)}
    c |= {f"b{i}": jnp.zeros(widths[i]) for i in (1, 2, 3)} | {"o": draw(64 * width, 1), "k": draw(64 * width, CLASSES)}
    g = {"fc": draw(LATENT, 64 * width)} | {f"c{i}": draw(5, 5, widths[4 - i], widths[3 - i]) for i in (1, 2, 3)}
    for i in (1, 2, 3):
        g |= {f"g{i}": jnp.ones((CLASSES, widths[4 - i])), f"b{i}": jnp.zeros((CLASSES, widths[4 - i]))}
    return [(p, jax.tree.map(jnp.zeros_like, p), 0.0) for p in (g, c)]


def main():
    width, batch, iterations = map(int, sys.argv[1:])
    g, c = parameters(width)
    key = jax.random.key(1)
    real = jax.random.uniform(key, (batch, 32, 32, 1), minval=-1, maxval=1)
    times = []
    for i in range(iterations + 2):
        start = time.perf_counter()
        g, c = jax.block_until_ready(iteration(g, c, real, jax.random.fold_in(key, i)))
        times.append((time.perf_counter() - start) * 1e3)
    # The first iteration is compiled, and the second warms the caches.
    print(f"jax {jax.__version__}, width {width}, batch {batch}: {statistics.median(times[2:]):.1f} ms", flush=True)


if __name__ == "__main__":
    main()
