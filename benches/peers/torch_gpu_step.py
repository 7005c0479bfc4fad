"""PyTorch's side of the timings on a GPU: one iteration of the released code's recipe on random images.

Called as `torch_gpu_step.py WIDTH ITERATIONS`; prints the median milliseconds of an iteration, run eagerly in either memory
format and as one CUDA graph.
"""

import statistics
import sys

import torch

from server import FORMATS
from torch_step import RATE, Trainer

BATCH = 64


def median(iterations, function):
    times = []
    for _ in range(iterations):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        function()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)


def graph(trainer):
    """Records the whole iteration as one graph, after a warm-up on a separate stream."""
    networks = trainer.generator, trainer.critic
    trainer.adam = [torch.optim.Adam(n.parameters(), RATE, (0.0, 0.9), capturable=True) for n in networks]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            trainer.iteration()
    torch.cuda.current_stream().wait_stream(stream)
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        trainer.iteration()
    return captured.replay


def main():
    width, iterations = map(int, sys.argv[1:])
    torch.set_default_device("cuda")
    for name, memory_format in FORMATS.items():
        trainer = Trainer("sft", 32, width, BATCH, 1, memory_format)
        for kind, function in ("eager", trainer.iteration), ("graph", graph(trainer)):
            median(3, function)
            print(f"torch {torch.__version__}, width {width}, {name}, {kind}: {median(iterations, function):.3f} ms", flush=True)


if __name__ == "__main__":
    main()
