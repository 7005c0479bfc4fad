"""PyTorch's side of the timings on a GPU: one iteration of the released code's recipe on random images.

Called as `torch_gpu_step.py STRATEGY SIDE WIDTH BATCH TASK ITERATIONS [compiled]`; prints the milliseconds of an iteration in
each way that PyTorch may be run: exactly, in TF32 and in bfloat16 by autocast, in either memory format, eagerly and as one
CUDA graph. cuDNN chooses its algorithms by measurement, and Adam is fused. With `compiled`, the generators are
compiled by `torch.compile` first; the critic is not, because the penalty differentiates it twice. A way that PyTorch refuses is
named with its reason.
"""

import contextlib
import statistics
import sys
import time

import torch

from server import FORMATS
from torch_step import RATE, Trainer

ROUNDS, CUDA = 5, torch.cuda.is_available()
PRECISIONS = {
    "exact": (False, contextlib.nullcontext),
    "tf32": (True, contextlib.nullcontext),
    "bf16": (True, lambda: torch.autocast("cuda", torch.bfloat16)),
}


def wait():
    if CUDA:
        torch.cuda.synchronize()


def milliseconds(iterations, function):
    """Returns the median over rounds of the milliseconds of a call."""
    for _ in range(3):
        function()
    times = []
    for _ in range(ROUNDS):
        wait()
        start = time.perf_counter()
        for _ in range(iterations):
            function()
        wait()
        times.append((time.perf_counter() - start) * 1e3 / iterations)
    return statistics.median(times)


def graph(function):
    """Records a function as one graph, after a warm-up on a separate stream."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            function()
    torch.cuda.current_stream().wait_stream(stream)
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        function()
    return captured.replay


def trainer(strategy, sizes, memory_format, compiled):
    side, width, batch, task = sizes
    trainer = Trainer(strategy, side, width, batch, task, memory_format)
    if compiled:
        trainer.generator, trainer.old = torch.compile(trainer.generator), torch.compile(trainer.old)
    networks = trainer.generator, trainer.critic
    options = {"capturable": True, "fused": True} if CUDA else {}
    trainer.adam = [torch.optim.Adam(n.parameters(), RATE, (0.0, 0.9), **options) for n in networks]
    return trainer


def main():
    *arguments, last = sys.argv[1:]
    compiled = last == "compiled"
    strategy, *sizes, iterations = arguments if compiled else [*arguments, last]
    sizes, iterations = tuple(map(int, sizes)), int(iterations)
    torch.set_default_device("cuda" if CUDA else "cpu")
    torch.backends.cudnn.benchmark = True
    for precision, (tf32, context) in PRECISIONS.items():
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        for name, memory_format in FORMATS.items():
            for kind in "eager", "graph":
                way = f"torch {torch.__version__}, {strategy}, {sizes[0]} x {sizes[0]}, width {sizes[1]}, {precision}, {name}, "
                way += f"{'compiled, ' * compiled}{kind}"
                if not CUDA and (precision, kind) != ("exact", "eager"):
                    print(f"{way}: NOT RUN: there is no GPU", flush=True)
                    continue
                try:
                    training = trainer(strategy, sizes, memory_format, compiled)

                    def iteration():
                        with context():
                            training.iteration()

                    function = graph(iteration) if kind == "graph" else iteration
                    print(f"{way}: {milliseconds(iterations, function):.3f} ms", flush=True)
                except Exception as refusal:
                    print(f"{way}: NOT RUN: {str(refusal).splitlines()[0]}", flush=True)


if __name__ == "__main__":
    main()
