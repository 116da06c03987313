"""What studies are told, checked before anything begins."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tuneful.errors import StudyError
from tuneful.stores.codec import dumps, loads


def json_of(argument: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """`values`, if they can be stored as they are.

    Raises:
        StudyError: one cannot.
    """
    if not isinstance(values, Mapping):
        raise StudyError(f"{argument}={values!r:.80}: pass a dict.")
    for name, value in values.items():
        try:
            kept = isinstance(name, str) and loads(dumps(value)) == value
        except (TypeError, ValueError, RecursionError):
            kept = False
        if not kept:
            raise StudyError(f"{argument}: {name!r:.80} is {value!r:.80}. Pass text, numbers, lists or dicts by name.")
    return dict(values)


def callables_of(callbacks: Any) -> list[Callable[..., object]]:
    """One function or several as a list.

    Raises:
        StudyError: they are something else.
    """
    called: list[Any] = [callbacks] if callable(callbacks) else [None]
    if isinstance(callbacks, Iterable) and not callable(callbacks):
        called = list(callbacks)
    if not all(map(callable, called)):
        raise StudyError(f"callbacks={callbacks!r:.80}: pass a list of functions of the study and a trial.")
    return called


def goal_of(target: Any) -> float | None:
    """A finite number, or None.

    Raises:
        StudyError: it is something else.
    """
    number = isinstance(target, (int, float, np.integer, np.floating)) and not isinstance(target, bool)
    if target is not None and not (number and np.isfinite(target)):
        raise StudyError(f"target={target!r}: pass a number that the first objective should reach.")
    return None if target is None else float(target)


def seed_of(seed: int) -> int:
    """A seed.

    Raises:
        StudyError: it is no whole number, or below 0, or above 2**63 - 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**63:
        raise StudyError(f"seed={seed!r}: pass a whole number from 0 to 2**63 - 1.")
    return int(seed)


def count_of(name: str, value: int | None) -> int | None:
    """A number of things, 1 or more, or None.

    Raises:
        StudyError: it is something else.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1):
        raise StudyError(f"{name}={value!r}: pass a whole number, 1 or more.")
    return value


def bytes_of(memory: float | str | None) -> int | None:
    """Bytes of a number, or of a text like `500MB` or `8GB`.

    Raises:
        StudyError: it is neither, or not above 0.

    >>> bytes_of("1.5GB")
    1610612736
    """
    if memory is None:
        return None
    size = _amount(
        memory, {"": 1, **{f"{k}{b}": 1024**n for n, k in enumerate(("", *"kmgt")) for b in ("", "b", "ib")}}
    )
    if not 1 <= size < 2**63:
        raise StudyError(f"trial_memory={memory!r}: pass bytes, or a text like '500MB' or '8GB'.")
    return int(size)


def seconds_of(timeout: float | str | None, name: str = "timeout") -> float | None:
    """Seconds of a number, or of a text like `90s`, `20m`, `2h`, `1d`.

    Raises:
        StudyError: it is neither, or not above 0.

    >>> seconds_of("1.5h")
    5400.0
    """
    if timeout is None:
        return None
    seconds = _amount(timeout, {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400})
    if not seconds > 0:
        raise StudyError(f"{name}={timeout!r}: pass seconds, or a text like '90s', '20m' or '2h'.")
    return seconds


def _amount(given: object, units: Mapping[str, float]) -> float:
    """A number, or what a text like `20m` comes to in `units`; 0 if it is neither."""
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        return float(given)
    found = re.fullmatch(r"\s*([0-9.]+)\s*([a-z]*)\s*", given.lower()) if isinstance(given, str) else None
    with contextlib.suppress(ValueError, KeyError):
        return float(found[1]) * units[found[2]] if found else 0.0
    return 0.0
