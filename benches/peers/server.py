"""The common part of PyTorch's sides of `cargo xtask bench`; `src/server.rs` does the same for ours.

They read lines `WHAT COUNT` on the standard input and answer each with the milliseconds of COUNT repetitions on the
standard output. The first line of output is PyTorch's version and its vector instructions.
"""

import sys
import time

import torch

FORMATS = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}


def timed(count, function):
    times = []
    for _ in range(count):
        start = time.perf_counter()
        function()
        times.append((time.perf_counter() - start) * 1e3)
    return times


def serve(times):
    """Answers lines until the input ends. `product` multiplies two 1024 x 1024 matrices; the rest is passed to `times`."""
    print(torch.__version__, torch.backends.cpu.get_cpu_capability(), flush=True)
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    for line in sys.stdin:
        what, count = line.rsplit(maxsplit=1)
        answer = timed(int(count), lambda: torch.mm(a, b)) if what == "product" else times(what, int(count))
        print(*(f"{time:.4f}" for time in answer), flush=True)
