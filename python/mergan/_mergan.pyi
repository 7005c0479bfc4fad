"""The native part of the package; the modules beside it have the defaults and the documentation."""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, Optional, Union

import numpy as np
from numpy.typing import NDArray

__version__: str

class MerganError(RuntimeError):
    """A run, its files or its device are not in the required state; the message names the remedy."""

class Generator:
    @staticmethod
    def load(path: PathLike[str], task: Optional[int], device: str, precision: str) -> Generator: ...
    @property
    def classes(self) -> list[str]: ...
    @property
    def class_numbers(self) -> list[int]: ...
    @property
    def image_shape(self) -> list[int]: ...
    @property
    def latent(self) -> int: ...
    def sample(self, class_: str, count: int, seed: int, batch_statistics: bool, /) -> NDArray[np.uint8]: ...
    def sample_at(
        self, class_: str, latents: NDArray[np.float64], batch_statistics: bool, /
    ) -> NDArray[np.float32]: ...

_Side = Union[PathLike[str], NDArray[np.uint8], NDArray[np.float64]]

def command(program: Sequence[str], words: Sequence[str]) -> int: ...
def distances(
    real: _Side,
    generated: _Side,
    metrics: Sequence[str],
    subsets: tuple[int, int, int],
    reading: Mapping[str, Any],
) -> list[tuple[str, float, str, Optional[str]]]: ...
def noise_network(path: PathLike[str], seed: int) -> None: ...
def read_config(run: PathLike[str]) -> dict[str, Any]: ...
def read_events(run: PathLike[str]) -> list[dict[str, Any]]: ...
def read_scores(run: PathLike[str]) -> list[dict[str, Any]]: ...
def resume(
    run: PathLike[str],
    data: Union[str, Mapping[str, Any], None],
    accept_changed_data: bool,
    callback: Optional[Callable[[dict[str, Any]], object]],
    way: Mapping[str, Any],
) -> None: ...
def save_statistics(images: _Side, out: PathLike[str], reading: Mapping[str, Any]) -> None: ...
def train(
    data: Union[str, Mapping[str, Any]],
    run: PathLike[str],
    choice: tuple[str, str, int, Optional[int]],
    settings: Mapping[str, Any],
    callback: Optional[Callable[[dict[str, Any]], object]],
    way: Mapping[str, Any],
) -> None: ...
