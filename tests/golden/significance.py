"""Golden values for intervals, paired tests and Holm's correction, by SciPy and statsmodels.

`python significance.py` writes significance.safetensors beside itself; README.md lists its tensors. As in make.py no input is
stored: scores are formulas that the Rust tests repeat.
"""

from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from make import unit
from safetensors.torch import save_file
from scipy import stats
from statsmodels.stats.multitest import multipletests

SEED, OWN = 530, 531
STRATEGIES = 6
SEEDS = (2, 3, 5, 10, 40)
DEGREES = [*range(1, 31), 60, 120, 1000, 20_000]
DISTANCES = (0.0, 1e-6, 0.01, 0.5, 1.0, 2.0, 4.0, 12.0, 100.0)


def scores(count):
    """Returns scores (strategies, seeds), to which a seed adds something for all strategies and something for each."""
    shared, own = 2 * unit(SEED, (1, count)).numpy() - 1, 2 * unit(OWN, (STRATEGIES, count)).numpy() - 1
    return 90 + 2 * shared + own / 2 + np.arange(STRATEGIES)[:, None] / 4


def of_seeds(count):
    """Tests strategies over this many seeds."""
    table = scores(count)
    low, high = stats.t.interval(0.95, count - 1, table.mean(1), stats.sem(table, axis=1))
    pairs = [stats.ttest_rel(table[i], table[j]) for i, j in combinations(range(STRATEGIES), 2)]
    p_values = [pair.pvalue for pair in pairs]
    intervals = [pair.confidence_interval(0.95) for pair in pairs]
    return {
        f"interval.{count}": np.stack([low, high]),
        f"paired.{count}.interval": np.array([(interval.low, interval.high) for interval in intervals]).T,
        f"paired.{count}.p": np.array(p_values),
        f"holm.{count}": multipletests(p_values, method="holm")[1],
    }


def main():
    degrees, distances = np.array(DEGREES)[:, None], np.array(DISTANCES)
    tensors = {"quantile": stats.t.ppf(0.975, DEGREES), "outside": 2 * stats.t.sf(distances, degrees)}
    for count in SEEDS:
        tensors |= of_seeds(count)
    tensors = {name: torch.tensor(np.ascontiguousarray(value)) for name, value in tensors.items()}
    save_file(tensors, Path(__file__).with_name("significance.safetensors"))
    print(f"significance.safetensors: {len(tensors)} tensors")


if __name__ == "__main__":
    main()
