"""Arrays in the form that the native part takes."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
from numpy.typing import ArrayLike, NDArray


def images(given: ArrayLike) -> NDArray[np.uint8]:
    """Returns images, which must be bytes already: how numbers become bytes is part of a result."""
    array = np.asarray(given)
    if array.dtype != np.uint8:
        raise ValueError(f"images are arrays of uint8, from 0 to 255; this one is {array.dtype}")
    return array


def labels(given: ArrayLike) -> NDArray[np.int64]:
    """Returns labels, N or N x 1 whole numbers."""
    array = np.asarray(given)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"labels are N whole numbers; this array is {array.dtype} {array.shape}")
    return array.astype(np.int64)


def numbers(given: ArrayLike, what: str) -> NDArray[np.float64]:
    """Returns a matrix of numbers, one row a sample."""
    array = np.asarray(given, dtype=np.float64)
    if array.ndim != 2:
        raise ValueError(f"{what} are a matrix, one row a sample; this array has the axes {array.shape}")
    return array


def require_positive(**given: Optional[int]) -> None:
    """Raises ValueError if one of these arguments is given and not a positive number."""
    for name, value in given.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}; it must be at least 1")


def columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Turns rows into columns. What is nested gets a dotted name. Numbers are arrays, with NaN where there is none."""
    flat = [_flat(row) for row in rows]
    names = dict.fromkeys(name for row in flat for name in row)
    return {name: _column([row.get(name) for row in flat]) for name in names}


def _flat(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in row.items():
        found.update(_flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value})
    return found


def _column(values: list[Any]) -> Any:
    present = [value for value in values if value is not None]
    if not present or not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in present):
        return values
    if len(present) == len(values) and all(isinstance(value, int) for value in present):
        return np.array(values, dtype=np.int64)
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
