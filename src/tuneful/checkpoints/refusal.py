"""What a checkpoint does not hold: how to name it, and what to pass instead."""

from __future__ import annotations

import collections.abc
import enum
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any

import numpy as np

_HOLDS = "a checkpoint holds dicts, lists, tuples, numbers, strings, bytes, arrays, tensors and paths"
_REMEDIES: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (enum.Enum, "Pass its `value`."),
    (complex, "Pass its `real` and `imag`."),
    ((bytearray, memoryview), "Pass `bytes()` of it."),
    (collections.abc.Mapping, "Pass `dict()` of it."),
    ((collections.abc.Set, collections.abc.Sequence), "Pass `list()` of it."),
)
_TENSORS: tuple[tuple[Callable[[Any], object], str, str], ...] = (
    (lambda x: hasattr(x, "materialize"), "a parameter without data", "Run the model once before."),
    (lambda x: x.is_nested, "a nested tensor", "Pass `list(x.unbind())`."),
    (lambda x: x.is_quantized, "a quantized tensor", "Pass its `dequantize()`."),
    (lambda x: str(x.layout) != "torch.strided", "a sparse tensor", "Pass its `to_dense()`."),
    (lambda x: x.is_meta, "a tensor without data", "Pass one on a device that has data."),
)


def refusal(place: str, value: object) -> str:
    """Say that `value`, found at `place`, cannot be saved, and what can be.

    >>> refusal("state['seen']", {1, 2}).partition(":")[0]
    "Cannot save `state['seen']`, a set"
    """
    return _sentence(place, type_of(value), _remedy(value))


def array_refusal(place: str, dtype: np.dtype[Any]) -> str | None:
    """Say that an array of this dtype cannot be saved; None if an npy file gives it back without pickle."""
    try:
        if not dtype.hasobject and np.lib.format.descr_to_dtype(np.lib.format.dtype_to_descr(dtype)) == dtype:
            return None
    except (TypeError, ValueError):
        pass
    remedy = "Pass its `tolist()`, or `astype()` of a plain dtype."
    return _sentence(place, f"an array of dtype {dtype}", remedy)


def tensor_refusal(place: str, tensor: Any) -> str | None:
    """Say that a torch tensor cannot be saved; None if its elements lie in memory."""
    for is_so, what, remedy in _TENSORS:
        if is_so(tensor):
            return _sentence(place, what, remedy)
    return None


def type_of(value: object) -> str:
    """Name the type of a value, with an article.

    >>> type_of(3), type_of(np.zeros(1))
    ('an int', 'a numpy.ndarray')
    """
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _sentence(place: str, what: str, remedy: str) -> str:
    return f"Cannot save `{place}`, {what}: {_HOLDS}. {remedy}"


def _remedy(value: object) -> str:
    if callable(getattr(value, "state_dict", None)):
        return "Pass its `state_dict()`."
    if isinstance(value, np.ma.MaskedArray):  # not in the table: numpy loads `ma` when it is named, which takes long
        return "Pass its `data` and `mask`."
    for kinds, remedy in _REMEDIES:
        if isinstance(value, kinds):
            return remedy
    if hasattr(value, "__array__"):
        return "Pass `numpy.asarray()` of it."
    if is_dataclass(value) and not isinstance(value, type):
        return "Pass `dataclasses.asdict()` of it."
    return "Pass those parts of it that matter, or write it to a file and pass the `pathlib.Path` of the file."
