"""JSON that keeps every number: NaN and infinities come back as they were."""

from __future__ import annotations

import json
import math
from typing import Any

_MARK, _FLOATS = "$float", ("nan", "inf", "-inf")
_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def dumps(value: Any) -> str:
    """`value` as JSON text; floats by their shortest exact form.

    Raises:
        TypeError: it holds something that is not JSON.

    >>> loads(dumps({"loss": [0.1, float("inf")]}))
    {'loss': [0.1, inf]}
    """
    try:
        return _encode(value)
    except ValueError:
        return _encode(_marked(value))


def loads(text: str) -> Any:
    """The value that `dumps` wrote."""
    if _MARK in text:
        return json.loads(text, object_hook=_unmarked)
    return json.loads(text)


def _marked(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {_MARK: repr(value)}
    if isinstance(value, dict):
        return {key: _marked(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_marked(inner) for inner in value]
    return value


def _unmarked(form: dict[str, Any]) -> Any:
    return float(form[_MARK]) if len(form) == 1 and form.get(_MARK) in _FLOATS else form
