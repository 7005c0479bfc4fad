"""Training a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
from numpy.typing import ArrayLike

from . import _arrays, _mergan
from ._run import Run

Dataset = Union[str, "PathLike[str]", tuple[ArrayLike, ArrayLike]]
Callback = Callable[[dict[str, Any]], object]


def train(
    dataset: Dataset,
    strategy: str = "ra",
    *,
    run: Union[str, PathLike[str]],
    preset: str = "quick",
    tasks: Optional[int] = None,
    seed: int = 0,
    settings: Optional[Mapping[str, Any]] = None,
    class_names: Optional[Sequence[str]] = None,
    test: Optional[tuple[ArrayLike, ArrayLike]] = None,
    name: str = "arrays",
    callback: Optional[Callback] = None,
    scorer: Union[str, PathLike[str], None] = None,
    checkpoint_every: Optional[int] = None,
    tensorboard: bool = False,
    device: str = "auto",
    precision: str = "f32",
    cache: Union[str, PathLike[str], None] = None,
    data_dir: Union[str, PathLike[str], None] = None,
    offline: bool = False,
) -> Run:
    """Trains one strategy on a sequence of tasks, each of which adds the next class, and returns the finished run.

    dataset
        The name of a dataset (``"mnist"``, ``"fashion"``, ``"svhn"``, ``"shapes"``), the path of a folder with one
        subfolder of pictures per class, or ``(images, labels)``: uint8 images of 32 x 32 or 64 x 64 pixels, N x H x W
        or N x H x W x 3, and whole numbers from 0.
    strategy
        What keeps the generator from forgetting: ``"sft"``, ``"ewc"``, ``"dgr"``, ``"jtr"``, ``"ra"``, ``"jt"`` and
        others.
    run
        The directory of the run, which may hold other files, but no run.
    preset
        The recipe: ``"smoke"`` (seconds), ``"quick"`` (minutes) or ``"paper"``.
    tasks
        The number of tasks, by default all classes.
    settings
        Changes to the preset, with the names of ``config.toml``: ``{"training.batch": 32}`` or
        ``{"training": {"batch": 32}}``.
    class_names, test, name
        For arrays: the names of the classes, by default their labels; ``(images, labels)`` to score with, by default a
        tenth of each class, which is then not learned from; and the name of the dataset.
    callback
        Is called with each event as a dict: those of the log (:meth:`Run.events` lists them), ``begins`` and ``ends``
        of a piece of ``work``, and ``warning`` with its ``text``. The work waits for it. An exception stops the
        training and is raised here.
    scorer, checkpoint_every, tensorboard, device, precision, cache, data_dir, offline
        As the options of ``mergan train``.

    The interpreter's lock is not held while the machine computes. Ctrl-C raises KeyboardInterrupt after the current
    iteration, when a checkpoint is written, or between two parts of the scoring of a task; :func:`resume` continues.

    Raises ValueError for arguments that do not fit, FileNotFoundError for data that are missing, and MerganError if the
    run cannot go on.
    """
    options: dict[str, Any] = {"dataset": dataset, "strategy": strategy, "preset": preset, "tasks": tasks, "seed": seed}
    if settings:
        options["settings"] = dict(settings)
    way = _way(
        f"mergan.train({_words(options)})",
        scorer,
        checkpoint_every,
        tensorboard,
        device,
        precision,
        cache,
        data_dir,
        offline,
    )
    data = _data(dataset, class_names, test, name)
    choice = (strategy, preset, seed, tasks)
    return _watched(run, lambda path: _mergan.train(data, path, choice, _table(settings or {}), callback, way))


def resume(
    run: Union[str, PathLike[str]],
    dataset: Optional[Dataset] = None,
    *,
    class_names: Optional[Sequence[str]] = None,
    test: Optional[tuple[ArrayLike, ArrayLike]] = None,
    accept_changed_data: bool = False,
    callback: Optional[Callback] = None,
    scorer: Union[str, PathLike[str], None] = None,
    checkpoint_every: Optional[int] = None,
    tensorboard: bool = False,
    device: str = "auto",
    precision: str = "f32",
    cache: Union[str, PathLike[str], None] = None,
    data_dir: Union[str, PathLike[str], None] = None,
    offline: bool = False,
) -> Run:
    """Continues a run that was stopped, to the same bits as if it had never stopped, and returns it.

    ``dataset`` is the new place of data that have moved; a run that learned from arrays needs them again, with the same
    ``class_names`` and ``test``. ``accept_changed_data`` continues although the data differ, which the run's log then
    says. The other arguments are those of :func:`train`.
    """
    command = f"mergan.resume({_words({'run': fspath(run)})})"
    way = _way(command, scorer, checkpoint_every, tensorboard, device, precision, cache, data_dir, offline)
    name = Run(run).config["dataset"]
    data = None if dataset is None else _data(dataset, class_names, test, name)
    return _watched(run, lambda path: _mergan.resume(path, data, accept_changed_data, callback, way))


def _watched(run: Union[str, PathLike[str]], work: Callable[[Path], None]) -> Run:
    path = Path(run)
    try:
        work(path)
    except KeyboardInterrupt:
        if not (path / "config.toml").is_file():
            raise
        text = f"interrupted, nothing is lost; go on with mergan.resume({str(path)!r})"
        raise KeyboardInterrupt(text) from None
    return Run(path)


def _data(dataset: Dataset, class_names: Any, test: Any, name: str) -> Any:
    if isinstance(dataset, (str, PathLike)):
        if class_names is not None or test is not None:
            raise ValueError("class_names and test are for arrays; a folder or a dataset has its own")
        return fspath(dataset)
    train = _pair(dataset)
    if class_names is None:
        class_names = [str(label) for label in range(int(train[1].max(initial=-1)) + 1)]
    return {
        "name": name,
        "class_names": list(class_names),
        "train": train,
        "test": None if test is None else _pair(test),
    }


def _pair(given: Any) -> tuple[Any, Any]:
    try:
        images, labels = given
    except (TypeError, ValueError):
        raise ValueError("a dataset is a name, a path, or a pair (images, labels)") from None
    return _arrays.images(images), _arrays.labels(labels)


def _table(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Turns dotted names into tables, and numbers of NumPy into those of Python."""
    table: dict[str, Any] = {}
    for name, value in settings.items():
        *path, last = name.split(".")
        inner = table
        for part in path:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise ValueError(f"settings: `{part}` in `{name}` is a value, not a table")
        if isinstance(value, Mapping):
            inner.setdefault(last, {}).update(_table(value))
        else:
            inner[last] = value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value
    return table


def _words(options: Mapping[str, Any]) -> str:
    """Formats arguments for the run's log; arrays are named only."""
    words = []
    for name, value in options.items():
        if name == "dataset":
            value = repr(fspath(value)) if isinstance(value, (str, PathLike)) else "(images, labels)"
        elif value is None:
            continue
        else:
            value = repr(value)
        words.append(f"{name}={value}")
    return ", ".join(words)


def _way(
    command: str,
    scorer: Any,
    checkpoint_every: Any,
    tensorboard: bool,
    device: str,
    precision: str,
    cache: Any,
    data_dir: Any,
    offline: bool,
) -> dict[str, Any]:
    _arrays.require_positive(checkpoint_every=checkpoint_every)
    return {
        "scorer": scorer and Path(scorer),
        "checkpoint_every": checkpoint_every,
        "tensorboard": tensorboard,
        "device": device,
        "precision": precision,
        "cache": cache and Path(cache),
        "data_dir": data_dir and Path(data_dir),
        "offline": offline,
        "command": command,
    }
