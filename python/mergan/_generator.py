"""Generators that a run has trained."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Optional, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _arrays, _mergan


class Generator:
    """A generator that has learned some classes. :meth:`load` reads one."""

    def __init__(self, native: _mergan.Generator) -> None:
        self._native = native

    @classmethod
    def load(
        cls,
        path: Union[str, PathLike[str]],
        *,
        task: Optional[int] = None,
        device: str = "auto",
        precision: str = "f32",
    ) -> Generator:
        """Reads a ``generator.safetensors``, or the generator of a run directory after ``task`` tasks (by default the
        newest).

        ``device`` is ``"cpu"``, a GPU such as ``"cuda:0"``, or ``"auto"`` for the first GPU if there is one;
        ``precision`` is ``"f32"`` or, on a GPU with tensor cores, ``"tf32"``.

        Raises FileNotFoundError if there is no such file, and MerganError if it holds no generator.
        """
        return cls(_mergan.Generator.load(Path(path), task, device, precision))

    @property
    def classes(self) -> list[str]:
        """The names of the classes, in the order in which they were learned."""
        return self._native.classes

    @property
    def class_numbers(self) -> list[int]:
        """The numbers of the classes in the dataset, in the same order."""
        return self._native.class_numbers

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of an image: height and width, and 3 for colour."""
        channels, height, width = self._native.image_shape
        return (height, width) if channels == 1 else (height, width, channels)

    @property
    def latent(self) -> int:
        """The length of a latent vector."""
        return self._native.latent

    def sample(
        self, cls: Union[str, int], n: int = 64, seed: int = 0, *, batch_statistics: bool = False
    ) -> NDArray[np.uint8]:
        """Draws ``n`` images of a class, given by name or number, at the latents of a seed: N x height x width, and
        x 3 in colour. They have the same bits as those of the command ``mergan sample``.

        Each image is independent of the others, unless ``batch_statistics`` normalises them with their batch, as in
        training. A generator that knows no classes (of the strategy ``dgr``) may yield fewer images than asked for.

        Raises ValueError if the class has not been learned.
        """
        _arrays.require_positive(n=n)
        return self._native.sample(str(cls), n, seed, batch_statistics)

    def sample_at(
        self, cls: Union[str, int], latents: ArrayLike, *, batch_statistics: bool = False
    ) -> NDArray[np.float32]:
        """Draws images of a class at given latents, N x :attr:`latent` numbers. The images are the numbers that the
        generator makes, from -1 to 1.

        Raises ValueError if the class has not been learned, or the latents have another length.
        """
        return self._native.sample_at(str(cls), _arrays.numbers(latents, "latents"), batch_statistics)

    def __repr__(self) -> str:
        return f"<mergan.Generator of {', '.join(self.classes)}>"
