"""Image generators that learn one category after another without forgetting.

>>> import mergan
>>> run = mergan.train("shapes", "ra", run="runs/ra", preset="smoke", tasks=2)
>>> images = run.generator().sample("ring", 16)
>>> images.shape, images.dtype
((16, 32, 32), dtype('uint8'))

Training, sampling and distances are those of the command ``mergan``, which this package also installs: the same code
with the same results. Images are arrays of uint8, N x height x width x 3 in colour and N x height x width in grey.
"""

from ._distances import distances, fid, kid, prdc, save_statistics
from ._generator import Generator
from ._mergan import MerganError, __version__
from ._run import Run
from ._training import resume, train

__all__ = [
    "Generator",
    "MerganError",
    "Run",
    "__version__",
    "distances",
    "fid",
    "kid",
    "prdc",
    "resume",
    "save_statistics",
    "train",
]
