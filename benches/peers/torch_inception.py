"""PyTorch's side of `cargo xtask bench inception`: pytorch-fid's network, as its command uses it.

Started as `torch_inception.py THREADS FORMAT` with FORMAT `nchw` (what pytorch-fid does) or `channels_last`. A line `images
SIZE N COUNT` resizes N images, SIZE pixels wide, for the network and runs them through it, COUNT times.
"""

import functools
import sys

import torch
from pytorch_fid import inception

from server import FORMATS, serve, timed


def network():
    """Returns the network with weights scaled so that activations keep their magnitude."""
    state = inception._inception_v3(num_classes=1008, aux_logits=False, weights=None).state_dict()
    for name, tensor in state.items():
        if tensor.dim() == 4:
            state[name] = (torch.rand(tensor.shape) - 0.5) * (24 / tensor[0].numel()) ** 0.5
        elif tensor.is_floating_point():
            state[name] = 0.5 + torch.rand(tensor.shape)
    inception.load_state_dict_from_url = lambda *_, **__: state
    return inception.InceptionV3([3]).eval()


def main():
    _, threads, memory_format = sys.argv
    torch.set_num_threads(int(threads))
    model = network().to(memory_format=FORMATS[memory_format])

    @functools.lru_cache(maxsize=1)
    def images(size, count):
        return torch.rand(count, 3, size, size).to(memory_format=FORMATS[memory_format])

    def times(what, repetitions):
        _, size, count = what.split()
        batch = images(int(size), int(count))
        with torch.no_grad():
            return timed(repetitions, lambda: model(batch)[0])

    serve(times)


if __name__ == "__main__":
    main()
