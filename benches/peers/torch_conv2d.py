"""PyTorch's side of `cargo xtask bench conv2d`: single maps of convolutions.

Started as `torch_conv2d.py serve THREADS FORMAT` with FORMAT `nchw` or `channels_last`. A line `MAP N CI H W CO KH KW STRIDE
PADDING COUNT` computes that map (`conv2d`, `input_grad` or `weight_grad`) COUNT times.
"""

import functools
import sys

import torch
import torch.nn.functional as F

from server import FORMATS, serve, timed


@functools.lru_cache(maxsize=1)
def convolution(what, memory_format):
    """Returns a map of random numbers, which can be computed any number of times."""
    which, *sizes = what.split()
    n, ci, h, w, co, kh, kw, stride, padding = map(int, sizes)
    oh, ow = ((size + 2 * padding - kernel) // stride + 1 for size, kernel in ((h, kh), (w, kw)))
    shapes = (n, ci, h, w), (co, ci, kh, kw), (n, co, oh, ow)
    x, k, dy = (torch.rand(shape).to(memory_format=memory_format) for shape in shapes)
    if (oh, ow, padding) == (1, 1, 0):
        # The kernel covers the image, so the usual form in PyTorch is a matrix product.
        x, k, dy = x.flatten(1), k.flatten(1), dy.flatten(1)
        products = {"conv2d": (x, k.T), "input_grad": (dy, k), "weight_grad": (dy.T, x)}
        return functools.partial(torch.mm, *products[which])
    if which == "conv2d":
        return functools.partial(F.conv2d, x, k, None, stride, padding)
    mask = [which == "input_grad", which == "weight_grad", False]
    backward = torch.ops.aten.convolution_backward
    return functools.partial(backward, dy, x, k, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1, mask)


def main():
    _, threads, memory_format = sys.argv[1:]
    torch.set_num_threads(int(threads))

    def times(what, count):
        return timed(count, convolution(what, FORMATS[memory_format]))

    serve(times)


if __name__ == "__main__":
    main()
