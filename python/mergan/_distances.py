"""FID and other distances between two sets of images."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Optional, Union

from numpy.typing import ArrayLike

from . import _arrays, _mergan

Images = Union[str, "PathLike[str]", ArrayLike]


def distances(
    real: Images,
    generated: Images,
    metrics: Sequence[str] = ("fid", "kid", "prdc"),
    *,
    resize: str = "tf1",
    features: bool = False,
    weights: Union[str, PathLike[str], None] = None,
    network: Optional[str] = None,
    samples: Optional[int] = None,
    skip_bad: bool = False,
    follow_links: bool = False,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
    device: str = "auto",
    precision: str = "f32",
    cache: Union[str, PathLike[str], None] = None,
) -> dict[str, float]:
    """Measures how far ``generated`` is from ``real``, and returns the numbers by name.

    Either side is an array of images (uint8; N x H x W x 3, N x 3 x H x W, or N x H x W), a folder of pictures, a file
    ``.npy`` or ``.npz`` of images, pytorch-fid's statistics ``.npz``, or a run directory, from whose generator
    ``samples`` images of each class are drawn.

    metrics
        ``"fid"``, ``"kid"`` (which yields ``kid``, ``kid_deviation`` and ``kid_full``) and ``"prdc"`` (``precision``,
        ``recall``, ``density`` and ``coverage``).
    resize
        How images are converted to the network's size: ``"tf1"`` (Heusel et al.), ``"torch"`` (pytorch-fid) or
        ``"clean"`` (clean-fid). Only numbers of one convention can be compared.
    features
        Both sides are features already: matrices with one row a sample, or files ``.npy`` of them.
    weights, network
        The file of Inception's weights, by default those that ``mergan data fetch inception`` left in the cache; and
        the name of another network with the same layers, whose distances are called ``fd_NAME``.
    skip_bad, follow_links
        Whether pictures of a folder that cannot be read are left out, and links that lead out of it followed.
    subsets, subset_size, seed
        The subsets over which KID is averaged.

    An unreliable number comes with a UserWarning. Raises ValueError for images that cannot be compared, and
    FileNotFoundError if a file or the weights are missing.
    """
    _arrays.require_positive(samples=samples, subsets=subsets, subset_size=subset_size)
    rows = _mergan.distances(
        _side(real, features),
        _side(generated, features),
        list(metrics),
        (subsets, subset_size, seed),
        _reading(features, samples, (skip_bad, follow_links), weights, network, resize, cache, device, precision),
    )
    for metric, _, _, warning in rows:
        if warning is not None:
            warnings.warn(f"{metric}: {warning}", stacklevel=2)
    return {metric: value for metric, value, _, _ in rows}


def fid(real: Images, generated: Images, **options: Any) -> float:
    """Returns the Frechet distance (Heusel et al. 2017), 0 for equal sets; :func:`distances` describes the
    arguments."""
    (value,) = distances(real, generated, ["fid"], **options).values()
    return value


def kid(real: Images, generated: Images, **options: Any) -> float:
    """Returns the kernel distance (Binkowski et al. 2018), averaged over subsets; :func:`distances` describes the
    arguments and also returns its deviation."""
    return next(iter(distances(real, generated, ["kid"], **options).values()))


def prdc(real: Images, generated: Images, **options: Any) -> dict[str, float]:
    """Returns precision, recall, density and coverage; :func:`distances` describes the arguments."""
    return distances(real, generated, ["prdc"], **options)


def save_statistics(
    images: Images,
    out: Union[str, PathLike[str]],
    *,
    resize: str = "tf1",
    weights: Union[str, PathLike[str], None] = None,
    network: Optional[str] = None,
    samples: Optional[int] = None,
    skip_bad: bool = False,
    follow_links: bool = False,
    device: str = "auto",
    precision: str = "f32",
    cache: Union[str, PathLike[str], None] = None,
) -> None:
    """Writes the mean and the covariance of the features of images to a file ``.npz``, which :func:`fid` takes in place
    of the images, as pytorch-fid does; :func:`distances` describes the arguments."""
    _arrays.require_positive(samples=samples)
    reading = _reading(False, samples, (skip_bad, follow_links), weights, network, resize, cache, device, precision)
    _mergan.save_statistics(_side(images, False), Path(out), reading)


def _side(given: Images, features: bool) -> Any:
    if isinstance(given, (str, PathLike)):
        return Path(fspath(given))
    return _arrays.numbers(given, "features") if features else _arrays.images(given)


def _reading(
    features: bool,
    samples: Optional[int],
    pictures: tuple[bool, bool],
    weights: Any,
    network: Optional[str],
    resize: str,
    cache: Any,
    device: str,
    precision: str,
) -> dict[str, Any]:
    return {
        "features": features,
        "samples": samples,
        "pictures": pictures,
        "weights": weights and Path(weights),
        "network": network,
        "resize": resize,
        "cache": cache and Path(cache),
        "device": device,
        "precision": precision,
    }
