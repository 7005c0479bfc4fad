"""What a run has left on disk."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any, Optional, Union

from . import _arrays, _mergan
from ._generator import Generator


class Run:
    """A run directory that ``mergan train``, :func:`mergan.train` or ``mergan extend`` wrote.

    Raises FileNotFoundError if the directory holds no run.
    """

    def __init__(self, path: Union[str, PathLike[str]]) -> None:
        self.path = Path(path)
        self.config  # noqa: B018 -- reading it shows that there is a run

    @property
    def config(self) -> dict[str, Any]:
        """Everything that decides the result of the run, as in its ``config.toml``."""
        return _mergan.read_config(self.path)

    def scores(self) -> dict[str, Any]:
        """Returns every score as columns, which ``pandas.DataFrame`` accepts.

        The columns are ``task`` (the number of tasks learned), ``class`` and ``class_name`` (NaN and None for the mean
        over the classes), ``metric``, ``value``, ``warning`` if there is one, and ``card.network``,
        ``card.samples_per_class`` and so on, which say how the number was measured. Numbers whose cards differ should
        not be compared.
        """
        return _arrays.columns(_mergan.read_scores(self.path))

    def events(self, kind: Optional[str] = None) -> dict[str, Any]:
        """Returns the events of the run's log as columns, all or those of one kind.

        The kinds are ``start``, ``progress`` (with ``losses.wasserstein`` and the other losses), ``checkpoint``,
        ``gap`` (the accuracy on past classes while a task is learned), ``task_end``, ``evaluation`` and ``data_changed``.
        Tasks and iterations count from 1. A run that was resumed may repeat events; the last one counts.
        """
        rows = _mergan.read_events(self.path)
        return _arrays.columns([row for row in rows if kind in (None, row["event"])])

    def generator(self, task: Optional[int] = None, *, device: str = "auto", precision: str = "f32") -> Generator:
        """Loads the generator after ``task`` tasks, by default the newest; see :meth:`Generator.load`."""
        return Generator.load(self.path, task=task, device=device, precision=precision)

    def __repr__(self) -> str:
        return f"mergan.Run({str(self.path)!r})"
