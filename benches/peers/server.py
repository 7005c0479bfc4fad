"""What PyTorch's sides of `cargo xtask bench` have in common; `src/server.rs` does the same for ours.

Each answers a line on the standard input, `WHAT COUNT`, with the milliseconds of COUNT repetitions on the standard
output. The first line out is PyTorch's version.
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
    """Answers lines until the input ends. `product` is two 1024 x 1024 matrices multiplied; the rest is asked of `times`."""
    print(torch.__version__, flush=True)
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    for line in sys.stdin:
        what, count = line.rsplit(maxsplit=1)
        answer = timed(int(count), lambda: torch.mm(a, b)) if what == "product" else times(what, int(count))
        print(*(f"{time:.4f}" for time in answer), flush=True)
